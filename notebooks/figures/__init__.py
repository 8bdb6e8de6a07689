"""What the notebooks show: excerpts, tables, figures and runs under way. Nothing else uses it."""

from lessons.harness.report.curves import curve
from lessons.harness.report.style import BAD, EDGE, GOOD, INK, PALE, plain
from notebooks.figures.page import compare, excerpt, functions_used, panels, shape_of, show, spread, table
from notebooks.figures.runs import COLOUR, HELD_OUT, SEED, finish, new_run, progress, watch

__all__ = [
    "BAD",
    "COLOUR",
    "EDGE",
    "GOOD",
    "HELD_OUT",
    "INK",
    "PALE",
    "SEED",
    "compare",
    "curve",
    "excerpt",
    "finish",
    "functions_used",
    "new_run",
    "panels",
    "plain",
    "progress",
    "shape_of",
    "show",
    "spread",
    "table",
    "watch",
]
