"""REINFORCE with a baseline, in one world: `python -m lessons.reinforce --world cartpole`, or language."""

import time
from collections.abc import Iterator

from lessons.harness.play_settings import ReinforceSettings
from lessons.harness.recipe import Recipe, Record
from lessons.harness.run import Run
from lessons.harness.session import main
from rl_core.algorithms.reinforce import ReinforceConfig, reinforce
from rl_core.rollout import relabel, rollout

SETTINGS = {
    "cartpole": ReinforceSettings(
        iterations=25,
        rows=64,
        steps=500,
        learning_rate=1e-2,
        evaluate_every=4096,
        update=ReinforceConfig(baseline="leave_one_out", group_size=8),
    ),
    "language": ReinforceSettings(
        iterations=110,
        rows=64,
        steps=32,
        learning_rate=1e-3,
        evaluate_every=4096,
        update=ReinforceConfig(baseline="leave_one_out", group_size=8, beta=0.05),
    ),
    "chat_model": ReinforceSettings(
        iterations=24,
        rows=32,
        steps=32,
        learning_rate=1e-3,
        evaluate_every=65_536,
        update=ReinforceConfig(group_size=8, beta=0.02, micro_rows=8, max_sampler_gap=1e-3),
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
        metrics = reinforce(run.network, run.reference, run.optimizer, played, run.config.update, run.generator)
        run.schedule.step()
        yield run.record(metrics, time.perf_counter() - began)


RECIPE = Recipe("reinforce", SETTINGS, train)

if __name__ == "__main__":
    main(RECIPE, __doc__)
