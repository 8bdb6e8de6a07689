"""Configs whose fields are checked against their own annotations: a field cannot be added and its check forgotten."""

from dataclasses import dataclass, fields
from functools import partial
from numbers import Integral
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from rl_core.errors import (
    InvalidType,
    check_at_least,
    check_between,
    check_choice,
    check_count,
    check_finite,
    check_positive,
)

Count = Annotated[int, partial(check_count, low=1)]
"""How many, 1 or more."""
Several = Annotated[int, partial(check_count, low=2)]
"""How many, 2 or more."""
Positive = Annotated[float, check_positive]
"""A finite number above 0."""
NonNegative = Annotated[float, partial(check_at_least, low=0)]
"""A finite number, 0 or more."""
Share = Annotated[float, partial(check_between, low=0, high=1)]
"""A number from 0 to 1."""


NOUNS = {bool: "True or False", int: "whole number", str: "text"}


@dataclass(frozen=True)
class Config:
    """A frozen dataclass each of whose fields holds what its annotation says.

    An annotation is a type, one or None, a tuple of one, a `Literal` choice, another config, or `Annotated[type, check,
    ...]` with checks that take (name, value) and raise. What ties several fields together a config adds in its own
    `__post_init__`.
    """

    def __post_init__(self) -> None:
        """Raise InvalidType or InvalidArgument for the first field that holds something else."""
        annotations = get_type_hints(type(self), include_extras=True)
        for name in (field.name for field in fields(self)):
            # Numbers of numpy become those of Python, which a checkpoint and a JSON file can hold.
            object.__setattr__(self, name, _checked(name, getattr(self, name), annotations[name]))


def _checked(name: str, value: Any, annotation: Any) -> Any:
    """Return the value as the annotation has it; raise InvalidType or InvalidArgument where it is something else."""
    if get_origin(annotation) is Annotated:
        kind, *checks = get_args(annotation)
        for check in checks:
            check(name, value)
        return _checked(name, value, kind)
    if get_origin(annotation) is Literal:
        check_choice(name, value, get_args(annotation))
        return value
    if NoneType in get_args(annotation):
        (kind,) = (option for option in get_args(annotation) if option is not NoneType)
        return None if value is None else _checked(name, value, kind)
    if get_origin(annotation) is tuple:
        if not isinstance(value, tuple):
            raise InvalidType(f"{name}={value!r} is no tuple; pass one, or () for none.")
        return tuple(_checked(f"{name}[{i}]", each, get_args(annotation)[0]) for i, each in enumerate(value))
    if annotation is float:
        check_finite(name, value)
        return float(value)
    is_kind = isinstance(value, Integral if annotation is int else annotation)
    if not is_kind or (annotation is int and isinstance(value, bool)):
        raise InvalidType(f"{name}={value!r} is no {NOUNS.get(annotation, annotation.__name__)}; pass one.")
    return int(value) if annotation is int else value
