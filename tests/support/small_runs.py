"""Runs of every lesson in every world that are over in a moment."""

from dataclasses import replace

from lessons.harness.run import Run
from lessons.worlds import load

ITERATIONS = 4
SMALL = {
    "sft": {"demonstrations": 16},
    "reward_model": {"starts": 16},
    "ppo": {"rows": 8, "steps": 16, "warmup": 0.3},
    "dpo": {"starts": 16, "passes": 2},
    "grpo": {"rows": 16, "steps": 16},
    "reinforce": {"rows": 16, "steps": 16},
}


def small(recipe, world):
    """Return a lesson's settings in a world, cut down."""
    config = recipe.settings[world]
    if recipe.name not in SMALL:
        steps = {name: replace(getattr(config, name), iterations=2, **SMALL[name]) for name in STAGES}
        return replace(config, **steps)
    return replace(config, iterations=ITERATIONS, **SMALL[recipe.name])


STAGES = ("sft", "reward_model", "ppo")


def begun(recipe, world, folder=None, *, seed=0):
    """Return such a run that has not begun."""
    begin = recipe.make_run or Run.start
    return begin(recipe, load(world), small(recipe, world), seed=seed, device="cpu", folder=folder, quick=True)
