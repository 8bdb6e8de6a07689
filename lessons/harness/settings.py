"""The hyper-parameters of every lesson in each world: tables, so that no lesson need ask which world it is in."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Self

from rl_core.algorithms.dpo import DPOConfig
from rl_core.algorithms.grpo import GRPOConfig
from rl_core.algorithms.ppo import PPOConfig
from rl_core.algorithms.reinforce import ReinforceConfig
from rl_core.algorithms.reward_model import RewardModelConfig
from rl_core.algorithms.sft import SFTConfig
from rl_core.config import Config, Count, NonNegative, Positive, Share, one_of
from rl_core.errors import InvalidArgument, check_count

SCHEDULES = ("linear", "one_cycle", "constant")
QUICK = 3  # iterations of a smoke run
ROUNDED = {"bfloat16": 1.0}
"""How far, in nats, a token's log-probability while sampling may lie from that of the whole row in a rough type."""


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
    """Where the policy starts: reference, base, scratch, or a run's folder, as runs/20260101-120000/language."""
    iterations: Count = 40
    """Turns of the lesson's loop, >= 1."""
    learning_rate: NonNegative = 3e-4
    """Of Adam at its highest, >= 0."""
    schedule: Annotated[str, one_of(*SCHEDULES)] = "linear"
    """The rate's way: linear, down to 0; one_cycle, up for a tenth of the turns and down as a cosine; constant."""
    adam_eps: Positive = 1e-8
    """Added to Adam's divisor, > 0; policy gradients usually take 1e-5."""
    evaluate_every: Count = 4096
    """Live steps between two looks at the truth while training, >= 1; their time is not counted."""

    def adjusted(self, *, start: str | None, quick: bool, dtype: str = "float32") -> Self:
        """Return the settings as the command line's options for all worlds want them."""
        iterations = min(QUICK, self.iterations) if quick else self.iterations
        changes: dict[str, Any] = {"start": start or self.start, "iterations": iterations}
        update = getattr(self, "update", None)
        if dtype in ROUNDED and getattr(update, "max_sampler_gap", None) is not None:
            changes["update"] = replace(update, max_sampler_gap=ROUNDED[dtype])
        return replace(self, **changes)

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
    """A whole run of SFT; a turn is one pass over fresh demonstrations."""

    demonstrations: Count = 200
    """Episodes shown in a turn, >= 1."""
    update: SFTConfig = field(default_factory=SFTConfig)


@dataclass(frozen=True)
class RewardModelSettings(Settings):
    """A whole run of reward-model training; a turn is one pass over fresh pairs."""

    starts: Count = 400
    """Starts in a turn, from each of which two episodes are played and compared; >= 1."""
    noise: Share = 0.0
    """Share of training pairs judged the wrong way round, in [0, 1]."""
    kinds: tuple[str, ...] = ()
    """Kinds of judgments to learn from; none given: all that the world has."""
    preferences: str | None = None
    """A JSONL file of your own pairs, in place of the world's."""
    update: RewardModelConfig = field(default_factory=RewardModelConfig)

    def __post_init__(self) -> None:
        """Check every field, and that a learner's own pairs are not swapped."""
        super().__post_init__()
        check_noise(self.noise, self.preferences)


@dataclass(frozen=True)
class DPOSettings(Settings):
    """A whole run of DPO; a turn is a round of fresh pairs."""

    starts: Count = 500
    """Starts in a round, from each of which two episodes are played and compared; >= 1."""
    passes: Count = 1
    """Passes over the pairs of a round, >= 1."""
    writer: Annotated[str, one_of("policy", "reference")] = "policy"
    """Who plays the episodes that are compared: the policy as it is, or the reference (data as if from a file)."""
    anchor: Annotated[str, one_of("start", "round")] = "start"
    """What the policy stays close to: where it started, or where it was at the start of the round."""
    kinds: tuple[str, ...] = ()
    """Kinds of judgments to learn from, of episodes from one start; none given: all that the world has."""
    noise: Share = 0.0
    """Share of pairs judged the wrong way round, in [0, 1]."""
    preferences: str | None = None
    """A JSONL file of your own pairs, in place of the world's."""
    update: DPOConfig = field(default_factory=DPOConfig)

    def __post_init__(self) -> None:
        """Check every field, and that a learner's own pairs are not swapped."""
        super().__post_init__()
        check_noise(self.noise, self.preferences)

    @property
    def passes_in_all(self) -> int:
        """Return in how many moves the learning rate comes down: rounds are few, so it moves with each pass."""
        return self.iterations * self.passes


@dataclass(frozen=True)
class PlaySettings(Settings):
    """What every run has that learns from its own episodes; a turn is a rollout with an update."""

    adam_eps: Positive = 1e-5
    rows: Count = 64
    """Rows in a rollout, >= 1."""
    steps: Count = 64
    """Most steps in a row, >= 1: of a drive, or of the piece of it that is watched; the token budget of an answer."""
    scorer: str | None = None
    """A saved reward model's folder, whose rewards take the place of the world's own."""


@dataclass(frozen=True)
class PPOSettings(PlaySettings):
    """A whole run of PPO; its first turns may be the critic's alone."""

    critic_learning_rate: NonNegative = 1e-3
    """The critic's own rate, of Adam at its highest, >= 0."""
    warmup: Annotated[int, partial(check_count, low=0)] = 0
    """How many of the turns come first, in which only the critic learns and the policy stays as it was, >= 0."""
    update: PPOConfig = field(default_factory=PPOConfig)

    def __post_init__(self) -> None:
        """Check every field, and that a warm-up leaves the policy its turns."""
        super().__post_init__()
        if self.warmup >= self.iterations:
            raise InvalidArgument(
                f"warmup={self.warmup} with iterations={self.iterations} leaves the policy no turn; pass fewer."
            )
        if self.warmup and self.schedule == "one_cycle":
            raise InvalidArgument(f"schedule='one_cycle' with warmup={self.warmup}; pass linear or constant.")

    def adjusted(self, *, start: str | None, quick: bool, dtype: str = "float32") -> Self:
        """Return the settings as the command line's options for all worlds want them."""
        shorter = replace(self, warmup=min(1, self.warmup)) if quick else self
        return super(PPOSettings, shorter).adjusted(start=start, quick=quick, dtype=dtype)

    def idle(self) -> Self:
        """Return the settings of the control that must learn nothing, neither to act nor to foresee."""
        return replace(super().idle(), critic_learning_rate=0.0)

    @property
    def passes_in_all(self) -> int:
        """Return in how many moves the learning rates come down: all but those of the warm-up."""
        return self.iterations - self.warmup

    @property
    def passes_before(self) -> int:
        """Return for how many moves nothing but the critic learns."""
        return self.warmup


@dataclass(frozen=True)
class GRPOSettings(PlaySettings):
    """A whole run of GRPO."""

    update: GRPOConfig = field(default_factory=GRPOConfig)


@dataclass(frozen=True)
class ReinforceSettings(PlaySettings):
    """A whole run of REINFORCE."""

    update: ReinforceConfig = field(default_factory=ReinforceConfig)


@dataclass(frozen=True)
class BestOfNSettings(Settings):
    """Choosing without learning."""

    iterations: Count = 1
    n: Count = 8
    """Episodes from each start, of which the best is taken, >= 1."""
    scorer: str | None = None
    """A saved reward model's folder, which chooses; without one the world's own reward does."""


@dataclass(frozen=True)
class RLHFSettings(Config):
    """The three steps of RLHF; each step's start is where the one before ended."""

    sft: SFTSettings = field(default_factory=SFTSettings)
    reward_model: RewardModelSettings = field(default_factory=RewardModelSettings)
    ppo: PPOSettings = field(default_factory=PPOSettings)

    @property
    def iterations(self) -> int:
        """Return the turns of all steps."""
        return self.sft.iterations + self.reward_model.iterations + self.ppo.iterations

    def adjusted(self, *, start: str | None, quick: bool, dtype: str = "float32") -> Self:
        """Return the settings as the command line's options for all worlds want them."""
        return replace(
            self,
            sft=self.sft.adjusted(start=start, quick=quick, dtype=dtype),
            reward_model=self.reward_model.adjusted(start=None, quick=quick, dtype=dtype),
            ppo=self.ppo.adjusted(start=None, quick=quick, dtype=dtype),
        )

    def idle(self) -> Self:
        """Return the settings of the control whose last step must learn nothing."""
        return replace(self, ppo=self.ppo.idle())
