"""The pole drawn from its states: one picture of it, and a film of drives before and after."""

from math import cos, sin
from pathlib import Path

from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

BEFORE, AFTER, FALLEN, INK = "#d9772b", "#2f6db5", "#b8bec6", "#333940"
WIDTH, HEIGHT = 5.6, 2.1  # of one stage, in metres of track


class Stage:
    """A piece of track with a cart and a pole on it, drawn to scale at an offset within some axes."""

    def __init__(self, axes: Axes, x: float = 0.0, y: float = 0.0) -> None:
        """Draw the track and an upright pole."""
        self.x, self.y = x, y
        axes.plot([x - 2.4, x + 2.4], [y - 0.15, y - 0.15], color=FALLEN, lw=1, zorder=0)
        for end in (-2.4, 2.4):
            axes.plot([x + end, x + end], [y - 0.25, y - 0.05], color=FALLEN, lw=1, zorder=0)
        self.cart = axes.add_patch(Rectangle((0, 0), 0.6, 0.3, lw=0))
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


def film(before: list[Tensor], after: list[Tensor], path: Path, *, every: int = 4, longest: int = 240) -> None:
    """Write a film of the same starts before (above) and after (below), at twice the pole's own speed."""
    figure = Figure(figsize=(8, 2.9), dpi=80)
    axes = figure.add_axes((0, 0, 1, 1))
    grid = stages(axes, 2, len(before))

    def frame(number: int) -> list[Artist]:
        artists: list[Artist] = []
        for line, drives, colour, when in zip(grid, (before, after), (BEFORE, AFTER), ("before", "after"), strict=True):
            for stage, states in zip(line, drives, strict=True):
                over = number >= len(states)
                state = states[min(number, len(states) - 1)]
                note = f"{when}: fell at step {len(states)}" if over else f"{when}: step {number}"
                artists += stage.show(state, FALLEN if over else colour, note)
        return artists

    last = min(max(map(len, [*before, *after])), longest)
    FuncAnimation(figure, frame, frames=range(0, last, every)).save(path, writer=PillowWriter(fps=25))
