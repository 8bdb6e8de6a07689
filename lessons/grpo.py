"""GRPO in one world: `python -m lessons.grpo --world cartpole`, or language."""

import time
from collections.abc import Iterator

from lessons.drive import main
from lessons.run import Lesson, Record, Run
from lessons.tables import GRPO
from rl_core.algorithms.grpo import grpo
from rl_core.rollout import relabel, rollout


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: that of PPO, but for the update."""
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        played = rollout(run.env, run.network, run.generator)
        if run.scorer is not None:
            played = relabel(played, run.scorer, micro_rows=run.config.update.micro_rows)
        metrics = grpo(run.network, run.reference, run.optimizer, played, run.config.update, run.generator)
        run.schedule.step()
        yield run.record(metrics, time.perf_counter() - began)


LESSON = Lesson("grpo", GRPO, train)

if __name__ == "__main__":
    main(LESSON, __doc__)
