"""The picture of RLHF: three steps, what flows from one to the next, and who is held in memory in each."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from lessons.harness.report.style import COLOURS, EDGE, GOOD, INK, PAPER, STILL
from notebooks.figures.page import label, panels

STEPS = (
    ("1", "imitate", "SFT", ("drives of a mediocre driver", "answers, one in five rude")),
    ("2", "learn what is liked", "reward model", ("which drive is better?", "which answer is better?")),
    ("3", "do what is liked", "PPO", ("its own drives", "its own answers")),
)
WIDTH, GAP = 3.1, 0.95
NETWORKS = {0: ("policy π",), 1: ("policy π", "reward model"), 2: ("policy π", "critic V", "reference", "reward model")}
FROZEN = {(1, "policy π"), (2, "reference"), (2, "reward model")}


def three_steps() -> Figure:
    """Return the three steps side by side: what each is shown, which networks it holds, and what it hands on."""
    figure, grid = panels(1, 1, width=9.6, height=4.3)
    axes = grid[0][0]
    axes.set(xlim=(-0.1, 3 * WIDTH + 2 * GAP + 0.1), ylim=(-1.15, 4.15), xticks=[], yticks=[])
    axes.grid(False)
    for number, (digit, aim, name, shown) in enumerate(STEPS):
        x = number * (WIDTH + GAP)
        _box(axes, x, 0.0, WIDTH, 2.55, PAPER, EDGE)
        label(axes, x + WIDTH / 2, 2.23, f"{digit}  {name}", size=12, weight="bold")
        label(axes, x + WIDTH / 2, 1.88, aim, size=9, color=STILL)
        _networks(axes, x, number)
        for line, words in enumerate(shown):
            label(axes, x + WIDTH / 2, 3.88 - 0.32 * line, words, size=9, color=COLOURS[line])
        _arrow(axes, (x + WIDTH / 2, 3.33), (x + WIDTH / 2, 2.62))
    _hand_on(axes)
    return figure


def _networks(axes: Axes, x: float, number: int) -> None:
    """Draw the networks of a step: filled ones learn, hollow ones are frozen."""
    names = NETWORKS[number]
    for place, name in enumerate(names):
        column, line = place % 2, place // 2
        width = (WIDTH - 0.45) / 2
        left = x + 0.15 + column * (width + 0.15) if len(names) > 1 else x + (WIDTH - width) / 2
        low = 0.98 - 0.78 * line if len(names) > 2 else 0.6
        still = (number, name) in FROZEN
        _box(axes, left, low, width, 0.6, "white" if still else INK, STILL if still else INK, dashed=still)
        label(axes, left + width / 2, low + 0.3, name, size=8.5, color=STILL if still else "white")


def _hand_on(axes: Axes) -> None:
    """Draw as arrows what one step makes and the next one needs."""
    first, second = WIDTH + GAP / 2, 2 * WIDTH + 1.5 * GAP
    _arrow(axes, (WIDTH + 0.06, 1.3), (WIDTH + GAP - 0.06, 1.3))
    label(axes, first, 1.58, "clone", size=9, weight="bold")
    label(axes, first, 1.02, "plays pairs", size=8, color=STILL)
    _arrow(axes, (2 * WIDTH + GAP + 0.06, 1.3), (2 * WIDTH + 2 * GAP - 0.06, 1.3), GOOD)
    label(axes, second, 1.58, "reward r", size=9, color=GOOD, weight="bold")
    label(axes, second, 1.02, "frozen", size=8, color=STILL)
    third = 2 * (WIDTH + GAP) + WIDTH / 2
    axes.plot([WIDTH / 2, WIDTH / 2, third], [-0.06, -0.55, -0.55], color=INK, lw=1.6)
    _arrow(axes, (third, -0.57), (third, -0.04))
    words = "the clone again, twice: where PPO starts, and the reference it stays close to"
    label(axes, (WIDTH + third) / 2 - 0.6, -0.85, words, size=9)


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, face: str, edge: str, *, dashed: bool = False
) -> None:
    style = "round,pad=0,rounding_size=0.12"
    box = FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=face, edgecolor=edge, lw=1.2)
    box.set_linestyle((0, (3, 2)) if dashed else "-")
    axes.add_patch(box)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "mutation_scale": 15, "lw": 1.6, "color": colour,
                                              "shrinkA": 0, "shrinkB": 0})  # fmt: skip
