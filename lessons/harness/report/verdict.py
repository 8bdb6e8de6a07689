"""The verdict on a run, in a line a world: was what the world asks for reached, when, and from where."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lessons.harness.machine import program
from lessons.harness.report.numbers import result
from lessons.harness.report.phrases import phrase, result_name
from lessons.harness.report.snapshot import Snapshot
from lessons.worlds import Target, all_reached

NEXT = {
    "sft": "reward_model",
    "reward_model": "rlhf",
    "rlhf": "dpo",
    "ppo": "dpo",
    "dpo": "grpo",
    "grpo": "reinforce",
    "reinforce": "ppo",
}
"""What to read and run after an algorithm."""


def verdict(run: Any, before: Snapshot, after: Snapshot, language: str) -> str:
    """Return what became of the results that the world asks for, or of the reward model's accuracy."""
    names = {target.name for target in run.world.targets}
    if not names <= set(before.results) & set(after.results):  # a reward model, which plays nothing
        changes = change(run, run.headline, before, after, language) if run.headline in after.results else ""
        return f"{run.world.title}: {phrase('trained', language)}: {changes}".rstrip(": ")
    is_solved = all_reached(run.world.targets, after.results)
    words = phrase("solved" if is_solved else "unsolved", language)
    changes = ", ".join(
        f"{change(run, each.name, before, after, language)} ({limit(run, each)})" for each in run.world.targets
    )
    first = ""
    if is_solved and run.solved_at is not None:
        first = phrase("first_at", language, steps=run.solved_at[0], step=run.world.step_name)
    return f"{run.world.title}: {words}: {changes}{first}"


def change(run: Any, name: str, before: Snapshot, after: Snapshot, language: str) -> str:
    """Return one result before and after, as a share or a number."""
    ends = [shown(run, name, look.results[name]) if name in look.results else "–" for look in (before, after)]
    return f"{result_name(name, language)} {ends[0]} -> {ends[1]}"


def limit(run: Any, target: Target) -> str:
    """Return what is asked of a result."""
    return f"{'<=' if target.is_most else '>='} {shown(run, target.name, target.limit, digits=0)}"


def shown(run: Any, name: str, value: float, *, digits: int = 1) -> str:
    """Return a result as a share in percent, or as a number."""
    return result(value, is_share=name in run.world.shares or name.endswith("accuracy"), digits=digits)


def what_next(algorithm: str, runs: Sequence[Any], folder: Path) -> list[str]:
    """Return commands to try after a run."""
    command = program()
    if command.endswith(".side_by_side"):
        following = f"{command} --algorithm {NEXT[algorithm]}"
    else:
        following = f"python -m lessons.{NEXT[algorithm]} --world {runs[0].world.name}"
    talkers = [folder / run.world.name for run in runs if (folder / run.world.name / "tokenizer.json").is_file()]
    is_policy = not runs[0].now.recipe.trains_reward_model
    return [following, *(f"python -m lessons.chat --model {shlex.quote(str(each))}" for each in talkers if is_policy)]
