"""One line an iteration, the same quantities in the same columns for every world."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

# name in the record, head of the column, width, format
QUANTITIES = (
    ("steps", "steps", 7, "{:,.0f}"),
    ("return", "return", 7, "{:.2f}"),
    ("length", "length", 6, "{:.1f}"),
    ("kl", "KL/step", 8, "{:+.4f}"),
    ("kl_per_episode", "KL/epis.", 8, "{:+.3f}"),
    ("entropy", "entropy", 7, "{:.3f}"),
    ("loss", "loss", 7, "{:.3f}"),
    ("accuracy", "accur.", 6, "{:.1%}"),
    ("clip_fraction", "clipped", 7, "{:.1%}"),
    ("explained_variance", "expl.var", 8, "{:+.2f}"),
    ("first_ratio", "1st ratio", 9, "{:.6f}"),
    ("sampler_gap", "gap", 7, "{:.0e}"),
    ("steps_per_second", "steps/s", 8, "{:,.0f}"),
)
COLOURS = ("dark_orange3", "steel_blue1", "green4", "magenta")


class Columns:
    """Live progress: prints a head, then a line for each record."""

    def __init__(self, titles: Sequence[str]) -> None:
        """Remember the worlds' titles; each has its colour."""
        self.console = Console(highlight=False, soft_wrap=True)
        self.colour = dict(zip(titles, COLOURS, strict=False))
        self.width = max(map(len, titles))
        self.lines = 0

    def show(self, title: str, record: dict[str, Any], last: int) -> None:
        """Print one record, under a head every twenty iterations."""
        if self.lines % (20 * len(self.colour)) == 0:
            head = " ".join(f"{name:>{width}}" for _, name, width, _ in QUANTITIES)
            self.console.print(Text(f"{'world':<{self.width}} {'iter.':>7} {head}", style="bold"))
        self.lines += 1
        cells = " ".join(f"{formatted(record.get(key), form):>{width}}" for key, _, width, form in QUANTITIES)
        count = f"{record['iteration']}/{last}"
        self.console.print(Text(f"{title:<{self.width}} {count:>7} {cells}", style=self.colour[title]))


def formatted(value: float | None, form: str) -> str:
    """Return the number in its column's format, or a dash where there is none yet."""
    return "–" if value is None else form.format(value)
