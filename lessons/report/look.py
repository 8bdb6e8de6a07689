"""A look at a policy: the truth about it, and a few played rows with the credit of each step."""

from dataclasses import dataclass

import torch

from lessons.run import Run
from lessons.worlds import Gold
from rl_core.algorithms.ppo import played_batch
from rl_core.rollout import rollout
from rl_core.types import Batch, Rollout

EXAMPLES = 12


@dataclass(frozen=True)
class Look:
    """What was seen of a policy at one time."""

    gold: Gold
    played: Rollout
    batch: Batch  # the same rows with advantages under the critic of that time, and both log-probabilities


def look(run: Run, *, seed: int, quick: bool) -> Look:
    """Return a look at a run's policy as it is now; the same seed asks the same."""
    gold = run.world.gold(run.network, seed=seed, device=run.device, quick=quick)
    env = run.world.examples(EXAMPLES, seed=seed, device=run.device)
    played = rollout(env, run.network, torch.Generator(run.device).manual_seed(seed))
    rows = played.episodes().cut() if run.network.memoryless else played.episodes()
    deal = [torch.arange(len(rows), device=run.device)]
    batch = played_batch(run.network, run.reference, played, rows, deal, run.config.update)
    return Look(gold, played, batch)
