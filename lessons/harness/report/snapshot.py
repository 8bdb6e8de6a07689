"""A look at what a run trains: the truth, and a few played rows with the credit of each step."""

from dataclasses import dataclass, replace

import torch

from lessons.harness.run import Run
from lessons.worlds import Results
from rl_core.advantages import on_every_step
from rl_core.algorithms.ppo import PPOConfig, played_batch
from rl_core.rollout import relabel, rollout
from rl_core.types import Rollout, ValuedBatch

EXAMPLES = 12


@dataclass(frozen=True)
class Snapshot:
    """What was seen of a run at one time."""

    results: Results
    played: Rollout
    batch: ValuedBatch  # the same rows with advantages by what was known at that time, and both log-probabilities


def take_snapshot(run: Run, *, seed: int, quick: bool) -> Snapshot:
    """Return a look at a run as it is now; the same seed asks the same."""
    results = run.evaluate(seed=seed, quick=quick)
    env = run.world.examples(EXAMPLES, seed=seed, device=run.device)
    played = rollout(env, run.network, torch.Generator(run.device).manual_seed(seed))
    if run.scorer is not None:
        played = relabel(played, run.scorer, micro_rows=micro_rows_of(run))
    return Snapshot(results, played, batch_of(run, played))


def micro_rows_of(run: Run) -> int | None:
    """Return how many rows may be in a forward pass; None: all."""
    return getattr(getattr(run.config, "update", None), "micro_rows", None)


def batch_of(run: Run, played: Rollout) -> ValuedBatch:
    """Return the rows with their advantages: by the critic, or without one against the mean return of these rows."""
    if run.recipe.needs_critic:
        return played_batch(run.network, run.reference, played, run.config.update)
    config = PPOConfig(gamma=1.0, lam=1.0, micro_rows=micro_rows_of(run))
    batch = played_batch(run.network, run.reference, played, config)
    episode_returns = played.rewards.sum(dim=1)  # [B]: every step of an episode gets the same credit
    expected = episode_returns.mean().expand_as(episode_returns)
    returns, values = (on_every_step(x, played.mask) for x in (episode_returns, expected))
    return replace(batch, returns=returns, values=values, raw_advantages=returns - values)
