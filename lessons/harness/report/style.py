"""The colours of every picture: one for each world, one for each meaning."""

COLOURS = {0: "#d9772b", 1: "#2f6db5", 2: "#7a5ba8"}
"""Of the worlds, in their order: the pole orange, the language model blue, sums violet."""
GOOD, BAD = "#2c8c5a", "#b3243c"
"""Better and worse: of an advantage, of a chosen and a rejected episode, of what is kept and what is taken away."""
INK, PALE = "#333940", "#e6e8eb"
"""Text and axes; grids and what lies behind a curve."""
EDGE, PAPER = "#b8bec6", "#f3f5f7"
"""The frame of a box, and its inside; a pole that has fallen is drawn in the frame's grey."""
STILL = "#8a929c"
"""What does not change: a frozen network, a prompt, an answer from before."""
