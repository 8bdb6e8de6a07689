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
from rl_core.types import Metrics, Pairs

ROWS = 64  # pairs that the reference reads at a time, where memory sets no limit


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: some passes over a round of fresh pairs."""
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        writer = run.network if run.config.writer == "policy" else run.reference
        metrics = round_of(run, pairs_of_turn(run, writer))
        yield run.record(metrics, time.perf_counter() - began)


def round_of(run: Run, pairs: Pairs) -> Metrics:
    """Return the metrics of some passes over the pairs; where all episodes were equally good there is none to learn."""
    reference = run.reference if run.config.anchor == "start" else copy.deepcopy(run.network)
    known = anchored(reference, pairs, rows=run.config.update.micro_rows or ROWS) if len(pairs) else pairs
    passes = [{"pairs": 0.0, "steps": 0.0}]
    for _ in range(run.config.passes):
        if len(pairs):
            passes.append(dpo(run.network, reference, run.optimizer, known, run.config.update, run.generator))
        run.schedule.step()
    return mean_metrics(passes[1:] or passes)


LESSON = Lesson("dpo", DPO, train)

if __name__ == "__main__":
    main(LESSON, __doc__)
