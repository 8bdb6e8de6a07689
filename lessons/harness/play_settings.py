"""The kinds of settings of what learns from its own episodes; their values stand beside each loop, in `lessons/`."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

from lessons.harness.settings import Settings
from rl_core.algorithms.grpo import GRPOConfig
from rl_core.algorithms.ppo import PPOConfig
from rl_core.algorithms.reinforce import ReinforceConfig
from rl_core.config import Count, NonNegative, Positive, Share
from rl_core.errors import InvalidArgument, check_count

QUICK_ROWS, QUICK_REPLAYS = 16, 4  # the most of each in a smoke run
ROUNDED = {"bfloat16": 1.0}
"""How far, in nats, a token's log-probability while sampling may lie from that of the whole row in a rough type."""


@dataclass(frozen=True)
class PlaySettings(Settings):
    """What every run has that learns from its own episodes; an iteration is a rollout with an update."""

    adam_eps: Positive = 1e-5
    rows: Count = 64
    """Rows of a rollout (num_envs; batch size in language), >= 1."""
    steps: Count = 64
    """Maximum steps per row: rollout window in CartPole, max_new_tokens in language; >= 1."""
    scorer: str | None = None
    """Folder of a trained reward model, in place of the world's own reward."""
    if TYPE_CHECKING:
        update: Any = None  # each algorithm's own config, which its settings declare

    def adjusted(self, *, start: str | None, quick: bool, dtype: str = "float32") -> Self:
        """Return the settings as the command line's options for all worlds want them."""
        config = super().adjusted(start=start, quick=quick, dtype=dtype)
        if dtype not in ROUNDED or self.update.max_sampler_gap is None:
            return config
        return replace(config, update=replace(self.update, max_sampler_gap=ROUNDED[dtype]))

    def quick_changes(self) -> dict[str, Any]:
        """Return what a smoke run has less of: as many rows as are whole groups."""
        size = self.group_size or 1
        rows = min(self.rows, max(1, QUICK_ROWS // size) * size)
        return super().quick_changes() | {"rows": rows}

    @property
    def group_size(self) -> int | None:
        """Return how many rows share a start because they are compared; None: each has its own."""
        return None


@dataclass(frozen=True)
class PPOSettings(PlaySettings):
    """A whole run of PPO; its first turns may be the critic's alone."""

    critic_learning_rate: NonNegative = 1e-3
    """Peak learning rate of the critic (Adam), >= 0."""
    warmup: Share = 0.0
    """Share of the iterations, the first, in which the critic alone learns, in [0, 1]; one is left to the policy."""
    warmup_epochs: Count = 1
    """Passes over a rollout of the warm-up, >= 1: with the policy frozen, nothing moves away from what was played."""
    replays: Annotated[int, partial(check_count, low=0)] = 64
    """How often the report plays on from a state to find its true value: 2 or more, or 0 for not at all."""
    update: PPOConfig = field(default_factory=PPOConfig)

    def __post_init__(self) -> None:
        """Check every field, and that they go together."""
        super().__post_init__()
        if self.replays:
            check_count("replays", self.replays, 2)
        if self.warmup and self.schedule == "one_cycle":
            raise InvalidArgument(f"schedule='one_cycle' with warmup={self.warmup}; pass linear or constant.")
        if self.warmup and not self.update.value_weight:
            raise InvalidArgument(f"warmup={self.warmup} and value_weight=0: the critic never learns; pass warmup=0.")

    def quick_changes(self) -> dict[str, Any]:
        """Return what a smoke run has less of."""
        return super().quick_changes() | {"replays": min(QUICK_REPLAYS, self.replays)}

    def idle(self) -> Self:
        """Return the settings of the control that must learn nothing, neither to act nor to foresee."""
        return replace(super().idle(), critic_learning_rate=0.0)

    @property
    def passes_in_all(self) -> int:
        """Return in how many moves the learning rates come down: all but those of the warm-up."""
        return self.iterations - self.passes_before

    @property
    def passes_before(self) -> int:
        """Return for how many moves nothing but the critic learns."""
        return min(round(self.warmup * self.iterations), self.iterations - 1)


@dataclass(frozen=True)
class GroupSettings(PlaySettings):
    """What every run has that compares episodes from one start."""

    @property
    def group_size(self) -> int | None:
        """Return how many rows share a start because they are compared."""
        size: int | None = self.update.group_size
        return size


@dataclass(frozen=True)
class GRPOSettings(GroupSettings):
    """A whole run of GRPO."""

    update: GRPOConfig = field(default_factory=GRPOConfig)


@dataclass(frozen=True)
class ReinforceSettings(GroupSettings):
    """A whole run of REINFORCE."""

    update: ReinforceConfig = field(default_factory=ReinforceConfig)
