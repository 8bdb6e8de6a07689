"""One optimizer step on one minibatch, in as many forward passes as memory asks for."""

from collections.abc import Callable, Iterable
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument
from rl_core.types import Episodes, Metrics

LARGEST = ("ratio_gap",)  # of a step's parts the largest is told; of any other metric the mean


class Rows(Protocol):
    """Episodes, or pairs of them."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def rows(self, index: Tensor | slice) -> Self:
        """Return the chosen rows."""
        ...


AnyRows = TypeVar("AnyRows", bound=Rows)


def live_cells(part: Episodes) -> int:
    """Return how many steps count: the weight of a part in a mean over steps."""
    return int(part.mask.sum())


def live_rows(part: Episodes) -> int:
    """Return how many rows have a step that counts: the weight of a part in a mean over episodes."""
    return int(part.mask.any(dim=1).sum())


def optimizer_step(
    optimizer: torch.optim.Optimizer,
    minibatch: AnyRows,
    loss_of: Callable[[AnyRows], tuple[Tensor, Metrics]],
    *,
    weight_of: Callable[[AnyRows], int],
    micro_rows: int | None,
    max_grad_norm: float | None,
    whole: float | None = None,
) -> Metrics:
    """Return the metrics of one step down the gradient of a mean loss.

    The rows are taken `micro_rows` at a time (None: all at once), and each part's loss, a mean over `weight_of(part)`
    things, is weighted by its share of the `whole` (None: of the minibatch). A mean of means would weight a token of a
    short answer more than one of a long answer.
    """
    optimizer.zero_grad()
    total = weight_of(minibatch) if whole is None else whole
    metrics: Metrics = {}
    for index in torch.arange(len(minibatch)).split(micro_rows or len(minibatch)):
        part = minibatch.rows(slice(int(index[0]), int(index[-1]) + 1))
        weight = weight_of(part)
        if not weight:
            continue
        loss, found = loss_of(part)
        if not loss.isfinite():
            raise InvalidArgument(
                f"loss={loss.item()}; lower the learning rate, or look for NaN in rewards and values."
            )
        if not loss.requires_grad:
            raise InvalidArgument("network has no weight that learns; call requires_grad_(True) on those that shall.")
        share = weight / total
        (share * loss).backward()
        for name, value in found.items():
            known = metrics.get(name, 0.0)
            metrics[name] = max(known, value) if name in LARGEST else known + share * value
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    limit = float("inf") if max_grad_norm is None else max_grad_norm
    metrics["grad_norm"] = torch.nn.utils.clip_grad_norm_(parameters, limit).item()
    optimizer.step()
    return metrics


def mean_metrics(metrics: Iterable[Metrics]) -> Metrics:
    """Return the mean of each metric over the steps of an update."""
    steps = list(metrics)
    return {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
