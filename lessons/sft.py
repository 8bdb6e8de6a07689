"""SFT in one world: `python -m lessons.sft --world cartpole`, or language; behaviour cloning and a chat model.

The policies that ship with the worlds were made so, by `make models`.
"""

import time
from collections.abc import Iterator

from lessons.drive import main
from lessons.run import Lesson, Record, Run
from lessons.tables import SFT
from rl_core.algorithms.sft import sft


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: a pass over fresh demonstrations."""
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        shown = run.world.demonstrations(run.config.demonstrations, seed=run.fresh_seed()).to(run.device)
        metrics = sft(run.network, run.optimizer, shown, run.config.update, run.generator)
        run.schedule.step()
        yield run.record(metrics, time.perf_counter() - began)


LESSON = Lesson("sft", SFT, train)

if __name__ == "__main__":
    main(LESSON, __doc__)
