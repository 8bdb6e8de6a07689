"""The main job: one algorithm in both worlds at once, an iteration in turn, and one report.

`python -m lessons.side_by_side --algorithm ppo`, or sft, reward_model, rlhf, dpo, grpo, reinforce.
"""

import sys
from dataclasses import dataclass

import tyro

from lessons import dpo, grpo, ppo, reinforce, reward_model, rlhf, sft
from lessons.drive import main
from lessons.options import plainly
from lessons.worlds import NAMES
from rl_core.errors import RLCoreError, check_choice

LESSONS = {lesson.LESSON.name: lesson.LESSON for lesson in (sft, reward_model, rlhf, ppo, dpo, grpo, reinforce)}


@dataclass(frozen=True)
class Choice:
    """Which algorithm."""

    algorithm: str = "ppo"
    """One of sft, reward_model, rlhf, ppo, dpo, grpo, reinforce."""


if __name__ == "__main__":
    choice, rest = tyro.cli(Choice, return_unknown_args=True, add_help=False)
    try:
        check_choice("algorithm", choice.algorithm, LESSONS)
    except RLCoreError as error:
        plainly(error)
    sys.argv[1:] = rest
    main(LESSONS[choice.algorithm], __doc__, worlds=NAMES)
