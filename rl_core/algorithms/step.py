"""One optimizer step on one minibatch, in as many forward passes as memory asks for."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument
from rl_core.types import Episodes, Metrics

Rows = TypeVar("Rows", bound=Episodes)


def optimizer_step(
    optimizer: torch.optim.Optimizer,
    minibatch: Rows,
    loss_of: Callable[[Rows], tuple[Tensor, Metrics]],
    *,
    micro_rows: int | None,
    max_grad_norm: float | None,
    cells: float | None = None,
) -> Metrics:
    """Return the metrics of one step down the gradient of the mean loss over `cells` live cells (None: all there are).

    The rows are taken `micro_rows` at a time (None: all at once), and each part's loss is weighted by its share of the
    cells. A mean of means would weight a token of a short answer more than one of a long answer.
    """
    optimizer.zero_grad()
    live = int(minibatch.mask.sum()) if cells is None else cells
    metrics: Metrics = {}
    for index in torch.arange(len(minibatch), device=minibatch.mask.device).split(micro_rows or len(minibatch)):
        part = minibatch.rows(index)
        if not part.mask.any():
            continue
        share = int(part.mask.sum()) / live
        loss, found = loss_of(part)
        if not loss.isfinite():
            raise InvalidArgument(
                f"loss={loss.item()}; lower the learning rate, or look for NaN in rewards and values."
            )
        (share * loss).backward()
        for name, value in found.items():
            metrics[name] = metrics.get(name, 0.0) + share * value
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    limit = float("inf") if max_grad_norm is None else max_grad_norm
    metrics["grad_norm"] = torch.nn.utils.clip_grad_norm_(parameters, limit).item()
    optimizer.step()
    return metrics


def mean_metrics(metrics: Iterable[Metrics]) -> Metrics:
    """Return the mean of each metric over the steps of an update."""
    steps = list(metrics)
    return {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
