"""Worlds of one step in which one action pays: the smallest thing that can be learned."""

import gymnasium
from gymnasium.spaces import Discrete

from rl_core.adapters.gym import GymEnv, MLPNetwork
from rl_core.adapters.language import TokenEnv
from tests.support.worlds import seeded, token_network


class Bandit(gymnasium.Env):
    """Pays for action 1, and ends."""

    observation_space, action_space = Discrete(1), Discrete(2)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, float(action), True, False, {}


def bandit_of_poles(rows=16):
    """Return an environment of one step whose action 1 pays, and its network."""
    return GymEnv(Bandit, rows), MLPNetwork((), 1, 2, hidden=8, generator=seeded(1))


def bandit_of_tokens(rows=16):
    """Return an environment of one token of which token 1 pays, and its network."""
    env = TokenEnv([[5]], lambda prompts, answers: [float(a[0] == 1) for a in answers], rows, max_new_tokens=1, eos=0)
    return env, token_network("llama", "separate")
