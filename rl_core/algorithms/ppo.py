"""Proximal policy optimisation: several passes over what was just played."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rl_core.advantages import gae, kl_shaped_rewards, normalize
from rl_core.checks import check_reference, diagnose, first_ratio, live_rows_of
from rl_core.config import Config, Count, NonNegative, Positive, Share
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions, evaluate_in
from rl_core.interfaces import Network
from rl_core.losses.ppo import ppo_loss
from rl_core.masked import masked_mean, rounding_noise, select
from rl_core.minibatches import parts_of, shuffled
from rl_core.optimize import live_cells, mean_metrics, optimizer_step
from rl_core.types import Batch, Episodes, Metrics, Rollout


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
    """How far a ratio may pay, > 0; None: no clip."""
    value_clip: Positive | None = None
    """How far a value may move, in units of the return, > 0; None: no clip."""
    value_weight: NonNegative = 0.5
    """Weight of the critic's loss, >= 0."""
    entropy_weight: NonNegative = 0.0
    """Weight of the entropy bonus, >= 0."""
    epochs: Count = 4
    """Passes over the rollout, >= 1."""
    minibatches: Count = 4
    """Parts into which a pass is dealt, >= 1."""
    micro_rows: Count | None = None
    """Rows in a forward pass; None: the whole minibatch. Changes memory, not the result."""
    max_grad_norm: Positive | None = 0.5
    """Largest norm of the gradient, > 0; None: no limit."""
    max_sampler_gap: Positive | None = 1e-4
    """Largest difference to the log-probabilities recorded while playing, nats, > 0; None: no guard."""
    max_first_ratio_gap: Positive | None = 1e-4
    """Largest |ratio - 1| before anything is learned, > 0; None: no guard."""


def ppo(
    network: Network,
    reference: Network | None,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    config: PPOConfig,
    generator: torch.Generator,
) -> Metrics:
    """Return the metrics of one update on one rollout; without a reference the KL is 0.

    "Old" is what the network itself says of the rollout before it changes, not what was recorded while sampling (the
    two differ by rounding; `sampler_gap` tells by how much). It is computed in the minibatches that are learnt from
    first, so the first ratio is exactly 1.
    """
    check_reference(network, reference)
    count = len(rollout)
    rollout = rollout.rows(live_rows_of(rollout))
    rows = rollout.episodes().as_steps() if network.memoryless else rollout.episodes()
    minibatches = parts_of(len(rows), config.minibatches, rows=None if network.memoryless else count)
    deal = shuffled(len(rows), minibatches, generator)

    batch = played_batch(network, reference, rollout, rows, deal, config)
    found = diagnose(rollout, batch.logprobs, batch.ref_logprobs, max_sampler_gap=config.max_sampler_gap)
    found["explained_variance"] = explained_variance(batch)
    learnt = batch.as_steps() if network.memoryless else batch

    steps: list[Metrics] = []
    for _ in range(config.epochs):
        for index in deal:
            minibatch = learnt.rows(index)
            steps.append(_descend(network, optimizer, minibatch, config))
        deal = shuffled(len(rows), minibatches, generator)
    ratio = first_ratio(steps[0], max_first_ratio_gap=config.max_first_ratio_gap)
    return mean_metrics(steps) | found | {"first_ratio": ratio}


def played_batch(
    network: Network,
    reference: Network | None,
    rollout: Rollout,
    rows: Episodes,
    deal: Sequence[Tensor],
    config: PPOConfig,
) -> Batch:
    """Return the rollout with its old log-probabilities and values, its advantages and its returns, [B, T]."""
    parts = [part for index in deal for part in index.split(config.micro_rows or len(index))]
    now = evaluate_in(parts, network, rows)
    ref_logprobs = now.logprobs if reference is None else evaluate_in(parts, reference, rows).logprobs

    said = (now.logprobs, ref_logprobs, now.values)
    logprobs, ref_logprobs, values = (rollout.as_rows(x) for x in said) if network.memoryless else said
    shaped = kl_shaped_rewards(rollout.rewards, logprobs, ref_logprobs, rollout.mask, beta=config.beta)
    # The value of what a row saw last, for rows that were cut off, was recorded while playing.
    bootstrapped = rollout.values.clone()  # [B, T + 1]
    bootstrapped[:, :-1] = torch.where(rollout.mask, values, rollout.values[:, :-1])
    advantages, returns = gae(
        shaped, bootstrapped, rollout.terminated, rollout.mask, gamma=config.gamma, lam=config.lam
    )
    advantages = normalize(advantages, rollout.mask)
    return Batch(
        rollout.prompt,
        rollout.obs,
        rollout.actions,
        rollout.mask,
        logprobs=logprobs,
        ref_logprobs=ref_logprobs,
        values=values,
        advantages=advantages,
        returns=returns,
    )


def _descend(network: Network, optimizer: torch.optim.Optimizer, minibatch: Batch, config: PPOConfig) -> Metrics:
    """Return the metrics of one step down the loss on a minibatch."""

    def loss_of(part: Batch) -> tuple[Tensor, Metrics]:
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

    return optimizer_step(
        optimizer,
        minibatch,
        loss_of,
        weight_of=live_cells,
        micro_rows=config.micro_rows,
        max_grad_norm=config.max_grad_norm,
    )


def explained_variance(batch: Batch) -> float:
    """Return the share of the returns' variance that the old values explain; 0 where they vary by rounding alone."""
    errors = select(batch.returns - batch.values, batch.mask)
    spread = masked_mean((batch.returns - masked_mean(batch.returns, batch.mask)).square(), batch.mask)
    residual = masked_mean((errors - masked_mean(errors, batch.mask)).square(), batch.mask)
    # A return is an advantage and a value added up again, so it is rounded as the larger of the two.
    noise = torch.maximum(rounding_noise(batch.returns, batch.mask), rounding_noise(batch.values, batch.mask))
    return (1 - residual / spread).item() if spread.sqrt() > noise else 0.0
