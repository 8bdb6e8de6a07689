"""What the command line offers: one field, one option; every hyper-parameter of each world among them."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from lessons.worlds import ALL, WITH_MODEL, World, load
from rl_core.errors import InvalidArgument, RLCoreError, check_at_least


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model the language world has."""

    model: str | None = None
    """A real chat model for the language world: smollm2, a transformers id, or a folder; default: the small one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of a real model's weights."""
    lora: int = 8
    """Rank of the adapter that a real model learns in; 0: all of its weights learn."""


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """How to run."""

    seed: int = 0
    """Of every generator in the run."""
    device: str = "cpu"
    """Where tensors live: cpu, cuda, cuda:1."""
    threads: int = 1
    """CPU threads of torch. More are slower where cores are busy, and sum in another order, which changes results."""
    out: Path = Path("runs")
    """Folder in which the run's own folder is made."""
    quick: bool = False
    """A smoke run: three iterations, and quick looks at the truth."""
    start: Literal["reference", "scratch"] | None = None
    """Where both policies start; default: as each world's options say (reference)."""
    resume: Path | None = None
    """A run's folder, to go on where it was interrupted; all other options are then the run's own."""

    def load(self, name: str) -> World:
        """Return the world of that name, with the model that was asked for."""
        return load(name, model=self.model, dtype=self.dtype, lora=self.lora)

    def dtype_of(self, name: str) -> str:
        """Return the type of that world's weights: --dtype is a real model's."""
        return self.dtype if self.model is not None and name in WITH_MODEL else "float32"


def parse_command_line(
    options: type[Options], table: Mapping[str, Any], worlds: Sequence[str] | None, *, description: str
) -> tuple[Options, dict[str, Any]]:
    """Return the command line's options beside each world's configuration, whose fields are options as well.

    `worlds` None asks for one with --world. The defaults are those of the worlds, and of the --model, that are named.
    """
    given = sys.argv[1:]
    known = tuple(name for name in ALL if name in table)
    where = Annotated[Literal[known], tyro.conf.arg(help="Where to run; with it, --help shows every option.")]  # type: ignore[valid-type]
    asked = [("world", where)] if worlds is None else []
    is_known = worlds is not None or any(word.startswith("--world") for word in given)
    choice = make_dataclass("Choice", asked, bases=(ModelOptions,), frozen=True, kw_only=True)
    chosen, _ = tyro.cli(choice, args=given, return_unknown_args=True, add_help=not is_known)
    names = (chosen.world,) if worlds is None else worlds
    if worlds is None:
        own = make_dataclass("World", asked)
        _, given = tyro.cli(own, args=given, return_unknown_args=True, add_help=False)
    if chosen.model is not None and not set(names) & set(WITH_MODEL):
        raise InvalidArgument(
            f"model={chosen.model!r}: the world {names[0]} has none to choose; pass --world language."
        )
    columns = {name: load(name, model=chosen.model, dtype=chosen.dtype, lora=chosen.lora).settings for name in names}
    configs = [(name, type(table[key]), field(default=table[key])) for name, key in columns.items()]
    command = make_dataclass("Command", configs, bases=(options,), frozen=True, kw_only=True)
    parsed: Any = tyro.cli(command, args=given, description=description)
    own_options = {item.name: getattr(parsed, item.name) for item in fields(options)}
    return options(**own_options), {name: getattr(parsed, name) for name in names}


def configure_torch(device: str, threads: int) -> None:
    """Nothing; torch uses that many threads, and an error tells now of a device that is not there."""
    check_at_least("threads", threads, 1)
    torch.set_num_threads(threads)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidArgument(f"device={device!r}, but torch sees no CUDA; pass --device cpu.")
    try:
        torch.empty(1, device=device)
    except RuntimeError as error:
        raise InvalidArgument(f"device={device!r} cannot be used ({error}); pass cpu, cuda or cuda:1.") from error


def writable_folder(folder: Path) -> Path:
    """Return the folder, made if need be, after a trial that it can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InvalidArgument(f"out={str(folder)!r} cannot be written ({error}); pass another folder.") from error


def new_folder(out: Path) -> Path:
    """Return the folder of a new run, named by the time, which no other run has."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    taken = len(list(out.glob(f"{stamp}*"))) if out.is_dir() else 0
    return writable_folder(out / (f"{stamp}-{taken}" if taken else stamp))


def exit_with(error: RLCoreError) -> None:
    """Nothing; leaves the program with the error's own words, which say what to do, and no traceback."""
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(2)


def machine_info() -> dict[str, Any]:
    """Return what a result depends on besides its seed."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "cores": os.cpu_count(), "gpu": card}
