"""Proximal policy optimisation: several passes over what was just played."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rl_core.advantages import gae, kl_shaped_rewards, normalize, with_last
from rl_core.checks import check_reference, diagnose, first_ratio, live_rows_of
from rl_core.config import Config, Count, NonNegative, Positive, Share
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions, evaluate_old, last_values, learning_rows
from rl_core.interfaces import Network
from rl_core.losses.ppo import ppo_loss
from rl_core.masked import masked_mean, rounding_noise, select
from rl_core.minibatches import possible_minibatches, shuffled
from rl_core.optimize import live_cells, mean_metrics, optimizer_step
from rl_core.types import Metrics, Rollout, ValuedBatch


@dataclass(frozen=True)
class PPOConfig(Config):
    """What one update of PPO reads."""

    gamma: Share = 0.99
    """Discount per step, in [0, 1]."""
    lam: Share = 0.95
    """λ of the advantage estimate, in [0, 1]."""
    beta: NonNegative = 0.0
    """Reward lost per nat of KL to the reference, >= 0."""
    clip: Positive | None = 0.2
    """Clip range ε of the ratio, > 0; None: no clipping."""
    value_clip: Positive | None = None
    """Clip range of the value, in units of the return, > 0; None: no clipping."""
    value_weight: NonNegative = 0.5
    """Weight of the critic's loss (vf_coef), >= 0."""
    entropy_weight: NonNegative = 0.0
    """Weight of the entropy bonus (ent_coef), >= 0."""
    epochs: Count = 4
    """Passes over the rollout, >= 1."""
    minibatches: Count = 4
    """Minibatches in a pass, >= 1."""
    micro_rows: Count | None = None
    """Rows in a forward pass; None: the whole minibatch. Changes memory, not the result."""
    max_grad_norm: Positive | None = 0.5
    """Largest norm of the gradient of each of the optimizer's groups, > 0; None: no limit."""
    max_sampler_gap: Positive | None = 1e-4
    """Largest difference to the log-probabilities recorded while playing, nats, > 0; None: no guard."""
    max_first_ratio_gap: Positive | None = 1e-4
    """Largest |ratio - 1| in the first minibatch, > 0; None: no guard. Checked at the end of the update."""


def ppo(
    network: Network,
    reference: Network | None,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    config: PPOConfig,
    generator: torch.Generator,
) -> Metrics:
    """Return the metrics of one update on one rollout; without a reference the KL is 0."""
    check_reference(network, reference)
    cells = rollout.mask.numel()
    rollout = rollout.rows(live_rows_of(rollout))

    # Minibatches are of single steps for an MLP, which are shuffled freely, and of whole answers for a language model.
    rows = learning_rows(network, rollout.episodes())
    count = possible_minibatches(config.minibatches, live=len(rows), most=cells // rows.mask.shape[1])
    minibatches = shuffled(len(rows), count, generator)

    # Old is what the network says before it changes, in the very minibatches that it then learns from.
    batch = played_batch(network, reference, rollout, config, minibatches)
    metrics = diagnose(rollout, batch.logprobs, batch.ref_logprobs, max_sampler_gap=config.max_sampler_gap)
    metrics["explained_variance"] = explained_variance(batch)

    # Several passes over the same rollout: the ratio leaves 1, and the clip ends what a step can gain.
    parts = learning_rows(network, batch)
    updates: list[Metrics] = []
    for epoch in range(config.epochs):
        if epoch:
            minibatches = shuffled(len(rows), count, generator)
        for index in minibatches:
            update = optimizer_step(
                optimizer,
                parts.rows(index),
                lambda part: _loss(network, part, config),
                weight_of=live_cells,
                micro_rows=config.micro_rows,
                max_grad_norm=config.max_grad_norm,
            )
            updates.append(update)
    ratio = first_ratio(updates[0], max_first_ratio_gap=config.max_first_ratio_gap)
    return mean_metrics(updates) | metrics | {"first_ratio": ratio}


def played_batch(
    network: Network,
    reference: Network | None,
    rollout: Rollout,
    config: PPOConfig,
    minibatches: Sequence[Tensor] | None = None,
) -> ValuedBatch:
    """Return the rollout with its old log-probabilities and values, its advantages and its returns, [B, T].

    The minibatches are indices of `learning_rows` of its episodes; None: all rows in order.
    """
    rows = learning_rows(network, rollout.episodes())
    in_order = [torch.arange(len(rows), device=rows.mask.device)]
    old = evaluate_old(network, reference, rows, minibatches or in_order, micro_rows=config.micro_rows)
    logprobs, ref_logprobs, values = (rollout.as_rows(x) for x in old)  # [B, T]

    # The KL is charged in the reward, so that what the critic learns to foresee contains its price.
    rewards = kl_shaped_rewards(rollout.rewards, logprobs, ref_logprobs, rollout.mask, beta=config.beta)
    # A row that was cut off bootstraps from V of what it saw last; one that terminated, from 0.
    last = last_values(network, rollout, micro_rows=config.micro_rows)
    all_seen = with_last(values, last, rollout.mask)  # [B, T + 1]
    advantages, returns = gae(rewards, all_seen, rollout.terminated, rollout.mask, gamma=config.gamma, lam=config.lam)
    return ValuedBatch.of(
        rollout,
        logprobs=logprobs,
        ref_logprobs=ref_logprobs,
        advantages=normalize(advantages, rollout.mask),
        values=values,
        returns=returns,
        raw_advantages=advantages,
    )


def _loss(network: Network, part: ValuedBatch, config: PPOConfig) -> tuple[Tensor, Metrics]:
    """Return the loss of some rows and its metrics."""
    now = evaluate_actions(network, part)
    if config.value_weight and not now.values.requires_grad:
        raise InvalidArgument(
            f"value_weight={config.value_weight} and the network has no critic that learns; build it with one, or "
            "pass value_weight=0, and every state is worth what it says now."
        )
    return ppo_loss(
        now.logprobs,
        now.values,
        now.entropy,
        part.logprobs,
        part.values,
        part.advantages,
        part.returns,
        part.mask,
        clip=config.clip,
        value_clip=config.value_clip,
        value_weight=config.value_weight,
        entropy_weight=config.entropy_weight,
    )


def explained_variance(batch: ValuedBatch) -> float:
    """Return the share of the returns' variance that the old values explain; 0 where they vary by rounding alone."""
    returns, mask = batch.returns, batch.mask
    errors = select(returns - batch.values, mask)
    returns_variance = masked_mean((returns - masked_mean(returns, mask)).square(), mask)
    residual_variance = masked_mean((errors - masked_mean(errors, mask)).square(), mask)
    # A return is an advantage and a value added up again, so it is rounded as the larger of the two.
    noise = torch.maximum(rounding_noise(returns, mask), rounding_noise(batch.values, mask))
    return (1 - residual_variance / returns_variance).item() if returns_variance.sqrt() > noise else 0.0
