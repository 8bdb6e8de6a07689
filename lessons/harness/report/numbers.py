"""Numbers and tables as every page, every screen and every notebook writes them: never with the sign of -0."""

import re
from collections.abc import Iterable, Sequence

HALF_A_CHARACTER = "\ufffd"  # what a decoder writes for bytes that are no whole character


def number(value: float) -> str:
    """Return a number with the digits that it deserves: 1,234; 12.35; 0.997, which is not 1; a whole one has none.

    >>> [number(value) for value in (1234.5, 12.345, 0.9968, 0.9999, 40.0, -0.001)]
    ['1,234', '12.35', '0.997', '>0.999', '40', '0.00']
    """
    if 0.9995 <= value < 1:
        return ">0.999"
    if value == round(value, 0) or abs(value) >= 100:
        return f"{value:z,.0f}"
    digits = 3 if 0.995 <= value < 1 else 2
    return f"{value:z.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, and 0 without one.

    >>> [signed(value) for value in (0.5, -0.5, -0.001)]
    ['+0.50', '-0.50', '0']
    """
    return f"{value:+.{digits}f}" if round(value, digits) else "0"


def percent(share: float, interval: Sequence[float] | None = None, *, digits: int = 1) -> str:
    """Return a share in percent, with its interval where there is one.

    >>> percent(0.5), percent(-0.0001), percent(0.5, (0.402, 0.598), digits=0)
    ('50.0%', '0.0%', '50% [40%, 60%]')
    """
    text = f"{share:z.{digits}%}"
    if interval is None:
        return text
    low, high = (percent(end, digits=digits) for end in interval)
    return f"{text} [{low}, {high}]"


def result(value: float, interval: Sequence[float] | None = None, *, is_share: bool, digits: int = 1) -> str:
    """Return a result of an evaluation: a share in percent, with its interval where one is given, or a number.

    >>> result(0.5, (0.402, 0.598), is_share=True, digits=0), result(12.345, is_share=False)
    ('50% [40%, 60%]', '12.35')
    """
    return percent(value, interval, digits=digits) if is_share else number(value)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "") -> str:
    """Return a table in Markdown, in which text that would be markup or end a cell is shown as it is.

    `align` has an l or an r for each column; columns beyond it are aligned to the left.
    """
    rules = ["---:" if side == "r" else "---" for side in align.ljust(len(head), "l")]
    lines = [_line(map(_as_shown, head)), f"|{'|'.join(rules)}|"]
    return "\n".join([*lines, *(_line(map(_as_shown, row)) for row in rows)])


def _line(cells: Iterable[str]) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def _as_shown(cell: str) -> str:
    """Return a cell whose bars, line breaks and tags are seen, and not obeyed."""
    return re.sub(r"<(?=[\w/!?|])", "&lt;", cell.replace("|", "\\|").replace("\n", "⏎"))
