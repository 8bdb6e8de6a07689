"""The errors of the core: each names the argument, its value and the remedy, and is the built-in type too."""

import difflib
from collections.abc import Iterable


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
    """Nothing; InvalidArgument unless low <= value <= high."""
    if not low <= value <= high:
        raise InvalidArgument(f"{name}={value!r} lies outside [{low}, {high}]; pass a number inside.")


def check_positive(name: str, value: float) -> None:
    """Nothing; InvalidArgument unless value > 0."""
    if not value > 0:
        raise InvalidArgument(f"{name}={value!r} is not positive; pass a number above 0.")


def check_count(name: str, value: object, low: int) -> None:
    """Nothing; InvalidArgument unless value is a whole number >= low."""
    if not isinstance(value, int) or value < low:
        raise InvalidArgument(f"{name}={value!r} is no whole number from {low} up; pass {low} or more.")


def check_at_least(name: str, value: float, low: float) -> None:
    """Nothing; InvalidArgument unless value >= low."""
    if not value >= low:
        raise InvalidArgument(f"{name}={value!r} is below {low}; pass {low} or more.")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Nothing; InvalidArgument, with the nearest valid name, unless value is one of the choices."""
    known = list(choices)
    if value not in known:
        near = difflib.get_close_matches(str(value), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"pass one of {', '.join(map(repr, known))}."
        raise InvalidArgument(f"{name}={value!r} is unknown; {hint}")
