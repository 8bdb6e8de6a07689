"""SFT in one world: `python -m lessons.sft --world cartpole`, or language; behaviour cloning and a chat model.

The policies that ship with the worlds were made so, by `make models`.
"""

import time
from collections.abc import Iterator

from lessons.harness.recipe import Recipe, Record
from lessons.harness.run import Run
from lessons.harness.session import main
from lessons.harness.settings import SFTSettings
from rl_core.algorithms.sft import SFTConfig, sft

SETTINGS = {
    "cartpole": SFTSettings(
        start="base",
        iterations=10,
        learning_rate=3e-3,
        schedule="one_cycle",
        evaluate_every=8192,
        demonstrations=100,
        update=SFTConfig(minibatch_rows=256, max_grad_norm=None),
    ),
    "language": SFTSettings(
        start="base",
        iterations=16,
        learning_rate=1e-3,
        schedule="one_cycle",
        evaluate_every=65536,
        demonstrations=3200,
        update=SFTConfig(minibatch_rows=64),
    ),
    "sums": SFTSettings(
        start="base",
        iterations=15,
        learning_rate=1e-3,
        schedule="one_cycle",
        evaluate_every=65536,
        demonstrations=1600,
        update=SFTConfig(minibatch_rows=64),
    ),
    "chat_model": SFTSettings(
        start="base",
        iterations=20,
        learning_rate=1e-3,
        evaluate_every=65_536,
        demonstrations=28,
        update=SFTConfig(minibatch_rows=28, micro_rows=8),
    ),
}


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: a pass over fresh demonstrations."""
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        shown = run.world.demonstrations(run.config.demonstrations, seed=run.fresh_seed()).to(run.device)
        metrics = sft(run.network, run.optimizer, shown, run.config.update, run.generator)
        run.schedule.step()
        yield run.record(metrics, time.perf_counter() - began)


RECIPE = Recipe("sft", SETTINGS, train)

if __name__ == "__main__":
    main(RECIPE, __doc__)
