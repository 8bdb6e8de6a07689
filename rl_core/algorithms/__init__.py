"""The updates, each to be read like its paper's pseudo-code, with its config beside it: the table of contents."""

from rl_core.algorithms.dpo import DPOConfig, dpo
from rl_core.algorithms.grpo import GRPOConfig, grpo
from rl_core.algorithms.ppo import PPOConfig, ppo
from rl_core.algorithms.reinforce import ReinforceConfig, reinforce
from rl_core.algorithms.reward_model import RewardModelConfig, reward_model
from rl_core.algorithms.sft import SFTConfig, sft

__all__ = [
    "DPOConfig",
    "GRPOConfig",
    "PPOConfig",
    "ReinforceConfig",
    "RewardModelConfig",
    "SFTConfig",
    "dpo",
    "grpo",
    "ppo",
    "reinforce",
    "reward_model",
    "sft",
]
