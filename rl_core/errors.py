"""The errors of the core: each names the argument, its value and the remedy, and is the built-in type too."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real


class RLCoreError(Exception):
    """Base of all errors that this package raises on purpose."""


class InvalidArgument(RLCoreError, ValueError):
    """An argument has a value that cannot be used."""


class InvalidType(RLCoreError, TypeError):
    """An argument is of a kind that cannot be used."""


class InvalidState(RLCoreError, RuntimeError):
    """A call comes at a time when it has no meaning."""


class CheckpointError(RLCoreError, OSError):
    """A checkpoint cannot be read, or belongs to another run."""


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raise InvalidType or InvalidArgument unless value is a number and low <= value <= high."""
    check_number(name, value)
    if not low <= value <= high:
        raise InvalidArgument(f"{name}={value!r} lies outside [{low}, {high}]; pass a number inside.")


def check_below(name: str, value: float, low: float, high: float) -> None:
    """Raise InvalidType or InvalidArgument unless value is a number and low <= value < high."""
    check_number(name, value)
    if not low <= value < high:
        raise InvalidArgument(f"{name}={value!r} lies outside [{low}, {high}); pass a number inside.")


def check_positive(name: str, value: float) -> None:
    """Raise InvalidType or InvalidArgument unless value is a finite number > 0."""
    check_number(name, value)
    if not 0 < value < math.inf:
        raise InvalidArgument(f"{name}={value!r} is not positive and finite; pass a number above 0.")


def check_at_least(name: str, value: float, low: float) -> None:
    """Raise InvalidType or InvalidArgument unless value is a finite number >= low."""
    check_number(name, value)
    if not low <= value < math.inf:
        raise InvalidArgument(f"{name}={value!r} is no finite number from {low} up; pass {low} or more.")


def check_number(name: str, value: object) -> None:
    """Raise InvalidType unless value is a real number; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidType(f"{name}={value!r} is no number; pass one.")


def check_finite(name: str, value: float) -> None:
    """Raise InvalidType unless value is a real number, InvalidArgument unless it is one that a float can hold."""
    check_number(name, value)
    try:
        is_finite = math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        is_finite = False
    if not is_finite:
        raise InvalidArgument(f"{name}={value!r} is not finite; pass a number that is.")


def check_count(name: str, value: object, low: int) -> None:
    """Raise InvalidArgument unless value is a whole number >= low, of Python or of numpy."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < low:
        raise InvalidArgument(f"{name}={value!r} is no whole number from {low} up; pass {low} or more.")


def check_seed(name: str, value: object) -> None:
    """Raise InvalidArgument unless value is a whole number that a torch.Generator takes as its seed."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not -(2**63) <= int(value) < 2**64:
        raise InvalidArgument(f"{name}={value!r} is no whole number of 64 bits; pass one below 2**63.")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise InvalidArgument, with the nearest valid name, unless value is one of the choices."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        near = difflib.get_close_matches(str(value), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"pass one of {', '.join(map(repr, known))}."
        raise InvalidArgument(f"{name}={value!r} is unknown; {hint}")
