"""Answers before and after: as a page, and drawn as they are written, a token at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from matplotlib.axes import Axes

from lessons.harness.report.numbers import markdown_table, signed
from lessons.harness.report.style import COLOURS, INK, STILL

ANSWER = COLOURS[1]
QUESTIONS = 3  # side by side
WIDTH = 34  # characters of a line
SLOWNESS = 4  # frames of the film's clock for one token


@dataclass(frozen=True)
class Written:
    """A question, the tokens of its answer, and what the judge gives for it."""

    question: str
    tokens: Sequence[str]
    score: float


def draw_answers(axes: Axes, before: Sequence[Written], after: Sequence[Written]) -> Callable[[int], None]:
    """Draw questions with their answers before (above) and after (below); return what writes them to that step.

    A line needs the glyphs of a font that is always there: answers in other scripts are left out where they can be.
    """
    axes.set(xlim=(0, QUESTIONS), ylim=(0, 1))
    axes.axis("off")
    order = sorted(
        range(len(before)), key=lambda row: not (before[row].question + "".join(after[row].tokens)).isascii()
    )
    rows = order[:QUESTIONS]
    texts = []
    for column, row in enumerate(rows):
        question = "\n".join(wrap(before[row].question, WIDTH))
        axes.text(column + 0.02, 0.98, question, fontsize=9, color=INK, weight="bold", va="top")
        for height, when, written in ((0.78, "before", before[row]), (0.38, "after", after[row])):
            axes.text(column + 0.02, height, when, fontsize=7, color=STILL, va="top")
            colour = STILL if when == "before" else ANSWER
            texts.append((axes.text(column + 0.02, height - 0.08, "", fontsize=9, color=colour, va="top"), written))

    def move(step: int) -> None:
        for text, written in texts:
            count = step // SLOWNESS
            lines = wrap("".join(written.tokens[:count]), WIDTH)
            is_done = count >= len(written.tokens)
            text.set_text("\n".join([*lines, f"score {written.score:+z.1f}"] if is_done else lines))

    return move


def write_answers(path: Path, before: Sequence[Written], after: Sequence[Written], *, legend: str) -> Path:
    """Return the page of the same questions before and after, with what changed."""
    head = ("question", "before", "score", "after", "score", "change")
    rows = []
    for old, new in zip(before, after, strict=True):
        texts = ["".join(written.tokens) for written in (old, new)]
        change = signed(new.score - old.score) if texts[0] != texts[1] else "same answer"
        rows.append((old.question, texts[0], signed(old.score), texts[1], signed(new.score), change))
    table = markdown_table(head, rows, align="llrlrr")
    text = f"# Answers before and after\n\n{legend} Nothing is picked out.\n\n{table}\n"
    path.write_text(text, encoding="utf-8")
    return path
