"""PPO in one world: `python -m lessons.ppo --world cartpole`, or language."""

import time
from collections.abc import Iterator

from lessons.drive import main
from lessons.run import Record, Run
from rl_core.algorithms.ppo import ppo
from rl_core.rollout import rollout


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done. This is the whole loop, in every world."""
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        played = rollout(run.env, run.network, run.generator)
        metrics = ppo(run.network, run.reference, run.optimizer, played, run.config.update, run.generator)
        run.schedule.step()
        yield run.record(metrics, time.perf_counter() - began)


if __name__ == "__main__":
    main("ppo", train, __doc__)
