"""The weights that ship with the world, and those that a run saved."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rl_core.errors import CheckpointError

MODELS = Path(__file__).parent / "models"
STARTS = ("reference", "base", "scratch")


def fill(module: nn.Module, path: Path, start: str) -> None:
    """Load a file's weights into the module; raise CheckpointError that tells what may be passed as `start`."""
    if not path.is_file():
        raise CheckpointError(f"start={start!r}: {path} does not exist; pass {', '.join(STARTS)} or a folder.")
    try:
        module.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"start={start!r}: {path} is broken, or of another network ({reason}); make or save it again."
        ) from error
