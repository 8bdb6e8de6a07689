"""What the notebooks lean on: excerpts of the live source, recorded predictions, figures, and a tracer of the core."""

import inspect
import io
import sys
import textwrap
from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from pathlib import Path
from statistics import median_high
from typing import Any

from IPython.display import Image, Markdown, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import rl_core
from lessons.harness.report.numbers import markdown_table, number
from lessons.harness.report.style import INK, plain
from rl_core.errors import InvalidArgument

CORE = Path(rl_core.__file__).resolve().parent
DPI = 110


def excerpt(function: Callable[..., Any] | type, first: str, last: str | None = None) -> Markdown:
    """Return lines of a function's source as it is now, from the first line that holds `first` to the next with `last`.

    Without `last` it is one line. The lines are found by their text, so an excerpt can go stale only with an error:
    InvalidArgument when a text is not there. File and function stand above, and no line numbers: they would change
    with every line that moves.
    """
    function = inspect.unwrap(function)
    lines, _ = inspect.getsourcelines(function)
    start = _line_with(first, lines, 0, function)
    stop = start if last is None else _line_with(last, lines, start, function)
    code = textwrap.dedent("".join(lines[start : stop + 1])).rstrip()
    return Markdown(f"**`{file_of(function)}`** · `{function.__qualname__}`\n\n```python\n{code}\n```")


def file_of(function: Callable[..., Any] | type) -> str:
    """Return the file that holds a function, as the repository names it, wherever the kernel was started."""
    module = sys.modules[function.__module__]
    folder = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
    return "/".join([*folder.split("."), Path(inspect.getfile(module)).name])


def _line_with(text: str, lines: Sequence[str], start: int, function: Any) -> int:
    for place in range(start, len(lines)):
        if text in lines[place]:
            return place
    raise InvalidArgument(
        f"text={text!r} is in no line of {function.__qualname__} from its line {start + 1}; look again."
    )


def compare(question: str, prediction: float | str | None, measured: float | str) -> None:
    """Print what was predicted beside what came out."""
    predicted = "–" if prediction is None else _written(prediction)
    print(f"{question:<52} predicted {predicted:>8}   measured {_written(measured):>8}")


def _written(value: float | str) -> str:
    return value if isinstance(value, str) else number(value)


def spread(values: Sequence[float | None], form: str = ".2f") -> str:
    """Return the median of some numbers with their range; None, what never came, counts as the largest."""
    numbers = sorted(inf if value is None else value for value in values)
    middle, low, high = (
        f"{number:{form}}" if number < inf else "never" for number in (median_high(numbers), numbers[0], numbers[-1])
    )
    return f"{middle} ({low} to {high})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markdown:
    """Return a table; what would be markup in a cell is shown as it is."""
    return Markdown(markdown_table(head, rows))


def shape_of(tensor: Tensor) -> str:
    """Return a tensor's shape and type in a few characters."""
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def panels(rows: int, columns: int, *, width: float = 8.6, height: float = 3.2, **options: Any) -> tuple[Figure, Any]:
    """Return a figure beside its grid of axes, in the style that all lessons share.

    Labels are symbols, numbers and short English words: every reader has a font for these, in both languages.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    for axes in grid.flat:
        plain(axes)
    return figure, grid


def label(axes: Axes, x: float, y: float, words: str, *, size: float, color: str = INK, weight: str = "normal") -> None:
    """Write words into the axes, centred at (x, y)."""
    axes.text(x, y, words, ha="center", va="center", fontsize=size, color=color, weight=weight)


def show(figure: Figure, alt: str) -> None:
    """Display a figure, with words for those who cannot see it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", facecolor="white", metadata={"Software": None})
    display(Image(data=picture.getvalue(), width=round(figure.get_figwidth() * 96), alt=alt))


def functions_used(call: Callable[[], Any]) -> set[str]:
    """Return the names of the functions of the core, adapters aside, that run during a call."""
    names = set()

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "call" and (part := _part_of_core(frame.f_code.co_filename)) is not None:
            name = frame.f_code.co_qualname.replace("<locals>.", "")
            if "<" not in name:  # comprehensions belong to the function around them
                names.add(f"{part}: {name}")

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(before)
    return names


@cache
def _part_of_core(filename: str) -> str | None:
    """Return which part of the core, adapters aside, a file is; a file may be named by any way that leads to it."""
    path = Path(filename).resolve()
    if not path.is_relative_to(CORE):
        return None
    part = path.relative_to(CORE).with_suffix("")
    return None if part.parts[0] == "adapters" else part.as_posix()
