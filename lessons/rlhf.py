"""RLHF in three steps in one world: `python -m lessons.rlhf --world cartpole`, or language.

SFT (a clone), a reward model learnt from pairs of its episodes, and PPO on that model's rewards, anchored to the clone.
The world's own reward is never shown to PPO.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lessons import ppo, reward_model, sft
from lessons.drive import main
from lessons.options import TRUTH_SEED
from lessons.parts import check_data
from lessons.run import Lesson, Record, Run
from lessons.settings import RLHFRun
from lessons.tables import RLHF
from lessons.worlds import Gold, World
from rl_core import checkpoint

STEPS = (sft.LESSON, reward_model.LESSON, ppo.LESSON)


@dataclass
class Stages:
    """Three runs, each starting where the one before ended, with the face of one."""

    lesson: Lesson
    world: World
    config: RLHFRun
    seed: int
    device: str
    folder: Path
    quick: bool
    now: Run = field(init=False)
    number: int = 0
    before: list[int | float] = field(default_factory=lambda: [0, 0, 0.0])  # iterations, steps, seconds of those done
    golds: dict[str, Gold] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        lesson: Lesson,
        world: World,
        config: RLHFRun,
        *,
        seed: int,
        device: str,
        folder: Path,
        quick: bool = False,
    ) -> "Stages":
        """Return a run that has not begun; what its steps make goes into the folder, after a look, `quick` or not."""
        for step, settings in zip(STEPS, (config.sft, config.reward_model, config.ppo), strict=True):
            check_data(world, settings, one_start=step.one_start)  # now, and not when its turn comes
        stages = cls(lesson, world, config, seed, device, folder, quick)
        stages.enter(0)
        return stages

    def enter(self, number: int) -> None:
        """Nothing; that step is the one under way, at its beginning."""
        clone, taste = str(self.folder / "sft"), str(self.folder / "reward_model")
        links: tuple[dict[str, str], ...] = ({}, {"start": clone}, {"start": clone, "scorer": taste})
        config = (self.config.sft, self.config.reward_model, self.config.ppo)[number]
        self.number = number
        self.now = Run.start(
            STEPS[number], self.world, replace(config, **links[number]), seed=self.seed, device=self.device
        )
        self.now.config = config  # a checkpoint must not depend on where the folder lies

    def leave(self, gold: Gold) -> None:
        """Nothing; what the step under way has made is in the folder, and the next one is under way."""
        name = self.now.lesson.name
        self.now.keep(self.folder / name)
        self.golds[name] = gold
        self.before = [self.iteration, self.steps, self.seconds]
        self.enter(self.number + 1)

    @property
    def iteration(self) -> int:
        """Return how many turns are done."""
        return int(self.before[0]) + self.now.iteration

    @property
    def steps(self) -> int:
        """Return how many live steps were learnt from."""
        return int(self.before[1]) + self.now.steps

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.before[2] + self.now.seconds

    @property
    def solved_at(self) -> tuple[int, float] | None:
        """Return when a look at the truth first was what the world asks for: (steps, seconds)."""
        found = self.now.solved_at
        return None if found is None else (int(self.before[1]) + found[0], self.before[2] + found[1])

    @property
    def headline(self) -> str:
        """Return the number of the truth that the curves show."""
        return self.world.headline

    def trials(self, name: str, gold: Gold) -> int | None:
        """Return in how many trials a number of the truth was counted; None where it is no share of any."""
        return self.now.trials(name, gold)

    def bounds(self, before: Gold, after: Gold) -> Gold:
        """Return what any policy must pay at the least for the way from the clone to after."""
        return self.now.bounds(self.golds.get("sft", before), after)

    def truth(self, **asked: Any) -> Gold:
        """Return the truth about what the step under way trains."""
        return self.now.truth(**asked)

    def probe(self, *, seed: int) -> Gold:
        """Return a quick look at it when one is due."""
        return self.now.probe(seed=seed)

    def keep(self, folder: Path) -> None:
        """Write what the step under way has trained."""
        self.now.keep(folder)

    def save(self, path: Path) -> None:
        """Write the step under way to a checkpoint; the steps before it are in the folder."""
        self.now.save(path, number=self.number, before=self.before, golds=self.golds)

    def load(self, path: Path) -> None:
        """Go back to a checkpoint of a run like this one."""
        self.enter(checkpoint.read(path)["about"]["extra"]["number"])
        found = self.now.load(path)
        self.before, self.golds = list(found["before"]), found["golds"]


def train(run: Stages) -> Iterator[Record]:
    """Return the records of all three steps, one as each iteration is done."""
    while True:
        for record in run.now.lesson.train(run.now):
            yield record | {"iteration": run.iteration, "steps": run.steps, "seconds": run.seconds}
        if run.number + 1 == len(STEPS):
            return
        run.leave(run.truth(seed=TRUTH_SEED + run.seed, quick=run.quick))


LESSON = Lesson("rlhf", RLHF, train, start=Stages.start)

if __name__ == "__main__":
    main(LESSON, __doc__)
