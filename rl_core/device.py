"""Where tensors live."""

import torch

from rl_core.errors import InvalidArgument


def usable_device(device: torch.device | str) -> torch.device:
    """Return the device of that name; raise InvalidArgument where it cannot be used."""
    try:
        torch.empty(1, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise InvalidArgument(f"device={device!r} cannot be used ({reason}); pass cpu, cuda or cuda:1.") from error
