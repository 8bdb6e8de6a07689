"""Pictures of groups: what each episode of a group got and is worth, and where their ways part."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.harness.report.numbers import signed
from lessons.harness.report.style import BAD, EDGE, GOOD, INK, PALE
from notebooks.figures.credit import SIGNS
from notebooks.figures.page import panels

FIRST = -0.3  # where a tree's start stands, a little apart from the first steps at 1


@dataclass(frozen=True)
class Group:
    """Episodes from one start."""

    title: str
    colour: str
    names: list[str]  # one an episode, in a few characters
    words: list[list[str]]  # each episode's steps, in a few characters each
    returns: list[float]
    advantages: list[float]


def group_bars(groups: Sequence[Group], unit: Sequence[str]) -> Figure:
    """Return a figure with a line for each group: its returns with their mean on the left, its advantages beside."""
    figure, grid = panels(len(groups), 2, width=9.2, height=2.9 * len(groups))
    for number, (group, (left, right)) in enumerate(zip(groups, grid, strict=True)):
        places = range(len(group.returns))
        middle, spread = mean(group.returns), stdev(group.returns)
        left.barh(places, group.returns, color=group.colour, height=0.68)
        left.axvspan(middle - spread, middle + spread, color=PALE, alpha=0.7, lw=0, zorder=0)
        left.axvline(middle, color=INK, lw=1.4, ls=(0, (3, 2)))
        left.annotate("mean ± std", (middle, -0.5), (0, 3), textcoords="offset points", ha="center", va="bottom",
                      fontsize=8, color=INK, annotation_clip=False)  # fmt: skip
        left.set_xlabel(unit[number], color=INK, fontsize=9)
        signs = [GOOD if advantage > 0 else BAD for advantage in group.advantages]
        right.barh(places, group.advantages, color=signs, height=0.68)
        right.axvspan(-1, 1, color=PALE, alpha=0.7, lw=0, zorder=0)
        right.axvline(0, color=INK, lw=0.8)
        for place, advantage in enumerate(group.advantages):
            side = 1 if advantage >= 0 else -1
            right.annotate(signed(advantage), (advantage, place), (4 * side, 0), textcoords="offset points",
                           ha="left" if side > 0 else "right", va="center", fontsize=8, color=INK)  # fmt: skip
        right.margins(x=0.22)
        right.set_xlabel("advantage A", color=INK, fontsize=9)
        for axes in (left, right):
            axes.set_ylim(len(group.returns) - 0.45, -0.55)
            axes.set_yticks(places, group.names if axes is left else [""] * len(group.names))
            axes.grid(False, axis="y")
        left.set_title(group.title, loc="left", color=group.colour, fontsize=11, weight="bold", pad=14)
    return figure


def forks(groups: Sequence[Group], most: int) -> Figure:
    """Return a figure with a tree for each group: episodes are one line as long as they are alike, up to `most` steps.

    A box is a step, coloured by the sum of the advantages of all episodes that pass through it; the sum stands at
    each fork. At the start, where all are together, it is 0.
    """
    leaves = [sorted({tuple(words[:most]) for words in group.words}) for group in groups]
    heights = [len(ways) + 0.8 for ways in leaves]
    figure, grid = panels(len(groups), 1, width=9.8, height=0.44 * sum(heights), height_ratios=heights)
    for number, (group, ways) in enumerate(zip(groups, leaves, strict=True)):
        axes = grid[number][0]
        _tree(axes, group, ways, most)
        axes.set_title(group.title, loc="left", color=group.colour, fontsize=11, weight="bold")
    return figure


def _tree(axes: Axes, group: Group, ways: Sequence[tuple[str, ...]], most: int) -> None:
    """Draw the ways, merged where they are alike."""
    heights, sums = _nodes(group, ways, most)
    limit = max(1e-6, *map(abs, sums.values()))
    for way, height in heights.items():
        depth, x = len(way), len(way) or FIRST
        if depth:
            ends = [depth - 1 or FIRST, x], [heights[way[:-1]], height]
            axes.plot(*ends, color=EDGE, lw=1.4, zorder=1)
        fill = SIGNS(0.5 + 0.42 * sums[way] / limit)
        box = {"boxstyle": "round,pad=0.28", "facecolor": fill, "edgecolor": EDGE, "lw": 0.6}
        word = _shown(way[-1]) if depth else "start"
        axes.text(x, height, word, ha="center", va="center", fontsize=8.5, color=INK, zorder=3, bbox=box)
        siblings = sum(other[:-1] == way[:-1] and len(other) == depth for other in heights)
        if siblings > 1 or not depth:
            axes.annotate(signed(sums[way], 1), (x, height), (0, 9), textcoords="offset points", ha="center",
                          fontsize=7, color=INK)  # fmt: skip
    for way in ways:
        members = [r for words, r in zip(group.words, group.returns, strict=True) if tuple(words[:most]) == way]
        returns = ", ".join(f"{value:g}" for value in sorted(set(members)))
        count = f"{len(members)} ×  " if len(members) > 1 else ""
        axes.text(most + 0.75, heights[way], f"{count}R = {returns}", va="center", fontsize=8, color=INK)
    axes.set(xlim=(FIRST - 0.5, most + 2.2), ylim=(len(ways) - 0.3, -0.75), yticks=[])
    axes.set_xticks(range(1, most + 1))
    axes.grid(False)


def _nodes(
    group: Group, ways: Sequence[tuple[str, ...]], most: int
) -> tuple[dict[tuple[str, ...], float], dict[tuple[str, ...], float]]:
    """Return where each beginning of a way stands, beside the sum of the advantages of the episodes that have it."""
    beginnings = sorted({way[:depth] for way in ways for depth in range(len(way) + 1)}, key=len)
    heights = {
        start: mean([float(place) for place, way in enumerate(ways) if way[: len(start)] == start])
        for start in beginnings
    }
    episodes = [tuple(words[:most]) for words in group.words]
    sums = {
        start: sum(
            advantage
            for words, advantage in zip(episodes, group.advantages, strict=True)
            if words[: len(start)] == start
        )
        for start in beginnings
    }
    return heights, sums


def _shown(word: str) -> str:
    """Return a step as it is written in a box."""
    return word.strip().replace("<|im_end|>", "EOS") or "␣"
