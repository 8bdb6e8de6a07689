"""A run under way: its parts, what it has seen so far, and its checkpoint."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from lessons.harness.build import check_data, env_of, frozen, optimizer_of, schedule_of, scorer_of, two_rates
from lessons.harness.evaluation import Evaluated
from lessons.harness.play_settings import PPOSettings
from lessons.harness.recipe import Recipe, Record
from lessons.harness.settings import Settings
from lessons.worlds import Results, World
from lessons.worlds.learners import Policy, RewardModel
from lessons.worlds.seeds import spawn
from rl_core import checkpoint
from rl_core.interfaces import Env
from rl_core.types import Metrics


@dataclass
class Run(Evaluated):
    """All that decides how a run goes on, and nothing else."""

    recipe: Recipe
    world: World
    config: Any
    seed: int
    device: str
    network: Policy
    reference: Policy | None
    scorer: RewardModel | None
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
    stage_results: dict[str, Results] = field(default_factory=dict)  # of each step, in a run of several

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
        """Return a run that has not begun; it needs no folder, and evaluates nothing on its way."""
        check_data(world, config, same_start=recipe.same_start_pairs)
        network = world.network(config.start, seed=spawn(seed, "weights"), device=device, critic=recipe.needs_critic)
        scorer = scorer_of(world, config, spawn(seed, "reward model"), device, is_trained=recipe.trains_reward_model)
        learner = scorer if recipe.trains_reward_model and scorer is not None else network
        optimizer = (
            two_rates(network, config)
            if recipe.needs_critic and isinstance(config, PPOSettings)
            else optimizer_of(learner, config)
        )
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
        record: Record = {
            **metrics,
            "world": self.world.name,
            "stage": self.recipe.name,
            "iteration": self.iteration,
            "steps": self.steps,
            "seconds": self.seconds,
            "steps_per_second": metrics["steps"] / seconds,
        }
        return record if self.env is None else record | self.recent_means(self.env, metrics.get("kl"))

    def recent_means(self, env: Env, kl_per_step: float | None) -> Record:
        """Return the means over the latest finished episodes, as many as rows; None as long as there is none."""
        # One of each row: fewer are those of a rollout that end last, the longest; more tell of older policies.
        self.recent = (self.recent + env.finished())[-self.config.rows :]
        if not self.recent:
            return dict.fromkeys(("return", "length", "kl_per_episode"))
        returns, lengths = zip(*self.recent, strict=True)
        length = sum(lengths) / len(lengths)
        kl = None if kl_per_step is None else kl_per_step * length
        return {"return": sum(returns) / len(returns), "length": length, "kl_per_episode": kl}

    def export(self, folder: Path) -> None:
        """Write what was trained, so that other lessons can start from the folder."""
        if self.recipe.trains_reward_model and self.scorer is not None:
            self.world.save_scorer(self.scorer, folder)
        else:
            self.world.save(self.network, folder)

    def save(self, path: Path, **extra: Any) -> None:
        """Write all parts and counters to a checkpoint, with whatever else is to be known of the run."""
        checkpoint.save(path, self._parts(), self._about() | self._counters() | {"extra": extra, "device": self.device})

    def load(self, path: Path) -> dict[str, Any]:
        """Return what else was saved, after going back to a checkpoint of a run like this one.

        Random numbers are those of a device: on another than the checkpoint's, the generator is seeded anew.
        """
        parts, saved_on = self._parts(), checkpoint.read(path)["about"].get("device", self.device)
        if torch.device(saved_on).type != torch.device(self.device).type:
            parts["generator"] = _Unused()
        about = checkpoint.load(path, parts, self._about())
        for name in self._counters():
            setattr(self, name, about[name])
        if parts["generator"] is not self.generator:
            self.generator.manual_seed(self.fresh_seed())
        extra: dict[str, Any] = about["extra"]
        return extra

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


class _Unused:
    """Takes the place of a part whose saved state cannot be used here."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing that would have to be put back."""
        return {}

    def load_state_dict(self, state: Any, /) -> None:
        """Leave the state."""
