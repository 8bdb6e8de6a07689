"""Whole episodes, played to be looked at or compared."""

import torch
from torch import Tensor

from lessons.worlds.measure import mean
from lessons.worlds.seeds import spawn
from rl_core.adapters.gym import CartPoleRows, GymEnv
from rl_core.interfaces import Network
from rl_core.rollout import rollout
from rl_core.types import Rollout


def play_episodes(
    policy: Network, count: int, *, seed: int, device: str = "cpu", greedy: bool = False, group_size: int = 1
) -> Rollout:
    """Return `count` whole episodes, all from the starts of this seed, each start `group_size` times."""
    env = GymEnv(CartPoleRows(count), count, group_size=group_size, seed=spawn(seed, "starts"), device=device)
    generator = torch.Generator(device).manual_seed(spawn(seed, "actions"))
    return rollout(env, policy, generator, greedy=greedy)


def states_of(played: Rollout) -> list[Tensor]:
    """Return the states [L, 4] of each row's live steps."""
    return [states[mask].cpu() for states, mask in zip(played.obs, played.mask, strict=True)]


def mean_return(played: Rollout) -> float:
    """Return the mean return of whole episodes."""
    return mean(played.rewards.sum(dim=1).tolist())
