"""An algorithm as a recipe: its loop, its settings in each world, and what it needs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lessons.worlds import Results

Record = dict[str, float | int | str | None]


@dataclass(frozen=True)
class Recipe:
    """One algorithm as a recipe: its loop, its settings in every world, and what it trains."""

    name: str
    settings: Mapping[str, Any]
    train: Callable[[Any], Iterator[Record]]
    needs_critic: bool = False
    """Whether the policy learns values beside its actions."""
    trains_reward_model: bool = False
    """Whether a reward model is trained, and not the policy."""
    needs_reference: bool = False
    """Whether it needs a reference even from scratch: the policy as it was drawn."""
    same_start_pairs: bool = False
    """Whether the two episodes of each pair that it learns from must have begun alike."""
    extra_evaluation: Callable[[Any, int, bool], Results] | None = None
    """Extra held-out results: (run, seed, quick) -> results."""
    make_run: Callable[..., Any] | None = None
    """How a run of it begins, where it is no single `Run`."""
