"""One optimizer step on one minibatch, in as many forward passes as memory asks for."""

from collections.abc import Callable, Iterable
from math import hypot, isfinite
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument
from rl_core.types import Episodes, Metrics

LARGEST = ("ratio_gap",)  # of a step's parts the largest is reported; of any other metric the mean


class Sliceable(Protocol):
    """Episodes, or pairs of them."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def rows(self, index: Tensor | slice) -> Self:
        """Return the chosen rows."""
        ...

    def trim(self) -> Self:
        """Return the same rows without the columns that are padding in all of them."""
        ...


AnySliceable = TypeVar("AnySliceable", bound=Sliceable)


def live_cells(part: Episodes) -> int:
    """Return how many steps count: the weight of a part in a mean over steps."""
    return int(part.mask.sum())


def live_rows(part: Episodes) -> int:
    """Return how many rows have a step that counts: the weight of a part in a mean over episodes."""
    return int(part.mask.any(dim=1).sum())


def optimizer_step(
    optimizer: torch.optim.Optimizer,
    minibatch: AnySliceable,
    loss_of: Callable[[AnySliceable], tuple[Tensor, Metrics]],
    *,
    weight_of: Callable[[AnySliceable], int],
    micro_rows: int | None,
    max_grad_norm: float | None,
    total_weight: float | None = None,
) -> Metrics:
    """Return the metrics of one step down the gradient of a mean loss.

    The rows are taken `micro_rows` at a time (None: all at once), and each part's loss, a mean over `weight_of(part)`
    things, is weighted by its share of `total_weight` (None: that of the minibatch). A mean of means would weight a
    token of a short answer more than one of a long answer.

    Parts are gathered as `evaluate_in` gathers them: a matrix product of the same numbers may differ in its last bit
    with where they lie in memory, and the first ratio is to be exactly 1.

    Raises InvalidArgument, with every weight as it was, when nothing learns, when the optimizer is that of another
    network, and when the loss or its gradient is not finite.
    """
    optimizer.zero_grad()
    total_weight = weight_of(minibatch) if total_weight is None else total_weight
    metrics: Metrics = {}
    for index in torch.arange(len(minibatch)).split(micro_rows or len(minibatch)):
        part = minibatch.rows(index).trim()
        weight = weight_of(part)
        if not weight:
            continue
        loss, part_metrics = loss_of(part)
        if not loss.isfinite():
            raise InvalidArgument(
                f"loss={loss.item()}; lower the learning rate, or look for NaN in rewards and values."
            )
        if not loss.requires_grad:
            raise InvalidArgument(
                "network has no weight that learns; pass one that is not frozen, or set requires_grad of some weights."
            )
        share = weight / total_weight
        (share * loss).backward()
        for name, value in part_metrics.items():
            so_far = metrics.get(name, 0.0)
            metrics[name] = max(so_far, value) if name in LARGEST else so_far + share * value
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if all(parameter.grad is None for parameter in parameters):
        raise InvalidArgument(
            "optimizer holds no weight that the loss depends on; build it from the parameters of the network you pass."
        )
    limit = float("inf") if max_grad_norm is None else max_grad_norm
    # Each group by itself: a critic's gradient grows with the returns, and would leave the policy a fraction of a step.
    norms = [torch.nn.utils.clip_grad_norm_(group["params"], limit).item() for group in optimizer.param_groups]
    grad_norm = hypot(*norms)
    if not isfinite(grad_norm):
        raise InvalidArgument(
            f"grad_norm={grad_norm} of a finite loss, and no step was taken; lower the learning rate, or look "
            "for a root or a logarithm at 0 in the network."
        )
    optimizer.step()
    return metrics | {"grad_norm": grad_norm}


def mean_metrics(metrics: Iterable[Metrics]) -> Metrics:
    """Return the mean of each metric over the optimizer steps of an update."""
    updates = list(metrics)
    return {name: sum(update[name] for update in updates) / len(updates) for name in updates[0]}
