"""Training of a reward model: one pass over pairs, until the preferred episode scores higher."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rl_core.checks import check_pairs
from rl_core.config import Config, Count, Positive, Several
from rl_core.interfaces import Scorer
from rl_core.losses.reward_model import bradley_terry_loss, ranking_accuracy
from rl_core.masked import select
from rl_core.minibatches import grouped_by_length
from rl_core.optimize import mean_metrics, optimizer_step
from rl_core.pairs import Pairs
from rl_core.types import Episodes, Metrics


@dataclass(frozen=True)
class RewardModelConfig(Config):
    """What one pass of reward-model training reads."""

    minibatch_rows: Count = 32
    """Pairs in a step, >= 1."""
    micro_rows: Several | None = None
    """Rows in memory at once, >= 2, for a pair has two; None: the whole minibatch. Changes memory, not the result."""
    max_grad_norm: Positive | None = 1.0
    """Largest norm of the gradient, > 0; None: no limit."""


def reward_model(
    scorer: Scorer,
    optimizer: torch.optim.Optimizer,
    pairs: Pairs,
    config: RewardModelConfig,
    generator: torch.Generator,
) -> Metrics:
    """Return the metrics of one pass over the pairs, each chosen episode made to score higher than its rejected one."""
    check_pairs(pairs)
    updates: list[Metrics] = []
    for index in grouped_by_length(pairs.lengths(), config.minibatch_rows, generator):
        update = optimizer_step(
            optimizer,
            pairs.rows(index).trim(),
            lambda part: _loss(scorer, part),
            weight_of=len,
            micro_rows=config.micro_rows and config.micro_rows // 2,  # a pair has two rows
            max_grad_norm=config.max_grad_norm,
        )
        updates.append(update)
    return mean_metrics(updates) | pairs.counts()


def _loss(scorer: Scorer, part: Pairs) -> tuple[Tensor, Metrics]:
    """Return the loss of some pairs and its metrics."""
    return bradley_terry_loss(episode_scores(scorer, part.chosen), episode_scores(scorer, part.rejected))


def episode_scores(scorer: Scorer, episodes: Episodes) -> Tensor:
    """Return each whole episode's score, [N], with gradient: the sum of its rewards."""
    return select(scorer.score(episodes), episodes.mask).sum(dim=1)


@torch.no_grad()
def accuracy(scorer: Scorer, pairs: Pairs, *, rows: int = 64) -> float:
    """Return the share of pairs whose chosen episode scores higher, ties half."""
    check_pairs(pairs)
    chosen, rejected = [], []
    for part in pairs.in_parts(rows):
        chosen.append(episode_scores(scorer, part.chosen))
        rejected.append(episode_scores(scorer, part.rejected))
    return ranking_accuracy(torch.cat(chosen), torch.cat(rejected))


@torch.no_grad()
def typical_reward(scorer: Scorer, pairs: Pairs, *, rows: int = 64) -> float:
    """Return the root mean square of the rewards that are not 0, over all episodes of the pairs.

    Preferences do not tell the size of a reward. Divided by this, that of a pole is about 1 a step, and that of a text
    about 1 an answer, as the rewards that the worlds give.
    """
    check_pairs(pairs)
    nonzero = []
    for part in pairs.in_parts(rows):
        for episodes in (part.chosen, part.rejected):
            rewards = select(scorer.score(episodes), episodes.mask)
            nonzero.append(rewards[rewards != 0])
    size = torch.cat(nonzero).square().mean().sqrt().item()
    return size if size > 0 else 1.0  # a model that has learned nothing says 0 everywhere
