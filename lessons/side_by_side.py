"""The main job: one algorithm in both worlds at once, an iteration in turn, and one report."""

import sys

if __name__ == "__main__":  # before the imports, which take seconds
    print("Loading torch and both worlds ...", file=sys.stderr, flush=True)

from dataclasses import make_dataclass
from typing import Any, Literal

import tyro

from lessons import dpo, grpo, ppo, reinforce, reward_model, rlhf, sft
from lessons.harness.machine import program, write_utf8
from lessons.harness.session import main
from lessons.worlds import NAMES

RECIPES = {recipe.RECIPE.name: recipe.RECIPE for recipe in (sft, reward_model, rlhf, ppo, dpo, grpo, reinforce)}


def chosen_algorithm() -> str:
    """Return what --algorithm names: which other options there are depends on it."""
    names: Any = Literal[tuple(RECIPES)]
    choice = make_dataclass("Choice", [("algorithm", names, "ppo")])
    chosen: Any = tyro.cli(choice, return_unknown_args=True, add_help=False, prog=program())[0]
    return str(chosen.algorithm)


if __name__ == "__main__":
    write_utf8()
    main(RECIPES[chosen_algorithm()], __doc__, worlds=NAMES, algorithms=tuple(RECIPES))
