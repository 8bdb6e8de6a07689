"""The warm-up of a critic: in the first turns of a run it alone learns, and the policy stands still."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lessons.harness.run import Run
from rl_core.algorithms.ppo import PPOConfig


@contextmanager
def next_update(run: Run) -> Iterator[PPOConfig]:
    """Give what the next update reads; while the critic warms up, the policy is frozen until the update is done."""
    update: PPOConfig = run.config.update
    if run.iteration >= run.config.passes_before:
        yield update
        return
    policy, _critic = (group["params"] for group in run.optimizer.param_groups)
    for weight in policy:
        weight.requires_grad_(False)
    try:
        yield replace(update, epochs=run.config.warmup_epochs)
    finally:
        for weight in policy:
            weight.requires_grad_(True)
