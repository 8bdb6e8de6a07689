"""How much a critic knows of what it was not trained on: the explained variance of held-out returns."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Self

import torch

from lessons.harness.run import Run
from lessons.worlds import Results, World
from lessons.worlds.learners import Policy
from rl_core.algorithms.ppo import explained_variance, played_batch
from rl_core.rollout import relabel, rollout

EPISODES = 1024  # whole ones, from starts that are never trained on
ROWS = 256  # in a forward pass


def held_out_explained_variance(run: Run, *, seed: int, episodes: int = EPISODES) -> float:
    """Return the share of the variance of the returns to go that the critic explains, over every live step.

    The policy as it is now plays whole episodes. A return to go is what the critic is taught, with λ = 1: the rewards
    that PPO sees (a reward model's, where there is one, less β times the step's KL), discounted by γ, and beyond a
    drive that we stop watching the critic's own value of what was seen last.
    """
    env = run.world.examples(episodes, seed=seed, device=run.device)
    played = rollout(env, run.network, torch.Generator(run.device).manual_seed(seed))
    if run.scorer is not None:
        played = relabel(played, run.scorer, micro_rows=run.config.update.micro_rows)
    config = replace(run.config.update, lam=1.0, micro_rows=ROWS)
    return explained_variance(played_batch(run.network, run.reference, played, config))


@dataclass
class HalfWay:
    """What the critic knows in the middle of a climb, where some episodes still fail and others no longer do.

    Half of the turns is no such moment: a pole that has long been solved gives every drive the same return, and of a
    variance of 0 no share is explained. So it is the evaluation whose result lies nearest to the middle between where
    the policy began and the least that the world asks for.
    """

    name: str
    middle: float
    nearest: float = float("inf")
    network: Policy | None = None  # as it was at that evaluation

    @classmethod
    def of(cls, world: World, before: Results) -> Self:
        """Return one that has seen nothing, for a policy that began with these results."""
        target = next(target for target in world.targets if not target.is_most)
        return cls(target.name, (before[target.name] + target.limit) / 2)

    def look(self, run: Run, results: Results) -> None:
        """Keep a copy of a run's network if no results before lay nearer to the middle."""
        distance = abs(results.get(self.name, float("inf")) - self.middle)
        if distance < self.nearest:
            self.nearest, self.network = distance, deepcopy(run.network)

    def explained_variance(self, run: Run, *, seed: int, episodes: int = EPISODES) -> dict[str, float]:
        """Return the share that the critic explained there, as `half way up`; nothing where no results ever came."""
        if self.network is None:
            return {}
        there = replace(run, network=self.network)
        return {"half way up": held_out_explained_variance(there, seed=seed, episodes=episodes)}
