"""Checkpoints that are never half written, never half loaded, and never loaded into another run."""

import glob
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from rl_core.errors import CheckpointError, InvalidType


class Stateful(Protocol):
    """Anything whose future is in its state: networks, optimizers, schedules, environments."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors, numbers, strings, lists and dicts."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Go back to that state."""
        ...


Part = Stateful | torch.Generator
PARTIAL = ".partial"


def save(path: str | Path, parts: Mapping[str, Part], about: Mapping[str, Any]) -> None:
    """Write the parts' states to one file, with what they are `about` (algorithm, world, config, counters).

    The bytes go to a temporary file beside it, are forced to disk, and take the name in one step: a crash at any time
    leaves the old file or the new one. What a killed process left half written is removed by the next. Raises
    CheckpointError when the disk refuses, InvalidType for what `read` would refuse; the old file is then intact.
    """
    path = Path(path)
    content = {"about": dict(about), "parts": {name: _state(part) for name, part in parts.items()}}
    for name, value in content.items():
        _check_plain(name, value)
    temporary: Path | None = None
    try:
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
            leftover.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL, delete=False
        ) as file:
            temporary = Path(file.name)
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise CheckpointError(f"path={path} cannot be written ({error}); free the disk or choose another.") from error
    finally:  # an interrupt too; after the replacement there is none
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def read(path: str | Path) -> dict[str, dict[str, Any]]:
    """Return the content of a checkpoint, `about` and `parts`; CheckpointError when it is not a whole one.

    Read with `weights_only=True`: a checkpoint holds data, and loading one must never run code.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"path={path} does not exist; pass the checkpoint of an earlier run.") from error
    except Exception as error:
        raise CheckpointError(f"path={path} is no whole checkpoint ({error}); use an older one.") from error
    if not isinstance(content, dict) or set(content) != {"about", "parts"}:
        raise CheckpointError(f"path={path} holds something else than a checkpoint; pass one that `save` wrote.")
    return content


def load(path: str | Path, parts: Mapping[str, Part], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the checkpoint is about, after putting every part back, or none of them.

    Raises CheckpointError when the file is broken, when one of the given `about` entries differs in it, or when a part
    does not fit; all parts are then as they were.
    """
    content = read(path)
    for name, expected in about.items():
        if content["about"].get(name) != expected:
            raise CheckpointError(
                f"path={path} has {name}={content['about'].get(name)!r}, this run {expected!r}; resume a run like it."
            )
    if set(content["parts"]) != set(parts):
        raise CheckpointError(
            f"path={path} holds {sorted(content['parts'])}, not {sorted(parts)}; resume a run like it."
        )
    before = {name: _copy(_state(part)) for name, part in parts.items()}
    try:
        for name, part in parts.items():
            _restore(part, content["parts"][name])
    except Exception as error:
        for name, part in parts.items():
            _restore(part, before[name])
        raise CheckpointError(f"path={path} does not fit ({error}); nothing was loaded.") from error
    return content["about"]


def _state(part: Part) -> Any:
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def _restore(part: Part, state: Any) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(state)
    else:
        part.load_state_dict(state)


def _copy(state: Any) -> Any:
    """Return a deep copy: a state_dict's tensors are the live ones."""
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, Mapping):
        return {name: _copy(value) for name, value in state.items()}
    return [_copy(value) for value in state] if isinstance(state, list | tuple) else state


def _check_plain(name: str, value: Any) -> None:
    """Raise InvalidType for anything but tensors, numbers, text, and lists and dicts of these."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_plain(f"{name}[{key!r}]", inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _check_plain(f"{name}[{number}]", inner)
    elif not (value is None or isinstance(value, torch.Tensor) or type(value) in (bool, int, float, str)):
        raise InvalidType(f"{name}={value!r} cannot be kept; pass tensors, numbers, text, lists or dicts.")
