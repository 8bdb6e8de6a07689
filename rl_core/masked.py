"""Sums, means and selections over the cells that count (mask True), blind to whatever the others hold."""

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument


def select(x: Tensor, mask: Tensor) -> Tensor:
    """Return x where the mask is True and exactly 0 elsewhere.

    Select before any arithmetic, never after: a NaN or inf that reaches `exp` or a product gives NaN gradients
    even where the result is thrown away, since inf * 0 is NaN.
    """
    check_same_shape(mask, x=x)
    return torch.where(mask, x, 0.0)


def masked_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of x over the cells that count, a scalar."""
    return select(x, mask).sum()


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of x over the cells that count, a scalar; InvalidArgument when none counts."""
    if not mask.any():
        raise InvalidArgument(f"mask of shape {tuple(mask.shape)} is False everywhere; pass at least one live cell.")
    return masked_sum(x, mask) / mask.sum()


def rounding_noise(x: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the deviation that rounding alone may leave in cells of x that are equal, of all or along an axis (kept).

    Rounding leaves about eps of a constant's size; dividing by that would turn equal numbers into ±1.
    """
    sizes = select(x, mask).abs()
    return 10 * torch.finfo(x.dtype).eps * (sizes.max() if dim is None else sizes.amax(dim=dim, keepdim=True))


def check_same_shape(mask: Tensor, **tensors: Tensor) -> None:
    """Nothing; InvalidArgument when a tensor has another shape than the mask."""
    check_alike(**tensors, mask=mask)


def check_alike(**tensors: Tensor) -> None:
    """Nothing; InvalidArgument when a tensor has another shape than the last one.

    Broadcasting [B] against [B, T] is silent when B == T, so no loss may rely on it.
    """
    last, expected = list(tensors.items())[-1]
    for name, tensor in tensors.items():
        if tensor.shape != expected.shape:
            raise InvalidArgument(
                f"{name} has shape {tuple(tensor.shape)}, {last} has {tuple(expected.shape)}; "
                "give every cell its own number, with no broadcasting."
            )
