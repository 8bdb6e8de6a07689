"""The hyper-parameters of every lesson in each world: tables, so that no lesson need ask which world it is in."""

from dataclasses import dataclass, field

from rl_core.algorithms.ppo import PPOConfig
from rl_core.algorithms.sft import SFTConfig
from rl_core.errors import check_at_least, check_choice, check_positive


@dataclass(frozen=True)
class PPORun:
    """A whole run of PPO."""

    start: str = "reference"
    """Where the policy starts: reference or scratch."""
    iterations: int = 40
    """Rollouts with an update each, >= 1."""
    rows: int = 64
    """Rows in a rollout, >= 1."""
    steps: int = 64
    """Most steps in a row, >= 1: a window on a drive, or the token budget of an answer."""
    learning_rate: float = 3e-4
    """Of Adam, at the start, >= 0; it falls linearly to 0."""
    probe_every: int = 1024
    """Live steps between two looks at the truth while training, >= 1; their time is not counted."""
    update: PPOConfig = field(default_factory=PPOConfig)

    def __post_init__(self) -> None:
        """Check every field."""
        check_choice("start", self.start, ["reference", "scratch"])
        for name in ("iterations", "rows", "steps", "probe_every"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("learning_rate", self.learning_rate, 0)


@dataclass(frozen=True)
class SFTRun:
    """A whole run of SFT."""

    passes: int = 10
    """Passes, each over fresh demonstrations, >= 1."""
    demonstrations: int = 200
    """Episodes shown in a pass, >= 1."""
    learning_rate: float = 3e-3
    """Of Adam at its highest, > 0; it rises for a tenth of the passes, then falls as a cosine."""
    update: SFTConfig = field(default_factory=SFTConfig)

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("passes", "demonstrations"):
            check_at_least(name, getattr(self, name), 1)
        check_positive("learning_rate", self.learning_rate)


PPO = {
    "cartpole": PPORun(
        iterations=34,
        rows=16,
        steps=64,
        learning_rate=1e-2,
        probe_every=1024,
        update=PPOConfig(gamma=0.99, lam=0.95, clip=0.12, epochs=6, minibatches=4),
    ),
    "language": PPORun(
        iterations=40,
        rows=64,
        steps=32,
        learning_rate=4e-4,
        probe_every=4096,
        update=PPOConfig(gamma=1.0, lam=1.0, beta=0.15, value_weight=0.1, epochs=3, minibatches=4, max_grad_norm=1.0),
    ),
}

SFT = {
    "cartpole": SFTRun(
        passes=10, demonstrations=100, learning_rate=3e-3, update=SFTConfig(minibatch_rows=256, max_grad_norm=None)
    ),
    "language": SFTRun(passes=30, demonstrations=3200, learning_rate=1e-3, update=SFTConfig(minibatch_rows=64)),
}
