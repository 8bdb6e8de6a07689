"""The kinds of settings; their values in each world stand beside each loop, in `lessons/`.

Those of what learns from its own episodes are in `play_settings`, those of three steps in `lessons/rlhf.py`.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from rl_core.algorithms.dpo import DPOConfig
from rl_core.algorithms.reward_model import RewardModelConfig
from rl_core.algorithms.sft import SFTConfig
from rl_core.config import Config, Count, NonNegative, Positive, Share
from rl_core.errors import InvalidArgument

QUICK = 3  # iterations of a smoke run
QUICK_STARTS, QUICK_DEMONSTRATIONS = 32, 64  # the most of each in a smoke run


def check_noise(noise: float, preferences: str | None) -> None:
    """Raise InvalidArgument for noise in a learner's own pairs."""
    if noise and preferences is not None:
        raise InvalidArgument(
            f"noise={noise} with preferences={preferences!r}: your own pairs are not swapped; pass 0."
        )


@dataclass(frozen=True)
class Settings(Config):
    """What every run has, whatever it learns by."""

    start: str = "reference"
    """Where the policy starts: reference, base, scratch, or the folder of a world in a run, as runs/.../language."""
    iterations: Count = 40
    """Training iterations, >= 1."""
    learning_rate: NonNegative = 3e-4
    """Peak learning rate (Adam), >= 0."""
    schedule: Literal["linear", "one_cycle", "constant"] = "linear"
    """Learning-rate schedule: linear decay to 0; one_cycle: 10 % warm-up, then cosine decay; constant."""
    adam_eps: Positive = 1e-8
    """Adam's epsilon, > 0. Policy gradients usually take 1e-5."""
    evaluate_every: Count = 4096
    """Evaluate every so many live steps while training, >= 1. The time is not counted."""

    def adjusted(self, *, start: str | None, quick: bool, dtype: str = "float32") -> Self:
        """Return the settings as the command line's options for all worlds want them."""
        return replace(self, start=start or self.start, **(self.quick_changes() if quick else {}))

    def quick_changes(self) -> dict[str, Any]:
        """Return what a smoke run has less of."""
        return {"iterations": min(QUICK, self.iterations)}

    def idle(self) -> Self:
        """Return the settings of the control that must learn nothing."""
        return replace(self, learning_rate=0.0)

    @property
    def passes_in_all(self) -> int:
        """Return in how many moves the learning rate comes down."""
        return self.iterations

    @property
    def passes_before(self) -> int:
        """Return for how many moves nothing but a critic learns."""
        return 0


@dataclass(frozen=True)
class SFTSettings(Settings):
    """A whole run of SFT; an iteration is one pass over fresh demonstrations."""

    demonstrations: Count = 200
    """Demonstrations in an iteration, >= 1."""
    update: SFTConfig = field(default_factory=SFTConfig)

    def quick_changes(self) -> dict[str, Any]:
        """Return what a smoke run has less of."""
        return super().quick_changes() | {"demonstrations": min(QUICK_DEMONSTRATIONS, self.demonstrations)}


@dataclass(frozen=True)
class PairSettings(Settings):
    """What every run has that learns from pairs of episodes."""

    starts: Count = 400
    """Starts in an iteration, from each of which two episodes are played and compared, >= 1."""
    noise: Share = 0.0
    """Share of training pairs with the preference flipped, in [0, 1]."""
    kinds: tuple[str, ...] = ()
    """Kinds of pairs to learn from. Default: all that the world has."""
    preferences: str | None = None
    """JSONL file of your own pairs, in place of the world's."""

    def __post_init__(self) -> None:
        """Check every field, and that a learner's own pairs are not swapped."""
        super().__post_init__()
        check_noise(self.noise, self.preferences)

    def quick_changes(self) -> dict[str, Any]:
        """Return what a smoke run has less of."""
        return super().quick_changes() | {"starts": min(QUICK_STARTS, self.starts)}


@dataclass(frozen=True)
class RewardModelSettings(PairSettings):
    """A whole run of reward-model training; an iteration is one pass over fresh pairs."""

    update: RewardModelConfig = field(default_factory=RewardModelConfig)


@dataclass(frozen=True)
class DPOSettings(PairSettings):
    """A whole run of DPO; an iteration is a round of fresh pairs, each from one start."""

    starts: Count = 500
    """Starts in a round, from each of which two episodes are played and compared, >= 1."""
    passes: Count = 1
    """Passes over the pairs of a round, >= 1."""
    writer: Literal["policy", "reference"] = "policy"
    """Who plays the episodes that are compared: the current policy, or the reference (as in an offline data set)."""
    anchor: Literal["start", "round"] = "start"
    """The reference of the loss: the policy at the start of the run, or at the start of the round."""
    update: DPOConfig = field(default_factory=DPOConfig)

    def quick_changes(self) -> dict[str, Any]:
        """Return what a smoke run has less of."""
        return super().quick_changes() | {"iterations": 1, "passes": 1}  # a round is as long as iterations elsewhere

    @property
    def passes_in_all(self) -> int:
        """Return in how many moves the learning rate comes down: rounds are few, so it moves with each pass."""
        return self.iterations * self.passes


@dataclass(frozen=True)
class BestOfNSettings(Settings):
    """Choosing without learning."""

    iterations: Count = 1
    n: Count = 8
    """Episodes from each start, of which the best is taken, >= 1."""
    scorer: str | None = None
    """Folder of a trained reward model that chooses. Default: the world's own reward."""
