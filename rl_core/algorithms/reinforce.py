"""REINFORCE, with the mean or the others of its group as the baseline: one step on what was just played."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rl_core.advantages import group_advantages, kl_shaped_rewards, leave_one_out_advantages, on_every_step
from rl_core.checks import check_groups, check_reference, diagnose, live_rows_of
from rl_core.config import Config, Count, NonNegative, Positive
from rl_core.errors import check_count
from rl_core.evaluate import evaluate_actions, evaluate_old
from rl_core.interfaces import Network
from rl_core.losses.policy_gradient import policy_gradient_loss
from rl_core.optimize import live_cells, optimizer_step
from rl_core.types import Batch, Metrics, Rollout


@dataclass(frozen=True)
class ReinforceConfig(Config):
    """What one update of REINFORCE reads."""

    baseline: Literal["none", "mean", "leave_one_out"] = "leave_one_out"
    """Taken from each return: none, the mean of all episodes, or leave_one_out (the mean of the group's others)."""
    group_size: Count = 4
    """Episodes from one start, >= 1; leave_one_out needs 2."""
    beta: NonNegative = 0.0
    """Reward lost per nat of KL to the reference, >= 0."""
    micro_rows: Count | None = None
    """Rows in a forward pass; None: all. Changes memory, not the result."""
    max_grad_norm: Positive | None = 1.0
    """Largest norm of the gradient, > 0; None: no limit."""
    max_sampler_gap: Positive | None = 1e-4
    """Largest difference to the log-probabilities recorded while playing, nats, > 0; None: no guard."""

    def __post_init__(self) -> None:
        """Check every field, and that no episode is its own baseline."""
        super().__post_init__()
        check_count("group_size", self.group_size, 2 if self.baseline == "leave_one_out" else 1)


def reinforce(
    network: Network,
    reference: Network | None,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    config: ReinforceConfig,
    generator: torch.Generator,
) -> Metrics:
    """Return the metrics of one step on a rollout of whole episodes, `group_size` rows from each start.

    There is nothing to draw in one step on all rows; the generator is passed as to every other update.

    The KL to the reference is in the reward (k1), as in `ppo`; without a reference it is 0. One step and no more: the
    gradient is that of the policy that played.
    """
    check_reference(network, reference)
    check_groups(rollout, config.group_size if config.baseline == "leave_one_out" else 1)
    live = live_rows_of(rollout)
    everything = [torch.arange(len(rollout), device=rollout.mask.device)]
    logprobs, ref_logprobs, _ = evaluate_old(
        network, reference, rollout.episodes(), everything, micro_rows=config.micro_rows
    )
    metrics = diagnose(rollout, logprobs, ref_logprobs, max_sampler_gap=config.max_sampler_gap)

    rewards = kl_shaped_rewards(rollout.rewards, logprobs, ref_logprobs, rollout.mask, beta=config.beta)
    advantages = episode_advantages(rewards.sum(dim=1), live, config)  # [B]
    batch = Batch.of(
        rollout,
        logprobs=logprobs,
        ref_logprobs=ref_logprobs,
        advantages=on_every_step(advantages, rollout.mask),
    )
    update = optimizer_step(
        optimizer,
        batch,
        lambda part: _loss(network, part),
        weight_of=live_cells,
        micro_rows=config.micro_rows,
        max_grad_norm=config.max_grad_norm,
    )
    return update | metrics


def _loss(network: Network, part: Batch) -> tuple[Tensor, Metrics]:
    """Return the loss of some rows and its metrics."""
    now = evaluate_actions(network, part)
    loss, metrics = policy_gradient_loss(now.logprobs, part.advantages, part.mask)
    return loss, metrics | {"entropy": now.mean_entropy(part.mask)}


def episode_advantages(episode_returns: Tensor, counts: Tensor, config: ReinforceConfig) -> Tensor:
    """Return each episode's return less its baseline, [B]; 0 for an episode that does not count."""
    if config.baseline == "leave_one_out":
        return leave_one_out_advantages(episode_returns, config.group_size, counts=counts)
    if config.baseline == "mean":
        check_count("rollout's rows", len(episode_returns), 2)  # the mean of one return is itself
        return group_advantages(episode_returns, len(episode_returns), scale=False, counts=counts)
    return torch.where(counts, episode_returns, 0.0)
