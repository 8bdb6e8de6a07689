"""GRPO in one world: `python -m lessons.grpo --world cartpole`, or language."""

import time
from collections.abc import Iterator

from lessons.harness.play_settings import GRPOSettings
from lessons.harness.recipe import Recipe, Record
from lessons.harness.run import Run
from lessons.harness.session import main
from rl_core.algorithms.grpo import GRPOConfig, grpo
from rl_core.rollout import relabel, rollout

SETTINGS = {
    "cartpole": GRPOSettings(
        iterations=20,
        rows=32,
        steps=500,
        learning_rate=2e-2,
        evaluate_every=4096,
        update=GRPOConfig(group_size=8, beta=0.0, epochs=1, minibatches=1),
    ),
    "language": GRPOSettings(
        iterations=70,
        rows=64,
        steps=32,
        learning_rate=4e-4,
        evaluate_every=4096,
        update=GRPOConfig(group_size=8, beta=0.05, epochs=2, minibatches=4),
    ),
    "sums": GRPOSettings(
        iterations=40,
        rows=128,
        steps=32,
        learning_rate=2e-4,
        evaluate_every=8192,
        update=GRPOConfig(group_size=8, beta=0.01, epochs=1, minibatches=4),
    ),
    "chat_model": GRPOSettings(
        iterations=18,
        rows=32,
        steps=32,
        learning_rate=1e-3,
        evaluate_every=65_536,
        update=GRPOConfig(group_size=8, beta=0.02, minibatches=2, micro_rows=8, max_sampler_gap=1e-3),
    ),
}


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: that of PPO, but for the update."""
    assert run.env is not None  # a recipe that plays has one
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        played = rollout(run.env, run.network, run.generator)
        if run.scorer is not None:
            played = relabel(played, run.scorer, micro_rows=run.config.update.micro_rows)
        metrics = grpo(run.network, run.reference, run.optimizer, played, run.config.update, run.generator)
        run.schedule.step()
        yield run.record(metrics, time.perf_counter() - began)


RECIPE = Recipe("grpo", SETTINGS, train)

if __name__ == "__main__":
    main(RECIPE, __doc__)
