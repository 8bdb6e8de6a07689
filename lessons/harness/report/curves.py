"""The curves of a run: one column a world, the same quantity in the same line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.harness.report.style import COLOURS, INK, PALE

LINES = (
    ("return", "return\n(mean of the last 100)"),
    ("loss", "loss"),
    ("accuracy", "share of pairs\nrightly told apart"),
    ("kl_per_episode", "KL to the reference\n(nats per episode)"),
    ("entropy", "entropy\n(nats per step)"),
    ("clip_fraction", "share of clipped steps"),
    ("explained_variance", "explained variance\nof the critic"),
)


def read_records(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of a metrics file, by world."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        found.setdefault(record["world"], []).append(record)
    return found


def draw_curves(records: dict[str, list[dict[str, Any]]], heads: Sequence[tuple[str, str]], path: Path) -> None:
    """Nothing; the picture is in the file. Heads: each world's title, and which number of its truth is the return."""
    shown = [line for line in LINES if line[0] == "return" or has_any(records, line[0])]
    figure = Figure(figsize=(4.6 * len(heads), 1.8 * len(shown)), dpi=110, layout="constrained")
    grid = figure.subplots(len(shown), len(heads), squeeze=False, sharex="col")
    for column, ((title, headline), rows) in enumerate(zip(heads, records.values(), strict=True)):
        for line, (name, label) in enumerate(shown):
            axes = grid[line][column]
            curve(axes, rows, name, COLOURS[column % len(COLOURS)])
            if column == 0:
                axes.set_ylabel(label, color=INK, fontsize=9)
        seen = [(row["steps"], row[f"eval_{headline}"]) for row in rows if f"eval_{headline}" in row]
        if seen:
            grid[0][column].scatter(*zip(*seen, strict=True), color=INK, s=9, zorder=3, label="on unseen starts")
            grid[0][column].legend(frameon=False, fontsize=8, loc="lower right")
        grid[0][column].set_title(title, color=INK, fontsize=12, loc="left", weight="bold")
        grid[-1][column].set_xlabel("live steps", color=INK, fontsize=9)
    figure.savefig(path)


def has_any(records: dict[str, list[dict[str, Any]]], name: str) -> bool:
    """Return whether any record of any world has that quantity."""
    return any(row.get(name) is not None for rows in records.values() for row in rows)


def curve(axes: Axes, rows: Sequence[dict[str, Any]], name: str, colour: str) -> None:
    """Nothing; the axes show one quantity against live steps, without the iterations that have none yet."""
    points = [(row["steps"], row[name]) for row in rows if row.get(name) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, lw=1.8)
    axes.grid(color=PALE, lw=0.8)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
