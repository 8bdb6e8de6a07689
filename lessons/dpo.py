"""DPO in one world: `python -m lessons.dpo --world cartpole`, or language."""

import copy
import time
from collections.abc import Iterator

from lessons.drive import main
from lessons.pairs import pairs_of_turn
from lessons.run import Lesson, Record, Run
from lessons.tables import DPO
from rl_core.algorithms.dpo import anchored, dpo
from rl_core.algorithms.step import mean_metrics


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: some passes over a round of fresh pairs."""
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        reference = run.reference if run.config.anchor == "start" else copy.deepcopy(run.network)
        writer = run.network if run.config.writer == "policy" else run.reference
        pairs = anchored(reference, pairs_of_turn(run, writer))
        passes = [
            dpo(run.network, reference, run.optimizer, pairs, run.config.update, run.generator)
            for _ in range(run.config.passes)
        ]
        run.schedule.step()
        yield run.record(mean_metrics(passes), time.perf_counter() - began)


LESSON = Lesson("dpo", DPO, train)

if __name__ == "__main__":
    main(LESSON, __doc__)
