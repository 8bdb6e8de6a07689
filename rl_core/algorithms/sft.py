"""Supervised fine-tuning: one pass over what was shown."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rl_core.config import Config, Count, Positive
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions, learning_rows
from rl_core.interfaces import Network
from rl_core.losses.sft import sft_loss
from rl_core.minibatches import grouped_by_length
from rl_core.optimize import live_cells, mean_metrics, optimizer_step
from rl_core.types import Episodes, Metrics


@dataclass(frozen=True)
class SFTConfig(Config):
    """What one pass of SFT reads."""

    minibatch_rows: Count = 64
    """Rows in an optimizer step, >= 1; for a network without memory, single actions."""
    micro_rows: Count | None = None
    """Rows in a forward pass; None: the whole minibatch. Changes memory, not the result."""
    max_grad_norm: Positive | None = 1.0
    """Largest norm of the gradient, > 0; None: no limit."""


def sft(
    network: Network,
    optimizer: torch.optim.Optimizer,
    episodes: Episodes,
    config: SFTConfig,
    generator: torch.Generator,
) -> Metrics:
    """Return the metrics of one pass over the episodes, each shown action made likelier.

    Pre-training is this with texts without a prompt whose every token counts; behaviour cloning is this with a drive.
    """
    if not episodes.mask.any():
        raise InvalidArgument(f"episodes hold {len(episodes)} rows and no action that counts; show at least one.")
    rows = learning_rows(network, episodes.rows(episodes.mask.any(dim=1)))
    minibatches = grouped_by_length(rows.mask.sum(dim=1), config.minibatch_rows, generator)
    # All minibatches are divided by one number. Divided by its own, the tokens of short answers, which come together,
    # would weigh more than those of long ones, and the model would learn to be brief.
    mean_cells = float(rows.mask.sum()) / len(minibatches)

    updates: list[Metrics] = []
    for index in minibatches:
        update = optimizer_step(
            optimizer,
            rows.rows(index).trim(),
            lambda part: _loss(network, part),
            weight_of=live_cells,
            micro_rows=config.micro_rows,
            max_grad_norm=config.max_grad_norm,
            total_weight=mean_cells,
        )
        updates.append(update)
    return mean_metrics(updates) | {"steps": float(episodes.mask.sum())}


def _loss(network: Network, part: Episodes) -> tuple[Tensor, Metrics]:
    """Return the loss of some rows and its metrics."""
    return sft_loss(evaluate_actions(network, part).logprobs, part.mask)
