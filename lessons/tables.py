"""What each world is trained with, lesson by lesson."""

from dataclasses import replace

from lessons import tables_real as real
from lessons.settings import (
    BestOfNRun,
    DPORun,
    GRPORun,
    PPORun,
    ReinforceRun,
    RewardModelRun,
    RLHFRun,
    SFTRun,
)
from rl_core.algorithms.dpo import DPOConfig
from rl_core.algorithms.grpo import GRPOConfig
from rl_core.algorithms.ppo import PPOConfig
from rl_core.algorithms.reinforce import ReinforceConfig
from rl_core.algorithms.reward_model import RewardModelConfig
from rl_core.algorithms.sft import SFTConfig

SFT = {
    "cartpole": SFTRun(
        start="base",
        iterations=10,
        learning_rate=3e-3,
        schedule="one_cycle",
        probe_every=8192,
        demonstrations=100,
        update=SFTConfig(minibatch_rows=256, max_grad_norm=None),
    ),
    "language": SFTRun(
        start="base",
        iterations=16,
        learning_rate=1e-3,
        schedule="one_cycle",
        probe_every=65536,
        demonstrations=3200,
        update=SFTConfig(minibatch_rows=64),
    ),
    "sums": SFTRun(
        start="base",
        iterations=15,
        learning_rate=1e-3,
        schedule="one_cycle",
        probe_every=65536,
        demonstrations=1600,
        update=SFTConfig(minibatch_rows=64),
    ),
    "real": real.SFT,
}

REWARD_MODEL = {
    "cartpole": RewardModelRun(
        iterations=80,
        learning_rate=1e-2,
        schedule="one_cycle",
        probe_every=131072,
        starts=400,
        update=RewardModelConfig(minibatch_rows=32),
    ),
    "language": RewardModelRun(
        iterations=10,
        learning_rate=1e-3,
        schedule="one_cycle",
        probe_every=16384,
        starts=512,
        update=RewardModelConfig(minibatch_rows=16),
    ),
    "real": real.REWARD_MODEL,
}

PPO = {
    "cartpole": PPORun(
        iterations=34,
        rows=16,
        steps=64,
        learning_rate=1e-2,
        critic_learning_rate=1e-2,
        warmup=1,
        probe_every=1024,
        update=PPOConfig(gamma=0.99, lam=0.95, clip=0.12, epochs=6, minibatches=4),
    ),
    "language": PPORun(
        iterations=52,
        rows=64,
        steps=32,
        learning_rate=4e-4,
        critic_learning_rate=1e-3,
        warmup=14,
        probe_every=4096,
        update=PPOConfig(gamma=1.0, lam=1.0, beta=0.15, value_weight=1.0, epochs=2, minibatches=8, max_grad_norm=1.0),
    ),
    "real": real.PPO,
}

DPO = {
    "cartpole": DPORun(
        iterations=4,
        learning_rate=1e-2,
        probe_every=1024,
        starts=500,
        passes=16,
        kinds=("drives",),
        anchor="round",
        update=DPOConfig(beta=0.1, minibatch_rows=32),
    ),
    "language": DPORun(
        iterations=80,
        learning_rate=1e-3,
        probe_every=4096,
        starts=64,
        update=DPOConfig(beta=0.2, minibatch_rows=32),
    ),
    "real": real.DPO,
}

GRPO = {
    "cartpole": GRPORun(
        iterations=14,
        rows=32,
        steps=500,
        learning_rate=2e-2,
        probe_every=4096,
        update=GRPOConfig(group_size=8, beta=0.0, epochs=1, minibatches=1),
    ),
    "language": GRPORun(
        iterations=70,
        rows=64,
        steps=32,
        learning_rate=4e-4,
        probe_every=4096,
        update=GRPOConfig(group_size=8, beta=0.05, epochs=2, minibatches=4),
    ),
    "sums": GRPORun(
        iterations=40,
        rows=128,
        steps=32,
        learning_rate=2e-4,
        probe_every=8192,
        update=GRPOConfig(group_size=8, beta=0.01, epochs=1, minibatches=4),
    ),
    "real": real.GRPO,
}

REINFORCE = {
    "cartpole": ReinforceRun(
        iterations=25,
        rows=64,
        steps=500,
        learning_rate=1e-2,
        probe_every=4096,
        update=ReinforceConfig(baseline="leave_one_out", group_size=8),
    ),
    "language": ReinforceRun(
        iterations=110,
        rows=64,
        steps=32,
        learning_rate=1e-3,
        probe_every=4096,
        update=ReinforceConfig(baseline="leave_one_out", group_size=8, beta=0.05),
    ),
    "real": real.REINFORCE,
}

RLHF = {
    "cartpole": RLHFRun(
        sft=SFT["cartpole"],
        reward_model=REWARD_MODEL["cartpole"],
        ppo=replace(
            PPO["cartpole"], iterations=75, learning_rate=5e-3, update=replace(PPO["cartpole"].update, beta=0.02)
        ),
    ),
    "language": RLHFRun(
        sft=replace(SFT["language"], iterations=6),
        reward_model=REWARD_MODEL["language"],
        ppo=replace(
            PPO["language"],
            iterations=58,
            update=replace(PPO["language"].update, beta=0.2),
        ),
    ),
    "real": real.RLHF,
}

BEST_OF_N = {"cartpole": BestOfNRun(), "language": BestOfNRun(), "real": real.BEST_OF_N}
