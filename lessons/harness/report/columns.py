"""One line an iteration, the same quantities in the same columns for every world, in 80 columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from lessons.harness.report.phrases import phrase
from lessons.harness.report.screen import Screen, clock
from lessons.harness.report.style import ON_SCREEN

WIDTH = 80
TURN = 7  # columns for 12/200
LONGEST_HEAD = "reward_model turn"
"""An algorithm's name may reach into the column of turns, whose head is short."""
USUAL = {"first_ratio": (0.9999, 1.0001), "sampler_gap": (0.0, 1e-3)}
"""What is told only outside these limits."""


@dataclass(frozen=True)
class Quantity:
    """A number of a record, and how it stands in its column; the z in a form keeps the sign from a 0."""

    name: str
    head: str
    width: int
    form: str


QUANTITIES = (
    Quantity("steps", "steps", 7, "{:z,.0f}"),
    Quantity("return", "return", 7, "{:z.2f}"),
    Quantity("length", "length", 6, "{:z.1f}"),
    Quantity("loss", "loss", 7, "{:z.4f}"),
    Quantity("accuracy", "accur.", 6, "{:z.1%}"),
    Quantity("kl_per_episode", "KL", 6, "{:z.2f}"),
    Quantity("entropy", "entropy", 7, "{:z.3f}"),
    Quantity("clip_fraction", "clipped", 7, "{:z.1%}"),
    Quantity("explained_variance", "critic", 6, "{:z.2f}"),
    Quantity("left", "left", 5, "{}"),
)


class Columns:
    """Live progress: writes a head where the columns change, then a line for each record."""

    def __init__(self, screen: Screen, worlds: Sequence[str], language: str) -> None:
        """Give each world, named in one word, its colour."""
        self.screen, self.language = screen, language
        self.colour = dict(zip(worlds, ON_SCREEN, strict=False))
        self.width = max(*map(len, worlds), len(LONGEST_HEAD) - TURN - 1)
        self.explained: set[str] = set()
        self.shown: tuple[Quantity, ...] = ()

    def show(self, world: str, record: Mapping[str, Any], last: int, seconds_left: float) -> None:
        """Write one record, under a head where the algorithm has begun."""
        values = {**record, "left": clock(seconds_left)}
        quantities = tuple(quantity for quantity in QUANTITIES if is_shown(quantity.name, values))
        if quantities != self.shown:
            self.shown = quantities
            self._head(str(record["stage"]))
        cells = " ".join(f"{cell(values[each.name], each.form):>{each.width}}" for each in quantities)
        count = f"{record['iteration']}/{last}"
        self.screen.say(Text(f"{world:<{self.width}} {count:>{TURN}} {cells}", style=self.colour[world]))
        for name, (low, high) in USUAL.items():
            if name in record and not low <= record[name] <= high:
                self.screen.say(phrase(f"unusual_{name}", self.language, value=record[name]))

    def _head(self, algorithm: str) -> None:
        """Write the names of the columns; each is explained when it comes for the first time."""
        heads = " ".join(f"{each.head:>{each.width}}" for each in self.shown)
        self.screen.say(Text(f"{algorithm} {'turn':>{self.width + TURN - len(algorithm)}} {heads}", style="bold"))
        fresh = [each.head for each in self.shown if each.head not in self.explained]
        self.explained |= set(fresh)
        for line in legend(fresh, self.language):
            self.screen.say(Text(line, style="italic"))


def is_shown(name: str, record: Mapping[str, Any]) -> bool:
    """Return whether a record's algorithm has that quantity; the loss of a policy gradient tells nothing."""
    return name in record and not (name == "loss" and "return" in record)


def cell(value: Any, form: str) -> str:
    """Return the value in its column's format, or a dash where there is none yet."""
    return "–" if value is None else form.format(value)


def legend(heads: Sequence[str], language: str) -> list[str]:
    """Return what the heads mean, in lines that fit the screen."""
    lines = [""]
    for text in filter(None, (phrase(f"head_{head.strip('.')}", language) for head in heads)):
        joined = f"{lines[-1]}; {text}" if lines[-1] else text
        if columns_of(joined) <= WIDTH:
            lines[-1] = joined
        else:
            lines.append(text)
    return [line for line in lines if line]


def columns_of(text: str) -> int:
    """Return how many columns a text takes on the screen: a Chinese character takes two."""
    return Text(text).cell_len
