"""The main job: one algorithm in both worlds at once, an iteration in turn, and one report.

`python -m lessons.side_by_side --algorithm ppo`, or sft, reward_model, rlhf, dpo, grpo, reinforce.
"""

import sys
from dataclasses import dataclass

import tyro

from lessons import dpo, grpo, ppo, reinforce, reward_model, rlhf, sft
from lessons.harness.command_line import exit_with
from lessons.harness.session import main
from lessons.worlds import NAMES
from rl_core.errors import RLCoreError, check_choice

RECIPES = {recipe.RECIPE.name: recipe.RECIPE for recipe in (sft, reward_model, rlhf, ppo, dpo, grpo, reinforce)}


@dataclass(frozen=True)
class Choice:
    """Which algorithm."""

    algorithm: str = "ppo"
    """One of sft, reward_model, rlhf, ppo, dpo, grpo, reinforce."""


if __name__ == "__main__":
    choice, rest = tyro.cli(Choice, return_unknown_args=True, add_help=False)
    try:
        check_choice("algorithm", choice.algorithm, RECIPES)
    except RLCoreError as error:
        exit_with(error)
    sys.argv[1:] = rest
    main(RECIPES[choice.algorithm], __doc__, worlds=NAMES)
