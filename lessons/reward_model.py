"""A reward model in one world: `python -m lessons.reward_model --world cartpole`, or language."""

import time
from collections.abc import Iterator

from lessons.drive import main
from lessons.pairs import pairs_of_turn
from lessons.run import Lesson, Record, Run
from lessons.tables import REWARD_MODEL
from rl_core.algorithms.reward_model import reward_model, typical_reward


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: a pass over fresh pairs of the policy's episodes.

    At the end the rewards are given a unit: preferences say nothing of their size, and whoever learns from them needs
    one.
    """
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        pairs = pairs_of_turn(run, run.network, needed=True)
        metrics = reward_model(run.scorer, run.optimizer, pairs, run.config.update, run.generator)
        run.schedule.step()
        if run.iteration + 1 == run.config.iterations:
            run.scorer.scale_by(1 / typical_reward(run.scorer, pairs))
        yield run.record(metrics, time.perf_counter() - began)


LESSON = Lesson("reward_model", REWARD_MODEL, train, scores=True)

if __name__ == "__main__":
    main(LESSON, __doc__)
