"""PPO in one world: `python -m lessons.ppo --world cartpole`, or language."""

import time
from collections.abc import Iterator

from lessons.harness.play_settings import PPOSettings
from lessons.harness.recipe import Recipe, Record
from lessons.harness.run import Run
from lessons.harness.session import main
from lessons.harness.warm_up import next_update
from rl_core.algorithms.ppo import PPOConfig, ppo
from rl_core.rollout import relabel, rollout

SETTINGS = {
    "cartpole": PPOSettings(
        iterations=40,
        rows=16,
        steps=64,
        learning_rate=7e-3,
        critic_learning_rate=1.5e-2,
        warmup=0.05,
        warmup_epochs=6,
        evaluate_every=1024,
        update=PPOConfig(gamma=0.99, lam=0.95, clip=0.12, epochs=6, minibatches=4),
    ),
    "language": PPOSettings(
        iterations=40,
        rows=160,
        steps=32,
        learning_rate=4e-4,
        critic_learning_rate=1e-3,
        warmup=0.2,
        warmup_epochs=3,
        evaluate_every=6144,
        update=PPOConfig(gamma=1.0, lam=1.0, beta=0.15, value_weight=1.0, epochs=1, minibatches=8, max_grad_norm=10.0),
    ),
    "chat_model": PPOSettings(
        iterations=12,
        rows=32,
        steps=32,
        learning_rate=1e-3,
        evaluate_every=65_536,
        replays=0,  # from so large a model a true value costs minutes
        update=PPOConfig(
            gamma=1.0,
            lam=1.0,
            beta=0.05,
            value_weight=0.1,
            epochs=2,
            minibatches=2,
            micro_rows=8,
            max_grad_norm=1.0,
            max_sampler_gap=1e-3,
        ),
    ),
}


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done. This is the whole loop, in every world."""
    assert run.env is not None  # a recipe that plays has one
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        played = rollout(run.env, run.network, run.generator)
        if run.scorer is not None:
            played = relabel(played, run.scorer, micro_rows=run.config.update.micro_rows)
        with next_update(run) as update:
            metrics = ppo(run.network, run.reference, run.optimizer, played, update, run.generator)
        run.schedule.step()
        yield run.record(metrics, time.perf_counter() - began)


RECIPE = Recipe("ppo", SETTINGS, train, needs_critic=True)

if __name__ == "__main__":
    main(RECIPE, __doc__)
