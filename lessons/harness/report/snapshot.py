"""What a run is at one time: its held-out results, and a few played rows with the credit of each step."""

from dataclasses import dataclass, replace

import torch

from lessons.harness.run import Run
from lessons.worlds import Advance, Results, nobody
from rl_core.advantages import on_every_step
from rl_core.algorithms.ppo import PPOConfig, played_batch
from rl_core.rollout import relabel, rollout
from rl_core.types import Batch, Rollout

EXAMPLES = 12


@dataclass(frozen=True)
class Snapshot:
    """The results and examples of a run at one time."""

    results: Results
    played: Rollout
    batch: Batch  # the same rows with advantages by what was known at that time, and both log-probabilities


def take_snapshot(run: Run, *, seed: int, quick: bool, advance: Advance = nobody) -> Snapshot:
    """Return the results and examples of a run as it is now; the same seed asks the same."""
    results = run.evaluate(seed=seed, quick=quick, advance=advance)
    env = run.world.examples(EXAMPLES, seed=seed, device=run.device)
    played = rollout(env, run.network, torch.Generator(run.device).manual_seed(seed))
    if run.scorer is not None:
        played = relabel(played, run.scorer, micro_rows=run.config.micro_rows)
    return Snapshot(results, played, batch_of(run, played))


def batch_of(run: Run, played: Rollout) -> Batch:
    """Return the rows with their advantages: by the critic, or against the mean return of these rows.

    A critic that nobody has taught yet expects nothing, and what it calls an advantage is the bare return.
    """
    rows = played.episodes().as_steps() if run.network.memoryless else played.episodes()
    deal = list(torch.arange(len(rows), device=run.device).split(run.config.micro_rows or len(rows)))
    if run.recipe.needs_critic and run.iteration:
        return played_batch(run.network, run.reference, played, rows, deal, run.config.update)
    batch = played_batch(run.network, run.reference, played, rows, deal, PPOConfig(gamma=1.0, lam=1.0))
    returns = played.rewards.sum(dim=1)  # [B]: every step of an episode gets the same credit
    baseline = returns.mean().expand_as(returns)
    return replace(batch, returns=on_every_step(returns, played.mask), values=on_every_step(baseline, played.mask))
