"""A reward model in one world: `python -m lessons.reward_model --world cartpole`, or language."""

import time
from collections.abc import Iterator

from lessons.harness.pairs import pairs_of_turn
from lessons.harness.recipe import Recipe, Record
from lessons.harness.run import Run
from lessons.harness.session import main
from lessons.harness.settings import RewardModelSettings
from rl_core.algorithms.reward_model import RewardModelConfig, reward_model, typical_reward

SETTINGS = {
    "cartpole": RewardModelSettings(
        iterations=80,
        learning_rate=1e-2,
        schedule="one_cycle",
        evaluate_every=131072,
        starts=400,
        update=RewardModelConfig(minibatch_rows=32),
    ),
    "language": RewardModelSettings(
        iterations=10,
        learning_rate=1e-3,
        schedule="one_cycle",
        evaluate_every=16384,
        starts=512,
        update=RewardModelConfig(minibatch_rows=16),
    ),
    "chat_model": RewardModelSettings(
        iterations=8,
        learning_rate=1e-3,
        schedule="one_cycle",
        evaluate_every=65_536,
        starts=64,
        update=RewardModelConfig(minibatch_rows=16, micro_rows=8),
    ),
}


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: a pass over fresh pairs of the policy's episodes.

    At the end the rewards are given a unit: preferences say nothing of their size, and whoever learns from them needs
    one.
    """
    assert run.scorer is not None  # it is what learns
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        pairs = pairs_of_turn(run, run.network, needed=True)
        metrics = reward_model(run.scorer, run.optimizer, pairs, run.config.update, run.generator)
        run.schedule.step()
        if run.iteration + 1 == run.config.iterations:
            run.scorer.scale_by(1 / typical_reward(run.scorer, pairs))
        yield run.record(metrics, time.perf_counter() - began)


RECIPE = Recipe("reward_model", SETTINGS, train, trains_reward_model=True)

if __name__ == "__main__":
    main(RECIPE, __doc__)
