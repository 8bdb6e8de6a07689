"""The two worlds, with one face: whatever a lesson asks of one, it asks of the other in the same words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from lessons.worlds.learners import Policy, RewardModel
from rl_core.errors import check_choice
from rl_core.interfaces import Env, Scorer
from rl_core.pairs import Pairs
from rl_core.types import Episodes, Rollout

NAMES = ("cartpole", "language")
ALL = (*NAMES, "sums")  # with those that have no twin
WITH_MODEL = {"language": "chat_model"}  # worlds whose model can be chosen, and where that is done
Results = dict[str, float]
Advance = Callable[[int, int], None]
"""Tells how much of a long piece of work is done, of how much."""


def nobody(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Target:
    """A limit that a result must reach from below, or from above where `is_most`."""

    name: str
    limit: float
    is_most: bool = False

    def is_reached(self, value: float) -> bool:
        """Return whether the value is on the right side of the limit, or on it."""
        return value <= self.limit if self.is_most else value >= self.limit


def all_reached(targets: Iterable[Target], results: Results) -> bool:
    """Return whether each target is reached by the result of its name."""
    return all(target.is_reached(results[target.name]) for target in targets)


class Shown(Protocol):
    """What a world has for people's eyes: reports and notebooks ask for it, and no training does."""

    def question(self, played: Rollout, row: int) -> str:
        """Return how a row began, for people."""
        ...

    def words(self, played: Rollout, row: int) -> list[str]:
        """Return each live step of a row in a few characters, for people."""
        ...

    def text(self, played: Rollout, row: int) -> str:
        """Return what a row did as one text."""
        ...

    def scene(self, axes: Any, before: Rollout, after: Rollout) -> Callable[[int], None]:
        """Draw the same starts before and after into some axes; return what moves them to that step."""
        ...

    def show(self, before: Rollout, after: Rollout, folder: Path) -> Path:
        """Return the file, written into the folder, that shows the same starts before and after."""
        ...

    def analogy(self, played: Rollout, network: Policy) -> dict[str, str]:
        """Return what state, action, policy, reward and environment are here, told from live objects."""
        ...


class World(Shown, Protocol):
    """What a lesson may ask. Every method that draws takes a seed; every method that builds takes a device.

    The networks and reward models that a world is given are those that it has built.
    """

    @property
    def name(self) -> str:
        """Return what the command line calls it."""
        ...

    @property
    def settings(self) -> str:
        """Return its column in the tables of settings."""
        ...

    @property
    def title(self) -> str:
        """Return what people call it."""
        ...

    @property
    def step_name(self) -> str:
        """Return what people call a step here."""
        ...

    @property
    def shares(self) -> tuple[str, ...]:
        """Return the results of an evaluation that are shares of trials."""
        ...

    @property
    def trials(self) -> str:
        """Return the result that counts the trials."""
        ...

    @property
    def headline(self) -> str:
        """Return the result that is a mean return."""
        ...

    @property
    def targets(self) -> tuple[Target, ...]:
        """Return what the world asks of the results."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of pairs that it makes."""
        ...

    @property
    def same_start(self) -> tuple[str, ...]:
        """Return those whose two episodes begin alike."""
        ...

    @property
    def held_out_pairs(self) -> int:
        """Return from how many held-out starts pairs are played to evaluate a judgment."""
        ...

    def network(self, start: str, *, seed: int, device: str = "cpu", critic: bool = True) -> Policy:
        """Return a fresh network that starts as `start`: reference, base or scratch, or a folder that `save` wrote."""
        ...

    def reference(self, device: str = "cpu") -> Policy:
        """Return the frozen network that we start from and stay close to."""
        ...

    def env(
        self, *, rows: int, steps: int, seed: int, device: str = "cpu", group_size: int = 1, whole: bool = False
    ) -> Env:
        """Return the training environment; `steps` is the most that a row may have.

        `group_size` rows share a start. `whole` asks for whole episodes, where a row might be a piece of one.
        """
        ...

    def preferences(
        self,
        network: Policy,
        count: int,
        *,
        seed: int,
        noise: float = 0.0,
        held_out: bool = False,
        device: str = "cpu",
    ) -> dict[str, Pairs]:
        """Return pairs of the network's own episodes by the kind of judgment, each from `count` starts, ties dropped.

        `noise` is the share of pairs whose two are swapped; `held_out` starts are never trained on.
        """
        ...

    def read_preferences(self, path: Path) -> Pairs:
        """Return a learner's own preferences, from a JSONL file: {"prompt": ..., "chosen": ..., "rejected": ...} a
        line.
        """
        ...

    def scorer(self, start: str, *, seed: int, device: str = "cpu") -> RewardModel:
        """Return a reward model that has learned nothing, on a trunk that starts as `start` (as `network`), or a saved
        one, from the folder that `save_scorer` wrote.
        """
        ...

    def holds_scorer(self, folder: Path) -> bool:
        """Return whether `save_scorer` wrote the folder."""
        ...

    def save_scorer(self, scorer: RewardModel, folder: Path) -> None:
        """Write the reward model so that `scorer(str(folder))` opens it."""
        ...

    def demonstrations(self, count: int, *, seed: int) -> Episodes:
        """Return episodes to imitate, imperfect on purpose."""
        ...

    def evaluate(
        self,
        network: Policy,
        *,
        seed: int,
        device: str = "cpu",
        quick: bool = False,
        best_of: int = 1,
        scorer: Scorer | None = None,
        reference: Policy | None = None,
        advance: Advance = nobody,
    ) -> Results:
        """Return what is measured of a network on held-out starts; `quick` plays fewer episodes.

        `best_of` n: of n episodes from each start, the one that the scorer likes best counts (the world's own reward
        without a scorer); the KL is then an upper bound. `reference`: whom it is measured to; by default the world's.
        """
        ...

    def quick_evaluate(
        self, network: Policy, *, seed: int, device: str = "cpu", reference: Policy | None = None
    ) -> Results:
        """Return as many of those results as `targets` name, fast enough to be asked while training."""
        ...

    def bounds(self, before: Results, after: Results) -> Results:
        """Return what any policy must pay at the least for the way from before to after."""
        ...

    def examples(self, count: int, *, seed: int, device: str = "cpu") -> Env:
        """Return an environment of whole, unseen episodes whose first starts depend on the seed alone."""
        ...

    def save(self, network: Policy, folder: Path) -> None:
        """Write the policy so that `network(str(folder))` opens it."""
        ...


def load(name: str, *, model: str | None = None, dtype: str = "float32", lora: int = 8) -> World:
    """Return the world of that name; the language world with a real chat model where one is named.

    Raise InvalidArgument for an unknown world. A world in which there is no model to choose takes no notice of one.
    """
    check_choice("world", name, ALL)
    if model is None or name not in WITH_MODEL:
        world: World = import_module(f"lessons.worlds.{name}.world").WORLD
    else:
        world = import_module(f"lessons.worlds.{WITH_MODEL[name]}.world").ChatModel(model=model, dtype=dtype, lora=lora)
    return world
