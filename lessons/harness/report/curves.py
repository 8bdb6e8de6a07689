"""The curves of a run: one column a world, what was asked for on top, the same quantity in the same line."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.harness.report.snapshot import Snapshot
from lessons.harness.report.style import BAD, COLOURS, GOOD, INK, plain

SHARES = {"polite": GOOD, "passed": GOOD, "rude": BAD}  # any other: ink
LINES = (
    ("accuracy", "share of pairs\nrightly told apart"),
    ("kl_per_episode", "KL to the reference\n(nats per episode)"),
    ("entropy", "entropy\n(nats per step)"),
    ("clip_fraction", "share of steps\nwith ratio beyond 1 ± ε"),
    ("explained_variance", "explained variance\nof the critic"),
)
Records = dict[str, list[dict[str, Any]]]
Look = tuple[Any, Snapshot, Snapshot]


def draw_curves(looks: Sequence[Look], records: Records, facts: dict[str, Any], path: Path) -> None:
    """Write the picture: held-out results with their targets, and below them what training says of itself."""
    lines = [line for line in LINES if any(has(rows, line[0]) for rows in records.values())]
    has_shares = any(shares_of(look[0]) for look in looks)
    count = 1 + has_shares + len(lines)
    figure = Figure(figsize=(4.6 * len(looks), 1.9 * count), dpi=110, layout="constrained")
    grid = figure.subplots(count, len(looks), squeeze=False, sharex="col")
    figure.suptitle(f"{facts['algorithm']}, seed {facts['seed']}, {date.today().isoformat()}", color=INK, fontsize=11)
    for column, look in enumerate(looks):
        run, rows = look[0], records.get(look[0].world.name, [])
        colour = COLOURS[column % len(COLOURS)]
        headline(grid[0][column], look, rows, colour)
        grid[0][column].set_title(run.world.title, color=INK, fontsize=12, loc="left", weight="bold")
        if has_shares:
            shares(grid[1][column], look, rows)
        for axes, (name, label) in zip(grid[1 + has_shares :, column], lines, strict=True):
            curve(axes, rows, name, colour)
            if column == 0:
                axes.set_ylabel(label, color=INK, fontsize=9)
        grid[-1][column].set_xlabel(f"{run.world.step_name}s learned from", color=INK, fontsize=9)
    figure.savefig(path)


def headline(axes: Axes, look: Look, rows: Sequence[dict[str, Any]], colour: str) -> None:
    """Draw the result that sums up the others: on held-out starts as the line, the running mean of training pale."""
    run = look[0]
    curve(axes, rows, "return", colour, label="training, running mean", alpha=0.35)
    axes.plot(*results(look, rows, run.headline), color=colour, lw=1.8, marker="o", ms=3, label="held-out starts")
    axes.set_ylabel(run.headline.replace("_", " "), color=INK, fontsize=9)
    limit(axes, run, run.headline, INK)
    axes.legend(frameon=False, fontsize=8, loc="best")


def shares(axes: Axes, look: Look, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the shares that the world asks for, each with its limit; nothing where it asks for none."""
    run, names = look[0], shares_of(look[0])
    if not names:
        axes.axis("off")
        return
    for name in names:
        colour = SHARES.get(name, INK)
        axes.plot(*results(look, rows, name), color=colour, lw=1.8, marker="o", ms=3, label=name)
        limit(axes, run, name, colour)
    plain(axes)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("share of held-out\nanswers", color=INK, fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="center right")


def shares_of(run: Any) -> list[str]:
    """Return which of the results that the world asks for are shares."""
    if run.now.recipe.trains_reward_model:
        return []
    return [target.name for target in run.world.targets if target.name in run.world.shares]


def limit(axes: Axes, run: Any, name: str, colour: str) -> None:
    """Draw what the world asks of a result, if it does."""
    for target in run.world.targets:
        if target.name == name:
            axes.axhline(target.limit, color=colour, lw=0.9, ls="--")


def results(look: Look, rows: Sequence[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Return (steps, values) of a held-out result: before training, meanwhile, and after."""
    run, before, after = look
    points = [(row["steps"], row[f"eval_{name}"]) for row in rows if f"eval_{name}" in row]
    points = [(0, before.results.get(name)), *points, (run.steps, after.results.get(name))]
    known = [(steps, value) for steps, value in points if value is not None]
    return [steps for steps, _ in known], [value for _, value in known]


def has(rows: Sequence[dict[str, Any]], name: str) -> bool:
    """Return whether any record has that quantity."""
    return any(row.get(name) is not None for row in rows)


def curve(
    axes: Axes, rows: Sequence[dict[str, Any]], name: str, colour: str, *, label: str | None = None, alpha: float = 1.0
) -> None:
    """Draw one quantity against the steps learned from, without the iterations that have none yet."""
    points = [(row["steps"], row[name]) for row in rows if row.get(name) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, lw=1.8, label=label, alpha=alpha)
    plain(axes)
