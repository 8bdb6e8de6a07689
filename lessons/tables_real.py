"""What a real chat model is trained with, lesson by lesson: few rows, many tokens, and an adapter that learns fast."""

from lessons.settings import BestOfNRun, DPORun, GRPORun, PPORun, ReinforceRun, RewardModelRun, RLHFRun, SFTRun
from rl_core.algorithms.dpo import DPOConfig
from rl_core.algorithms.grpo import GRPOConfig
from rl_core.algorithms.ppo import PPOConfig
from rl_core.algorithms.reinforce import ReinforceConfig
from rl_core.algorithms.reward_model import RewardModelConfig
from rl_core.algorithms.sft import SFTConfig

MICRO_ROWS = 8
"""At a vocabulary of 150,000 the logits of 8 answers of 32 tokens take 150 MB, and their gradient as much again."""
SELDOM = 65_536  # live steps: a look at the truth takes a real model minutes on a CPU

SFT = SFTRun(
    start="base",
    iterations=20,
    learning_rate=1e-3,
    probe_every=SELDOM,
    demonstrations=28,
    update=SFTConfig(minibatch_rows=28, micro_rows=MICRO_ROWS),
)
REWARD_MODEL = RewardModelRun(
    iterations=8,
    learning_rate=1e-3,
    schedule="one_cycle",
    probe_every=SELDOM,
    starts=64,
    update=RewardModelConfig(minibatch_rows=16, micro_rows=MICRO_ROWS),
)
PPO = PPORun(
    iterations=12,
    rows=32,
    steps=32,
    learning_rate=1e-3,
    probe_every=SELDOM,
    update=PPOConfig(
        gamma=1.0, lam=1.0, beta=0.05, value_weight=0.1, epochs=2, minibatches=2, micro_rows=MICRO_ROWS,
        max_grad_norm=1.0, max_sampler_gap=1e-3,
    ),
)  # fmt: skip
DPO = DPORun(
    iterations=2,
    learning_rate=1e-3,
    probe_every=SELDOM,
    starts=96,
    passes=2,
    update=DPOConfig(beta=0.1, minibatch_rows=16, micro_rows=MICRO_ROWS),
)
GRPO = GRPORun(
    iterations=18,
    rows=32,
    steps=32,
    learning_rate=1e-3,
    probe_every=SELDOM,
    update=GRPOConfig(group_size=8, beta=0.02, minibatches=2, micro_rows=MICRO_ROWS, max_sampler_gap=1e-3),
)
REINFORCE = ReinforceRun(
    iterations=24,
    rows=32,
    steps=32,
    learning_rate=1e-3,
    probe_every=SELDOM,
    update=ReinforceConfig(group_size=8, beta=0.02, micro_rows=MICRO_ROWS, max_sampler_gap=1e-3),
)
RLHF = RLHFRun(sft=SFT, reward_model=REWARD_MODEL, ppo=PPO)
BEST_OF_N = BestOfNRun()
