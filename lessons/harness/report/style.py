"""The colours of every picture, one for each world and one for each meaning, and what axes look like."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the screen wants the colours alone, and need not wait for matplotlib
    from matplotlib.axes import Axes

COLOURS = ("#d9772b", "#2f6db5", "#7a5ba8")
"""Of the worlds, in their order: the pole orange, the language model blue, sums violet."""
ON_SCREEN = ("#cc6a1f", *COLOURS[1:])
"""The same for text: each is readable on a white terminal and on a black one (contrast 3.7 or more)."""
GOOD, BAD = "#2c8c5a", "#b3243c"
"""Better and worse: of an advantage, of a chosen and a rejected episode, of what is kept and what is taken away."""
INK, PALE = "#333940", "#e6e8eb"
"""Text and axes; grids and what lies behind a curve."""
EDGE, PAPER = "#b8bec6", "#f3f5f7"
"""The frame of a box, and its inside; a pole that has fallen is drawn in the frame's grey."""
STILL = "#8a929c"
"""What does not change: a frozen network, a prompt, an answer from before."""
SEEN, END = "#dfe2e6", "#173a63"
"""Of a chat's tokens: what is read and not learned from; the one that ends an answer, a darker blue than its words."""


def plain(axes: "Axes") -> "Axes":
    """Return the axes without any ink that shows no data: no frame, and a pale grid behind all else."""
    axes.grid(color=PALE, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return axes
