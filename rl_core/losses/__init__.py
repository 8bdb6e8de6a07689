"""The annotated maths, tensors in, a scalar to minimise and its metrics out: the table of contents."""

from rl_core.losses.dpo import dpo_loss, ipo_loss, smoothed_dpo_loss
from rl_core.losses.grpo import grpo_loss
from rl_core.losses.kl import kl_k1, kl_k2, kl_k3
from rl_core.losses.policy_gradient import policy_gradient_loss
from rl_core.losses.ppo import clipped_surrogate, ppo_loss, value_loss
from rl_core.losses.reward_model import bradley_terry_loss
from rl_core.losses.sft import sft_loss

__all__ = [
    "bradley_terry_loss",
    "clipped_surrogate",
    "dpo_loss",
    "grpo_loss",
    "ipo_loss",
    "kl_k1",
    "kl_k2",
    "kl_k3",
    "policy_gradient_loss",
    "ppo_loss",
    "sft_loss",
    "smoothed_dpo_loss",
    "value_loss",
]
