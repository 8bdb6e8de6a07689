"""What a run is at one time: its held-out results, and a few played rows with the credit of each step."""

from dataclasses import dataclass, replace

import torch

from lessons.harness.report.true_value import EARLIER, Calibration, last_steps, truth_of
from lessons.harness.run import Run
from lessons.worlds import Advance, Results, nobody
from rl_core.advantages import on_every_step
from rl_core.algorithms.ppo import PPOConfig, played_batch
from rl_core.rollout import relabel, rollout
from rl_core.true_values import TrueValues
from rl_core.types import Rollout, ValuedBatch

EXAMPLES = 12


@dataclass(frozen=True)
class Snapshot:
    """The results and examples of a run at one time."""

    results: Results
    played: Rollout
    batch: ValuedBatch  # the same rows with advantages by what was known at that time, and both log-probabilities
    truth: TrueValues | None  # of their last states, where a critic has learned
    calibrations: list[Calibration]  # of that critic: on those states, and on some where an earlier policy went


def take_snapshot(
    run: Run, *, seed: int, quick: bool, earlier: Rollout | None = None, advance: Advance = nobody
) -> Snapshot:
    """Return the results and examples of a run as it is now; the same seed asks the same.

    `earlier` are the rows that an earlier policy played from the same starts. A policy that never fails sees nothing
    but good states: whether its critic knows a bad one is seen where the earlier one went.
    """
    results = run.evaluate(seed=seed, quick=quick, advance=advance)
    env = run.world.examples(EXAMPLES, seed=seed, device=run.device)
    played = rollout(env, run.network, torch.Generator(run.device).manual_seed(seed))
    if run.scorer is not None:
        played = relabel(played, run.scorer, micro_rows=run.config.update.micro_rows)
    batch, truth = batch_of(run, played), truth_of(run, env, played, last_steps(played.mask), seed=seed)
    calibrations = [] if truth is None else [Calibration.of(batch, truth)]
    if truth is not None and earlier is not None:
        where = last_steps(earlier.mask, rows=EARLIER, every=2)
        there = truth_of(run, env, earlier, where, seed=seed)
        assert there is not None
        calibrations.append(Calibration.of(batch_of(run, earlier), there))
    return Snapshot(results, played, batch, truth, calibrations)


def batch_of(run: Run, played: Rollout) -> ValuedBatch:
    """Return the rows with their advantages: by the critic, or against the mean return of these rows.

    A critic that nobody has taught yet expects nothing, and what it calls an advantage is the bare return.
    """
    if run.recipe.needs_critic and run.iteration:
        return played_batch(run.network, run.reference, played, run.config.update)
    config = PPOConfig(gamma=1.0, lam=1.0, micro_rows=run.config.update.micro_rows)
    batch = played_batch(run.network, run.reference, played, config)
    episode_returns = played.rewards.sum(dim=1)  # [B]: every step of an episode gets the same credit
    expected = episode_returns.mean().expand_as(episode_returns)
    returns, values = (on_every_step(x, played.mask) for x in (episode_returns, expected))
    return replace(batch, returns=returns, values=values, raw_advantages=returns - values)
