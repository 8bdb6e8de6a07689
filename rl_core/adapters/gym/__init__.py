"""Any Gymnasium environment with discrete actions, as an environment of the core, with networks that fit it."""

from rl_core.adapters.gym.env import GymEnv
from rl_core.adapters.gym.networks import MLPNetwork, MLPScorer
from rl_core.adapters.gym.rows import CartPoleRows

__all__ = ["CartPoleRows", "GymEnv", "MLPNetwork", "MLPScorer"]
