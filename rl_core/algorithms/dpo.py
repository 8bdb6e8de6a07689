"""Direct preference optimisation: one pass over pairs, as a classification of which one was preferred."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor

from rl_core.checks import check_pairs, check_reference, check_starts
from rl_core.config import Config, Count, Positive, Several
from rl_core.errors import InvalidArgument, check_below
from rl_core.evaluate import evaluate_actions
from rl_core.interfaces import Network
from rl_core.losses.dpo import dpo_loss, ipo_loss, smoothed_dpo_loss
from rl_core.losses.reward_model import ranking_accuracy
from rl_core.minibatches import grouped_by_length
from rl_core.optimize import mean_metrics, optimizer_step
from rl_core.pairs import Pairs, ReferencedPairs
from rl_core.types import Episodes, Metrics


@dataclass(frozen=True)
class DPOConfig(Config):
    """What one pass of DPO reads."""

    beta: Positive = 0.1
    """Reward per nat, > 0: the larger, the closer to the reference."""
    loss: Literal["dpo", "ipo"] = "dpo"
    """dpo, or ipo, whose margin has a target."""
    label_smoothing: Annotated[float, partial(check_below, low=0, high=0.5)] = 0.0
    """Share of labels believed to be flipped, in [0, 0.5); for dpo alone."""
    minibatch_rows: Count = 32
    """Pairs in a step, >= 1."""
    micro_rows: Several | None = None
    """Rows in memory at once, >= 2, for a pair has two; None: the whole minibatch. Changes memory, not the result."""
    max_grad_norm: Positive | None = 1.0
    """Largest norm of the gradient, > 0; None: no limit."""

    def __post_init__(self) -> None:
        """Check every field, and that the loss has the smoothing."""
        super().__post_init__()
        if self.label_smoothing and self.loss != "dpo":
            raise InvalidArgument(f"label_smoothing={self.label_smoothing} with loss={self.loss!r}; only dpo has it.")


def dpo(
    network: Network,
    reference: Network,
    optimizer: torch.optim.Optimizer,
    pairs: Pairs,
    config: DPOConfig,
    generator: torch.Generator,
) -> Metrics:
    """Return the metrics of one pass over the pairs.

    For several passes over the same pairs, give them `with_reference` once: the reference does not change, so that what
    it says of them need not be computed again.
    """
    if reference is None:
        raise InvalidArgument("reference is None, and DPO's reward is measured from one; pass a frozen copy.")
    check_reference(network, reference)
    check_pairs(pairs)
    if not isinstance(pairs, ReferencedPairs):
        pairs = with_reference(reference, pairs, rows=config.micro_rows or config.minibatch_rows)

    updates: list[Metrics] = []
    for index in grouped_by_length(pairs.lengths(), config.minibatch_rows, generator):
        update = optimizer_step(
            optimizer,
            pairs.rows(index).trim(),
            lambda part: _loss(network, part, config),
            weight_of=len,
            micro_rows=config.micro_rows and config.micro_rows // 2,  # a pair has two rows
            max_grad_norm=config.max_grad_norm,
        )
        updates.append(update)
    return mean_metrics(updates) | pairs.counts()


def _loss(network: Network, part: ReferencedPairs, config: DPOConfig) -> tuple[Tensor, Metrics]:
    """Return the loss of some pairs and its metrics."""
    chosen, rejected = (episode_logprobs(network, episodes) for episodes in (part.chosen, part.rejected))
    ref = (part.ref_chosen, part.ref_rejected)
    if config.loss == "ipo":
        return ipo_loss(chosen, rejected, *ref, beta=config.beta)
    if config.label_smoothing:
        return smoothed_dpo_loss(chosen, rejected, *ref, beta=config.beta, label_smoothing=config.label_smoothing)
    return dpo_loss(chosen, rejected, *ref, beta=config.beta)


def episode_logprobs(network: Network, episodes: Episodes) -> Tensor:
    """Return log π of each whole episode given its start, [N], nats: the sum over the steps that count."""
    return evaluate_actions(network, episodes).logprobs.sum(dim=1)


@torch.no_grad()
def with_reference(reference: Network, pairs: Pairs, *, rows: int = 64) -> ReferencedPairs:
    """Return the pairs with what the reference says of them, computed `rows` pairs at a time."""
    check_pairs(pairs)
    check_starts(pairs)
    ref_chosen, ref_rejected = [], []
    for part in pairs.in_parts(rows):
        ref_chosen.append(episode_logprobs(reference, part.chosen))
        ref_rejected.append(episode_logprobs(reference, part.rejected))
    return ReferencedPairs(pairs.chosen, pairs.rejected, torch.cat(ref_chosen), torch.cat(ref_rejected))


@torch.no_grad()
def implicit_accuracy(network: Network, pairs: ReferencedPairs, *, rows: int = 64) -> float:
    """Return the share of pairs in which the policy's own reward, β log π/π_ref, is higher for the chosen one."""
    now = with_reference(network, pairs, rows=rows)
    return ranking_accuracy(now.ref_chosen - pairs.ref_chosen, now.ref_rejected - pairs.ref_rejected)
