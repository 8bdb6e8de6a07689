"""An environment whose every move is known beforehand, and a network that says what it sees."""

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from rl_core.adapters.gym import GymEnv
from rl_core.types import Output


class Scripted(gymnasium.Env):
    """Shows 100 x (resets so far) + (steps since): every observation once; pays that number; ends as told."""

    observation_space = Box(0.0, 1e6, (1,), np.float32)
    action_space = Discrete(2, start=5)

    def __init__(self, offset, length, terminated, truncated):
        self.offset, self.length, self.ends, self.episode = offset, length, (terminated, truncated), 0

    def seen(self):
        """Return the observation of now."""
        return np.array([self.offset + 100 * self.episode + self.count], dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        self.episode, self.count = self.episode + 1, 0
        return self.seen(), {}

    def step(self, action):
        assert self.action_space.contains(action) and self.count < self.length  # never stepped after its end
        self.count += 1
        ends = self.ends if self.count == self.length else (False, False)
        return self.seen(), float(self.seen()[0]), *ends, {}


class Echo:
    """Values each observation at itself."""

    memoryless = True

    def start(self, prompt):
        return ()

    def select(self, state, rows):
        return state

    def step(self, obs, state):
        return torch.zeros(len(obs), 2), ()

    def __call__(self, prompt, obs):
        return Output(torch.zeros(*obs.shape[:2], 2), obs[..., 0])


def scripted(*scripts, **options):
    """Return an environment with a script (length, terminated, truncated) for each row, 1,000 apart."""
    envs = iter([Scripted(1000 * row, *script) for row, script in enumerate(scripts)])
    return GymEnv(lambda: next(envs), len(scripts), **options)
