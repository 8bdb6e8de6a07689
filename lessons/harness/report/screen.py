"""What the reader sees while a program works: lines, and on a terminal a bar with the time left under them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lessons.worlds import Advance, nobody

HEARTBEAT = 3.0  # seconds after which a pipe gets another line


class Screen:
    """Lines of text, and a bar while something takes its time. In a pipe: lines alone, without control codes."""

    def __init__(self) -> None:
        """Write to where standard output goes now."""
        self.console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        """Write a line of plain text."""
        self.console.print(text, markup=False)

    @contextmanager
    def task(self, text: str, *, is_told: bool = True) -> Iterator[Advance]:
        """Show that something is under way; give what tells how far it is.

        `is_told` asks for the seconds at its end, and in a pipe for lines meanwhile.
        """
        started = time.monotonic()
        if is_told and not self.console.is_terminal:
            self.say(f"{text} ...")
        with self._bar(text, is_told=is_told) as advance:
            yield advance
        if is_told and self.console.is_terminal:
            self.say(f"{text}: {time.monotonic() - started:.0f} s")

    @contextmanager
    def _bar(self, text: str, *, is_told: bool) -> Iterator[Advance]:
        if not self.console.is_terminal:
            yield self._heartbeat(text) if is_told else nobody
            return
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        with Progress(*columns, *times, console=self.console, transient=True, refresh_per_second=4) as progress:
            task = progress.add_task(text, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    def _heartbeat(self, text: str) -> Advance:
        latest = time.monotonic()

        def advance(done: int, total: int) -> None:
            nonlocal latest
            if done < total and time.monotonic() - latest >= HEARTBEAT:
                latest = time.monotonic()
                self.say(f"{text} ... {done:,} / {total:,}")

        return advance


def clock(seconds: float) -> str:
    """Return a time as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
