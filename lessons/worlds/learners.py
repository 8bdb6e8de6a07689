"""What a lesson trains, in whatever world: the roles that the core knows, with the weights that learn."""

from collections.abc import Iterator
from typing import Any, Protocol, Self

from torch import nn

from rl_core.interfaces import ActorCritic, Scorer


class Learner(Protocol):
    """Whatever has weights; the words are those of `torch.nn.Module`."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the weights."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the weights by their names."""
        ...

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let the weights learn, or freeze them."""
        ...


class Policy(ActorCritic, Learner, Protocol):
    """A network that acts, with a critic or without one."""


class RewardModel(Scorer, Learner, Protocol):
    """A scorer that learns what is liked."""

    def scale_by(self, factor: float) -> None:
        """Make all rewards so many times as large from now on."""
        ...
