"""How much a critic knows: the explained variance of held-out returns."""

from dataclasses import replace

import torch

from lessons.harness.run import Run
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
