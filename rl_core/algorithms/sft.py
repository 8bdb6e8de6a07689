"""Supervised fine-tuning: one pass over what was shown."""

from dataclasses import dataclass

import torch

from rl_core.config import Config, Count, Positive
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions
from rl_core.interfaces import Network
from rl_core.losses.sft import sft_loss
from rl_core.minibatches import grouped_by_length
from rl_core.optimize import live_cells, mean_metrics, optimizer_step
from rl_core.types import Episodes, Metrics


@dataclass(frozen=True)
class SFTConfig(Config):
    """What one pass of SFT reads."""

    minibatch_rows: Count = 64
    """Rows (after cutting, where the network has no memory) in a step; >= 1."""
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
    shown = episodes.as_steps() if network.memoryless else episodes.rows(episodes.mask.any(dim=1))

    steps = []
    deal = grouped_by_length(shown.mask.sum(dim=1), config.minibatch_rows, generator)
    # All minibatches are divided by one number. Divided by its own, the tokens of short answers, which come together,
    # would weigh more than those of long ones, and the model would learn to be brief.
    cells = float(shown.mask.sum()) / len(deal)
    for index in deal:
        steps.append(
            optimizer_step(
                optimizer,
                shown.rows(index).trim(),
                lambda part: sft_loss(evaluate_actions(network, part).logprobs, part.mask),
                weight_of=live_cells,
                micro_rows=config.micro_rows,
                max_grad_norm=config.max_grad_norm,
                whole=cells,
            )
        )
    return mean_metrics(steps) | {"steps": float(episodes.mask.sum())}
