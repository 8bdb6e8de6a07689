"""Group-relative policy optimisation: the other answers to the same question are the critic."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from rl_core.advantages import group_advantages, kl_shaped_rewards, on_every_step
from rl_core.checks import check_groups, check_reference, diagnose, first_ratio, live_rows_of
from rl_core.config import Config, Count, NonNegative, Positive, Several
from rl_core.evaluate import evaluate_actions, evaluate_old
from rl_core.interfaces import Network
from rl_core.losses.grpo import grpo_loss
from rl_core.masked import select
from rl_core.minibatches import possible_minibatches, shuffled
from rl_core.optimize import live_cells, live_rows, mean_metrics, optimizer_step
from rl_core.types import Batch, Metrics, Rollout


@dataclass(frozen=True)
class GRPOConfig(Config):
    """What one update of GRPO reads."""

    group_size: Several = 8
    """Episodes from one start, which are compared with each other; >= 2."""
    scale: bool = True
    """Whether advantages are in standard deviations of their group; False is Dr. GRPO."""
    average: Literal["token", "episode"] = "token"
    """Of the loss: token (over all steps), or episode (over each episode's steps first, as in the paper)."""
    clip: Positive | None = 0.2
    """Clip range ε of the ratio, > 0; None: no clipping."""
    beta: NonNegative = 0.04
    """Price of a nat of KL to the reference, >= 0, in units of the advantage (loss) or of the return (reward)."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Where it is paid: loss (k3, as in the paper), or reward (k1, as in `ppo`; best without `scale`). See `grpo`."""
    epochs: Count = 1
    """Passes over the rollout, >= 1."""
    minibatches: Count = 4
    """Minibatches in a pass, >= 1."""
    micro_rows: Count | None = None
    """Rows in a forward pass; None: the whole minibatch. Changes memory, not the result."""
    max_grad_norm: Positive | None = 1.0
    """Largest norm of the gradient, > 0; None: no limit."""
    max_sampler_gap: Positive | None = 1e-4
    """Largest difference to the log-probabilities recorded while playing, nats, > 0; None: no guard."""
    max_first_ratio_gap: Positive | None = 1e-4
    """Largest |ratio - 1| in the first minibatch, > 0; None: no guard. Checked at the end of the update."""


def grpo(
    network: Network,
    reference: Network | None,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    config: GRPOConfig,
    generator: torch.Generator,
) -> Metrics:
    """Return the metrics of one update on a rollout of whole episodes, `group_size` rows from each start.

    No critic is asked: whether an episode went well is known from the others of its group alone. Without a reference
    the KL is 0. "Old" is evaluated as in `ppo`, so the first ratio is exactly 1.

    In the loss, the gradient of k3 is that of KL(π_ref || π): it holds on to what the reference does, and hardly minds
    a new habit that the reference never had. In the reward it is that of KL(π || π_ref): a new habit costs what the
    reference finds unlikely of it. To a judge who knows everything that is much the same; to a reward model, which has
    hardly seen the new mistakes, it is not. (That is so without `scale`: where all rewards of a group are equal, the KL
    in them is all that differs, and scaled it would count in full whatever its price.)
    """
    check_reference(network, reference)
    check_groups(rollout, config.group_size)
    if reference is None:
        config = replace(config, beta=0.0)  # no reference, no KL to pay for
    live = live_rows_of(rollout)  # [B]
    rollout = rollout.rows(live)
    count = possible_minibatches(config.minibatches, live=len(rollout), most=len(live))
    minibatches = shuffled(len(rollout), count, generator)

    # Old is what the network says before it changes, in the very minibatches that it then learns from.
    logprobs, ref_logprobs, _ = evaluate_old(
        network, reference, rollout.episodes(), minibatches, micro_rows=config.micro_rows
    )
    metrics = diagnose(rollout, logprobs, ref_logprobs, max_sampler_gap=config.max_sampler_gap)

    rewards = select(rollout.rewards, rollout.mask)
    if config.beta and config.kl_in == "reward":
        rewards = kl_shaped_rewards(rewards, logprobs, ref_logprobs, rollout.mask, beta=config.beta)
    # Rows that are discarded keep their place in their group, and take no part in it.
    returns = rewards.new_zeros(len(live)).masked_scatter(live, rewards.sum(dim=1))  # [B]
    advantages = group_advantages(returns, config.group_size, scale=config.scale, counts=live)[live]
    batch = Batch.of(
        rollout,
        logprobs=logprobs,
        ref_logprobs=ref_logprobs,
        advantages=on_every_step(advantages, rollout.mask),
    )

    # Whole episodes in every minibatch, with or without a memory: an episode's steps share one advantage.
    updates: list[Metrics] = []
    for epoch in range(config.epochs):
        if epoch:
            minibatches = shuffled(len(batch), count, generator)
        for index in minibatches:
            update = optimizer_step(
                optimizer,
                batch.rows(index),
                lambda part: _loss(network, part, config),
                weight_of=live_cells if config.average == "token" else live_rows,
                micro_rows=config.micro_rows,
                max_grad_norm=config.max_grad_norm,
            )
            updates.append(update)
    ratio = first_ratio(updates[0], max_first_ratio_gap=config.max_first_ratio_gap)
    return mean_metrics(updates) | metrics | {"first_ratio": ratio}


def _loss(network: Network, part: Batch, config: GRPOConfig) -> tuple[Tensor, Metrics]:
    """Return the loss of some rows and its metrics."""
    now = evaluate_actions(network, part)
    loss, metrics = grpo_loss(
        now.logprobs,
        part.logprobs,
        part.ref_logprobs,
        part.advantages,
        part.mask,
        clip=config.clip,
        beta=config.beta if config.kl_in == "loss" else 0.0,
        average=config.average,
    )
    return loss, metrics | {"entropy": now.mean_entropy(part.mask)}
