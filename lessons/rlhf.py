"""RLHF in three steps in one world: `python -m lessons.rlhf --world cartpole`, or language.

SFT (a clone), a reward model learned from pairs of its episodes, and PPO on that model's rewards, anchored to the
clone. The world's own reward is never shown to PPO.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from lessons import ppo, reward_model, sft
from lessons.harness.build import check_data
from lessons.harness.play_settings import PPOSettings
from lessons.harness.recipe import Recipe, Record
from lessons.harness.run import Run
from lessons.harness.session import main
from lessons.harness.settings import RewardModelSettings, SFTSettings
from lessons.worlds import Results, World
from lessons.worlds.seeds import spawn
from rl_core import checkpoint
from rl_core.config import Config


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


SETTINGS = {
    "cartpole": RLHFSettings(
        sft=sft.SETTINGS["cartpole"],
        reward_model=reward_model.SETTINGS["cartpole"],
        ppo=replace(
            ppo.SETTINGS["cartpole"],
            iterations=100,
            learning_rate=5e-3,
            critic_learning_rate=2e-2,
            update=replace(ppo.SETTINGS["cartpole"].update, lam=0.98, beta=0.02),
        ),
    ),
    "language": RLHFSettings(
        sft=replace(sft.SETTINGS["language"], iterations=6),
        reward_model=reward_model.SETTINGS["language"],
        ppo=replace(
            ppo.SETTINGS["language"],
            iterations=36,
            learning_rate=4.5e-4,
            update=replace(ppo.SETTINGS["language"].update, beta=0.2),
        ),
    ),
    "chat_model": RLHFSettings(
        sft=sft.SETTINGS["chat_model"], reward_model=reward_model.SETTINGS["chat_model"], ppo=ppo.SETTINGS["chat_model"]
    ),
}

STEPS = (sft.RECIPE, reward_model.RECIPE, ppo.RECIPE)


class Done(NamedTuple):
    """What the steps before the one under way have come to."""

    iterations: int = 0
    steps: int = 0
    seconds: float = 0.0


@dataclass
class Stages:
    """Three runs, each starting where the one before ended, that answer as one `Run` does."""

    recipe: Recipe
    world: World
    config: RLHFSettings
    seed: int
    device: str
    folder: Path
    quick: bool
    now: Run = field(init=False)
    number: int = 0
    before: Done = field(default_factory=Done)
    stage_results: dict[str, Results] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        recipe: Recipe,
        world: World,
        config: RLHFSettings,
        *,
        seed: int,
        device: str,
        folder: Path,
        quick: bool = False,
    ) -> "Stages":
        """Return a run that has not begun; what its steps make goes into the folder, after a look, `quick` or not."""
        for step, settings in zip(STEPS, (config.sft, config.reward_model, config.ppo), strict=True):
            check_data(world, settings, same_start=step.same_start_pairs)  # now, and not when its turn comes
        stages = cls(recipe, world, config, seed, device, folder, quick)
        stages.enter(0)
        return stages

    def enter(self, number: int) -> None:
        """Begin that step."""
        clone, taste = str(self.folder / "sft"), str(self.folder / "reward_model")
        links: tuple[dict[str, Any], ...] = ({}, {"start": clone}, {"start": clone, "scorer": taste})
        config = (self.config.sft, self.config.reward_model, self.config.ppo)[number]
        self.number = number
        self.now = Run.start(
            STEPS[number], self.world, replace(config, **links[number]), seed=self.seed, device=self.device
        )
        self.now.config = config  # a checkpoint must not depend on where the folder lies

    def leave(self, results: Results) -> None:
        """Write what the step under way has made into the folder, and begin the next one."""
        name = self.now.recipe.name
        self.now.export(self.folder / name)
        self.stage_results[name] = results
        self.before = Done(self.iteration, self.steps, self.seconds)
        self.enter(self.number + 1)

    @property
    def iteration(self) -> int:
        """Return how many turns are done."""
        return self.before.iterations + self.now.iteration

    @property
    def steps(self) -> int:
        """Return how many live steps were learned from."""
        return self.before.steps + self.now.steps

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.before.seconds + self.now.seconds

    @property
    def solved_at(self) -> tuple[int, float] | None:
        """Return when an evaluation first was what the world asks for: (steps, seconds)."""
        solved = self.now.solved_at
        return None if solved is None else (self.before.steps + solved[0], self.before.seconds + solved[1])

    @property
    def headline(self) -> str:
        """Return the result that the curves show."""
        return self.world.headline

    def trials(self, name: str, results: Results) -> int | None:
        """Return in how many trials a result was counted; None where it is no share of any."""
        return self.now.trials(name, results)

    def bounds(self, before: Results, after: Results) -> Results:
        """Return what any policy must pay at the least for the way from the clone to after."""
        return self.now.bounds(self.stage_results.get("sft", before), after)

    def evaluate(self, **asked: Any) -> Results:
        """Return what is measured of what the step under way trains."""
        return self.now.evaluate(**asked)

    def quick_evaluate(self, *, seed: int) -> Results:
        """Return a quick evaluation of it when one is due."""
        return self.now.quick_evaluate(seed=seed)

    def export(self, folder: Path) -> None:
        """Write what the step under way has trained."""
        self.now.export(folder)

    def save(self, path: Path) -> None:
        """Write the step under way to a checkpoint; the steps before it are in the folder."""
        self.now.save(path, number=self.number, before=list(self.before), stage_results=self.stage_results)

    def load(self, path: Path) -> None:
        """Go back to a checkpoint of a run like this one."""
        self.enter(checkpoint.read(path)["about"]["extra"]["number"])
        extra = self.now.load(path)
        self.before, self.stage_results = Done(*extra["before"]), extra["stage_results"]


def train(run: Stages) -> Iterator[Record]:
    """Return the records of all three steps, one as each iteration is done."""
    while True:
        for record in run.now.recipe.train(run.now):
            yield record | {"iteration": run.iteration, "steps": run.steps, "seconds": run.seconds}
        if run.number + 1 == len(STEPS):
            return
        run.leave(run.evaluate(seed=spawn(run.seed, "evaluate"), quick=run.quick))


RECIPE = Recipe("rlhf", SETTINGS, train, make_run=Stages.start)

if __name__ == "__main__":
    main(RECIPE, __doc__)
