"""What `python -m lessons.real` trains a real model with: the sizes and rates, tuned on seeds from 1000 up."""

from dataclasses import dataclass, field, replace
from typing import Self

from rl_core.algorithms.dpo import DPOConfig
from rl_core.algorithms.grpo import GRPOConfig
from rl_core.algorithms.sft import SFTConfig
from rl_core.errors import check_count, check_positive


@dataclass(frozen=True)
class Recipe:
    """How long, and how fast, each of the three stages learns."""

    sft_steps: int = 8
    """Steps of SFT on the identity, each on all of its wordings; >= 1."""
    sft_rate: float = 1e-3
    """Of Adam."""
    grpo_turns: int = 12
    """Rollouts of GRPO with an update each, >= 1."""
    grpo_rows: int = 32
    """Answers in a rollout, >= 1."""
    grpo_rate: float = 1e-3
    """Of Adam at its highest."""
    dpo_questions: int = 129
    """Questions of a round, each answered twice, >= 1."""
    dpo_passes: int = 2
    """Passes over the pairs of a round, >= 1."""
    dpo_rounds: int = 1
    """Rounds of fresh pairs, >= 1; the policy itself writes them."""
    dpo_rate: float = 1e-3
    """Of Adam at its highest."""
    steps: int = 32
    """Tokens that an answer may have while training, >= 1; while evaluating it is 40."""
    sft: SFTConfig = field(default_factory=lambda: SFTConfig(minibatch_rows=16, micro_rows=8))
    grpo: GRPOConfig = field(default_factory=lambda: GRPOConfig(group_size=8, beta=0.02, minibatches=2, micro_rows=8))
    dpo: DPOConfig = field(default_factory=lambda: DPOConfig(beta=0.1, minibatch_rows=16, micro_rows=4))

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("sft_steps", "grpo_turns", "grpo_rows", "dpo_questions", "dpo_passes", "dpo_rounds", "steps"):
            check_count(name, getattr(self, name), 1)
        for name in ("sft_rate", "grpo_rate", "dpo_rate"):
            check_positive(name, getattr(self, name))

    def quick(self) -> Self:
        """Return the recipe of a smoke run."""
        return replace(self, sft_steps=2, grpo_turns=1, grpo_rows=8, dpo_questions=8, dpo_passes=1, dpo_rounds=1)

    def for_dtype(self, dtype: str) -> Self:
        """Return the recipe with the sampler's guard as wide as that type rounds."""
        return replace(self, grpo=replace(self.grpo, max_sampler_gap=MAX_SAMPLER_GAP[dtype]))


MAX_SAMPLER_GAP = {"float32": 1e-3, "bfloat16": 1.0}
"""Nats: several times what was seen between the steps' and the whole rows' log-probabilities of one token."""
