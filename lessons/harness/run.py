"""A run under way: its parts, what it has seen so far, and its checkpoint."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lessons.harness.build import check_data, env_of, frozen, schedule_of, scorer_of
from lessons.harness.settings import Settings
from lessons.worlds import Results, World
from lessons.worlds.seeds import spawn
from rl_core import checkpoint
from rl_core.algorithms.reward_model import accuracy
from rl_core.errors import InvalidArgument
from rl_core.interfaces import Env
from rl_core.losses.reward_model import ranking_accuracy
from rl_core.types import Metrics, Pairs

RECENT = 100  # finished episodes that the running means look back on

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
    """What else is to be known of a run, from a seed and whether to be quick, beside the world's truth."""
    make_run: Callable[..., Any] | None = None
    """How a run of it begins, where it is no single `Run`."""


@dataclass
class Run:
    """All that decides how a run goes on, and nothing else."""

    recipe: Recipe
    world: World
    config: Any
    seed: int
    device: str
    network: nn.Module
    reference: nn.Module | None
    scorer: nn.Module | None
    env: Env | None
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    iteration: int = 0
    steps: int = 0
    seconds: float = 0.0
    recent: list[tuple[float, int]] = field(default_factory=list)
    evaluated_at: int = 0
    solved_at: tuple[int, float] | None = None
    stage_results: dict[str, Results] = field(default_factory=dict)  # the truth after each step, in a run of several

    @classmethod
    def start(
        cls,
        recipe: Recipe,
        world: World,
        config: Settings,
        *,
        seed: int,
        device: str,
        folder: Path | None = None,
        quick: bool = False,
    ) -> "Run":
        """Return a run that has not begun; it needs no folder, and looks at nothing on its way."""
        check_data(world, config, same_start=recipe.same_start_pairs)
        network = world.network(config.start, seed=spawn(seed, "weights"), device=device, critic=recipe.needs_critic)
        scorer = scorer_of(world, config, spawn(seed, "reward model"), device, learns=recipe.trains_reward_model)
        learner = scorer if recipe.trains_reward_model and scorer is not None else network
        learnt = [parameter for parameter in learner.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(learnt, lr=config.learning_rate, eps=config.adam_eps, fused=True)
        return cls(
            recipe=recipe,
            world=world,
            config=config,
            seed=seed,
            device=device,
            network=network,
            # From scratch there is nothing to stay close to.
            reference=frozen(world, config.start, seed=spawn(seed, "weights"), device=device)
            if config.start != "scratch" or recipe.needs_reference
            else None,
            scorer=scorer,
            env=env_of(world, config, spawn(seed, recipe.name, "starts"), device),
            optimizer=optimizer,
            schedule=schedule_of(optimizer, config),
            generator=torch.Generator(device).manual_seed(spawn(seed, recipe.name, "actions")),
        )

    @property
    def now(self) -> "Run":
        """Return the run that is under way: this one, where a run of several steps has another."""
        return self

    def fresh_seed(self) -> int:
        """Return a seed for the data of the next turn, which no other turn has, nor any evaluation, nor another run."""
        return spawn(self.seed, self.recipe.name, "turn", self.iteration)

    def record(self, metrics: Metrics, seconds: float) -> Record:
        """Return one iteration's record, in the same words in every world, and count it."""
        self.iteration += 1
        self.steps += int(metrics["steps"])
        self.seconds += seconds
        self.recent = (self.recent + (self.env.finished() if self.env is not None else []))[-RECENT:]
        count = len(self.recent)
        mean_length = sum(length for _, length in self.recent) / count if count else None
        per_step = metrics.get("kl")
        return metrics | {
            "world": self.world.name,
            "stage": self.recipe.name,
            "iteration": self.iteration,
            "steps": self.steps,
            "seconds": self.seconds,
            "return": sum(value for value, _ in self.recent) / count if count else None,
            "length": mean_length,
            "kl_per_episode": None if mean_length is None or per_step is None else per_step * mean_length,
            "steps_per_second": metrics["steps"] / seconds,
        }

    def evaluate(self, *, seed: int, quick: bool = False) -> Results:
        """Return the truth about what this run trains: a policy's, or a reward model's on pairs it never saw."""
        if not self.recipe.trains_reward_model:
            results = self.world.evaluate(
                self.network, seed=seed, device=self.device, quick=quick, reference=self.reference
            )
            return results | (self.recipe.extra_evaluation(self, seed, quick) if self.recipe.extra_evaluation else {})
        starts = self.judged(quick=quick)
        kinds = self.world.preferences(self.network, starts, seed=seed, held_out=True, device=self.device)
        return judged(self.scorer, kinds)

    def quick_evaluate(self, *, seed: int) -> Results:
        """Return a quick look at the truth when one is due, else nothing; its time is not the run's."""
        if self.steps - self.evaluated_at < self.config.evaluate_every:
            return {}
        self.evaluated_at += self.config.evaluate_every * (
            (self.steps - self.evaluated_at) // self.config.evaluate_every
        )
        if self.recipe.trains_reward_model:
            return self.evaluate(seed=seed, quick=True)
        results = self.world.quick_evaluate(self.network, seed=seed, device=self.device, reference=self.reference)
        if self.solved_at is None and self.world.solved(results):
            self.solved_at = (self.steps, self.seconds)
        return results

    def judged(self, *, quick: bool) -> int:
        """Return from how many held-out starts the pairs are played that judgments are tried on."""
        return self.world.held_out_pairs // 10 if quick else self.world.held_out_pairs

    @property
    def headline(self) -> str:
        """Return the number of the truth that the curves show."""
        return "accuracy" if self.recipe.trains_reward_model else self.world.headline

    def trials(self, name: str, results: Results) -> int | None:
        """Return in how many trials a number of the truth was counted; None where it is no share of any."""
        if name.startswith(("accuracy", "count_steps", "implicit_accuracy")):
            kind = name.partition("accuracy" if "accuracy" in name else "count_steps")[2]
            return int(results[f"pairs{kind}"])
        return int(results[self.world.trials]) if name in self.world.shares else None

    def bounds(self, before: Results, after: Results) -> Results:
        """Return what any policy must pay at the least for the way from before to after."""
        return {} if self.recipe.trains_reward_model else self.world.bounds(before, after)

    def export(self, folder: Path) -> None:
        """Write what was trained, so that other lessons can start from the folder."""
        if self.recipe.trains_reward_model and self.scorer is not None:
            self.world.save_scorer(self.scorer, folder)
        else:
            self.world.save(self.network, folder)

    def save(self, path: Path, **extra: Any) -> None:
        """Write all parts and counters to a checkpoint, with whatever else is to be known of the run."""
        checkpoint.save(path, self._parts(), self._about() | self._counters() | {"extra": extra})

    def load(self, path: Path) -> dict[str, Any]:
        """Return what else was kept, after going back to a checkpoint of a run like this one."""
        found = checkpoint.load(path, self._parts(), self._about())
        for name in self._counters():
            setattr(self, name, found[name])
        return found["extra"]

    def _parts(self) -> dict[str, Any]:
        names = ["network", "optimizer", "schedule", "generator"]
        names += ["env"] if self.env is not None else []
        names += ["scorer"] if self.recipe.trains_reward_model else []
        return {name: getattr(self, name) for name in names}

    def _about(self) -> dict[str, Any]:
        config = asdict(self.config)
        return {"algorithm": self.recipe.name, "world": self.world.name, "seed": self.seed, "config": config}

    def _counters(self) -> dict[str, Any]:
        names = ("iteration", "steps", "seconds", "recent", "evaluated_at", "solved_at")
        return {name: getattr(self, name) for name in names}


def judged(scorer: Any, kinds: Mapping[str, Pairs]) -> Results:
    """Return a reward model's accuracy on each kind of pairs, beside that of counting the steps."""
    found: Results = {}
    kinds = {kind: pairs for kind, pairs in kinds.items() if len(pairs)}
    if not kinds:
        raise InvalidArgument("kinds hold no pair: all episodes are equally good; let a weaker policy play.")
    for kind, pairs in kinds.items():
        lengths = [episodes.mask.sum(dim=1).float() for episodes in (pairs.chosen, pairs.rejected)]
        found |= {
            f"accuracy_{kind}": accuracy(scorer, pairs),
            f"count_steps_{kind}": ranking_accuracy(*lengths),
            f"pairs_{kind}": float(len(pairs)),
        }
    count = sum(len(pairs) for pairs in kinds.values())
    hits = sum(found[f"accuracy_{kind}"] * len(pairs) for kind, pairs in kinds.items())
    return {"accuracy": hits / count, "pairs": float(count)} | found
