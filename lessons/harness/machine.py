"""The machine that a program runs on: its device and threads, its folders, its words."""

import io
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from rl_core.device import usable_device
from rl_core.errors import InvalidArgument, RLCoreError, check_between

INTERRUPTED = 130
"""The exit status that a shell gives to a program that Ctrl-C ended."""
MOST_THREADS = 1024
"""More than any machine has cores."""


def write_utf8() -> None:
    """Write UTF-8 to the screen, a pipe or a file, whatever the system's own encoding is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's or a test's stream takes any text already
            stream.reconfigure(encoding="utf-8", errors="replace")


def program() -> str:
    """Return how the program under way was called, so that it can be called again."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {spec.name}" if spec is not None else f"python {sys.argv[0]}"


def resume_command(folder: Path, arguments: Sequence[str]) -> str:
    """Return the command that goes on with a run, to be pasted into a shell."""
    return f"{program()} {shlex.join([*arguments, '--resume', str(folder)])}"


def configure_torch(device: str, threads: int) -> None:
    """Let torch use that many threads; raise InvalidArgument for a device that is not there."""
    check_between("threads", threads, 1, MOST_THREADS)
    torch.set_num_threads(threads)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidArgument(f"device={device!r}, but torch sees no CUDA; pass --device cpu.")
    usable_device(device)


def writable_folder(folder: Path) -> Path:
    """Return the folder, made if need be; raise InvalidArgument where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InvalidArgument(f"out={str(folder)!r} cannot be written ({error}); pass another folder.") from error


def new_folder(out: Path, algorithm: str, worlds: Sequence[str]) -> Path:
    """Return a new folder for a run, named by its time, algorithm and worlds; two runs never share one."""
    writable_folder(out)
    name = "-".join([datetime.now().strftime("%Y%m%d-%H%M%S"), algorithm, *worlds])
    number = 0
    while True:
        folder = out / (f"{name}-{number}" if number else name)
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # another run was quicker
            number += 1


def exit_with(error: RLCoreError) -> None:
    """Leave the program with the error's own words, which say what to do, and no traceback."""
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(2)


def machine_info() -> dict[str, Any]:
    """Return what a result depends on besides its seed."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "cores": os.cpu_count(), "gpu": card}
