"""The pole drawn from its states: one picture of it, and a film of drives before and after."""

from collections.abc import Callable
from math import cos, sin
from pathlib import Path

from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lessons.harness.report.style import COLOURS, EDGE, INK

POLE, FALLEN = COLOURS[0], EDGE
LONGEST = 500  # steps, after which a pole that stands has won
WIDTH, HEIGHT = 5.6, 2.1  # of one stage, in metres of track


class Stage:
    """A piece of track with a cart and a pole on it, drawn to scale at an offset within some axes."""

    def __init__(self, axes: Axes, x: float = 0.0, y: float = 0.0) -> None:
        """Draw the track and an upright pole."""
        self.x, self.y = x, y
        axes.plot([x - 2.4, x + 2.4], [y - 0.15, y - 0.15], color=FALLEN, lw=1, zorder=0)
        for end in (-2.4, 2.4):
            axes.plot([x + end, x + end], [y - 0.25, y - 0.05], color=FALLEN, lw=1, zorder=0)
        self.cart = Rectangle((0, 0), 0.6, 0.3, lw=0)
        axes.add_patch(self.cart)
        (self.pole,) = axes.plot([], [], lw=4, solid_capstyle="round")
        self.note = axes.text(x - 2.4, y + 1.3, "", fontsize=9, color=INK, family="DejaVu Sans")

    def show(self, state: Tensor, colour: str, note: str = "") -> list[Artist]:
        """Return the artists, moved to where the state says."""
        position, _, angle, _ = state.tolist()
        self.cart.set_xy((self.x + position - 0.3, self.y - 0.15))
        self.cart.set_color(colour)
        foot = self.x + position
        self.pole.set_data([foot, foot + sin(angle)], [self.y, self.y + cos(angle)])
        self.pole.set_color(colour)
        self.note.set_text(note)
        return [self.cart, self.pole, self.note]


def stages(axes: Axes, lines: int, columns: int) -> list[list[Stage]]:
    """Return lines x columns of stages that fill the axes."""
    axes.set(xlim=(-2.8, WIDTH * columns - 2.8), ylim=(-HEIGHT * (lines - 1) - 0.4, 1.6), aspect="equal")
    axes.axis("off")
    return [[Stage(axes, WIDTH * column, -HEIGHT * line) for column in range(columns)] for line in range(lines)]


def draw_drives(axes: Axes, before: list[Tensor], after: list[Tensor]) -> Callable[[int], None]:
    """Draw the same starts before (above) and after (below); return what moves them all to that step."""
    grid = stages(axes, 2, len(before))

    def move(number: int) -> None:
        for line, drives, when in zip(grid, (before, after), ("before", "after"), strict=True):
            for stage, states in zip(line, drives, strict=True):
                is_over = number >= len(states)
                note = f"{when}: step {min(number, len(states))}"
                if is_over and len(states) < LONGEST:
                    note = f"{when}: fell at step {len(states)}"
                has_fallen = is_over and len(states) < LONGEST
                stage.show(states[min(number, len(states) - 1)], FALLEN if has_fallen else POLE, note)

    return move


def film(before: list[Tensor], after: list[Tensor], path: Path, *, every: int = 4) -> None:
    """Write a film of the same starts before and after, to the last step, at twice the pole's own speed."""
    figure = Figure(figsize=(8, 2.9), dpi=80)
    move = draw_drives(figure.add_axes((0, 0, 1, 1)), before, after)
    last = max(map(len, [*before, *after]))
    FuncAnimation(figure, move, frames=range(0, last + 1, every)).save(path, writer=PillowWriter(fps=25))
