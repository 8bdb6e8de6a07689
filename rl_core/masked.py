"""Sums, means and selections over the cells that count (mask True), blind to whatever the others hold.

Every function of the maths selects its own cells, so that each of them can be called alone, with three numbers.
"""

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument, InvalidType


def select(x: Tensor, mask: Tensor) -> Tensor:
    """Return x where the mask is True and exactly 0 elsewhere.

    Select before any arithmetic, never after: a NaN or inf that reaches `exp` or a product gives NaN gradients
    even where the result is thrown away, since inf * 0 is NaN. Raises InvalidType for a mask of numbers.
    """
    if mask.dtype != torch.bool:
        raise InvalidType(f"mask is of {mask.dtype}, and numbers do not say which cells count; pass mask.bool().")
    check_shapes(mask=mask, x=x)
    return torch.where(mask, x, 0.0)


def select_all(mask: Tensor, **tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors as given, each `select`ed; raise InvalidArgument unless all have the shape of the mask."""
    check_shapes(mask=mask, **tensors)
    return tuple(select(tensor, mask) for tensor in tensors.values())


def masked_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of x over the cells that count, a scalar."""
    return select(x, mask).sum()


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of x over the cells that count, a scalar; raise InvalidArgument where none counts."""
    check_any(mask)
    return masked_sum(x, mask) / mask.sum()


def rounding_noise(x: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the deviation that rounding alone may leave in cells of x that are equal, of all or along an axis (kept).

    Rounding leaves about eps of a constant's size; dividing by that would turn equal numbers into ±1.
    """
    sizes = select(x, mask).abs()
    return 10 * torch.finfo(x.dtype).eps * (sizes.max() if dim is None else sizes.amax(dim=dim, keepdim=True))


def check_any(mask: Tensor) -> None:
    """Raise InvalidArgument unless some cell counts."""
    if not mask.any():
        raise InvalidArgument(f"mask of shape {tuple(mask.shape)} is False everywhere; pass at least one live cell.")


def check_shapes(**tensors: Tensor) -> None:
    """Raise InvalidArgument unless all tensors have the shape of the first.

    Broadcasting [B] against [B, T] is silent when B == T, so no loss may rely on it.
    """
    first, expected = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        if tensor.shape != expected.shape:
            raise InvalidArgument(
                f"{name} has shape {tuple(tensor.shape)}, {first} has {tuple(expected.shape)}; "
                "give every cell its own number, with no broadcasting."
            )
