"""The film of a run: the same starts before and after, in all of its worlds at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure

from lessons.harness.report.snapshot import Snapshot
from lessons.worlds import Advance, nobody

EVERY = 4  # steps a frame: twice the pole's own speed
FRAMES_A_SECOND = 25
HEIGHT = 2.9  # inches of a world


def draw_film(looks: Sequence[tuple[Any, Snapshot, Snapshot]], path: Path, advance: Advance = nobody) -> None:
    """Write the film: a band of the picture for each world, all moved by one clock, to the longest row's last step."""
    figure = Figure(figsize=(8, HEIGHT * len(looks)), dpi=80)
    bands = figure.subplots(len(looks), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.99, hspace=0.03)
    moves = [run.world.scene(axes, old.played, new.played) for axes, (run, old, new) in zip(bands, looks, strict=True)]
    last = max(look.played.mask.sum(dim=1).max().item() for _, *ends in looks for look in ends)
    last = max(last, min(last * EVERY, 160))  # answers are short, and a token takes several steps of the clock

    def frame(step: int) -> None:
        for move in moves:
            move(step)

    film = FuncAnimation(figure, frame, frames=range(0, int(last) + EVERY, EVERY))
    film.save(path, writer=PillowWriter(fps=FRAMES_A_SECOND), progress_callback=advance)
