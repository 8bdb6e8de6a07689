"""The README's table, from the stored results."""

import re
from collections.abc import Callable
from statistics import median
from typing import Any

Result = dict[str, Any]
BEGIN, END = "<!-- results: made by python -m benchmarks.learning -->", "<!-- end of results -->"

Row = tuple[str, str, Callable[[Result], float | None], Callable[[float], str]]


def percent(value: float) -> str:
    """Return a share as people write it."""
    return f"{value:.1%}"


def number(value: float) -> str:
    """Return a number without more digits than it deserves."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


CARTPOLE: tuple[Row, ...] = (
    ("return, sampled", ">= 475 on every seed", lambda r: r["after"]["sampled_return"], number),
    ("return, greedy", ">= 475 on every seed", lambda r: r["after"]["greedy_return"], number),
    ("live steps to 475", "median <= 20,000, worst <= 40,000", lambda r: r["steps_to_solved"], number),
    ("seconds of training, one core", "median <= 2.5", lambda r: r["seconds"], number),
)
LANGUAGE: tuple[Row, ...] = (
    ("rude", "<= 3 %", lambda r: r["after"]["rude"], percent),
    ("polite", ">= 90 %", lambda r: r["after"]["polite"], percent),
    ("right, less right before", ">= -2 points", lambda r: r["after"]["right"] - r["before"]["right"], percent),
    ("ended with EOS", ">= 99 %", lambda r: r["after"]["eos"], percent),
    ("KL to the reference, nats an answer", "<= 5", lambda r: r["after"]["kl"], number),
    ("least KL of any policy with these tones", "", lambda r: r["after"]["least_kl"], number),
    ("seconds of training, one core", "", lambda r: r["seconds"], number),
)


def table(stored: dict[str, Any]) -> str:
    """Return the table in Markdown: median and range over the seeds, beside the bar and the run that learns nothing."""
    lines = [
        "| | bar | median | range over seeds | learning rate 0 |",
        "|---|---|---:|---:|---:|",
    ]
    for title, rows, world, start in (
        ("CartPole, from the clone", CARTPOLE, "cartpole", "reference"),
        ("CartPole, from scratch", CARTPOLE, "cartpole", "scratch"),
        ("Language model, from SFT", LANGUAGE, "language", "reference"),
    ):
        runs = [r for r in stored["results"] if (r["world"], r["start"]) == (world, start)]
        learnt = [r for r in runs if r["learns"]]
        control = [r for r in runs if not r["learns"]]
        lines.append(f"| **{title}**, {len(learnt)} seeds | | | | |")
        lines += [line(row, learnt, control) for row in rows]
    return "\n".join(lines)


def line(row: Row, learnt: list[Result], control: list[Result]) -> str:
    """Return one quantity's line."""
    name, bar, value_of, told = row
    values = [value for r in learnt if (value := value_of(r)) is not None]
    missing = len(learnt) - len(values)
    middle = told(median(values)) if values else "never"
    spread = f"{told(min(values))} to {told(max(values))}" if values else "never"
    still = [value for r in control if (value := value_of(r)) is not None]
    idle = told(median(still)) if still else "never"
    return f"| {name} | {bar} | {middle} | {spread}{f', {missing} never' if missing else ''} | {idle} |"


def readme_with_table(text: str, stored: dict[str, Any]) -> str:
    """Return the README with its table made anew."""
    block = f"{BEGIN}\n{table(stored)}\n{END}"
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, text, flags=re.DOTALL)
