"""What the reader sees while a program works: lines, and on a terminal a bar with the time left under them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from lessons.worlds import Advance

HEARTBEAT = 3.0  # seconds of silence after which a pipe gets a line; each one doubles the patience
PATIENCE = 48.0  # at most


class Screen:
    """Lines of text, and a bar while something takes its time. In a pipe: lines alone, without control codes."""

    def __init__(self) -> None:
        """Write to where standard output goes now."""
        self.console = Console(highlight=False, soft_wrap=True)
        self.latest = time.monotonic()

    def say(self, text: str | Text = "") -> None:
        """Write a line of plain or styled text."""
        self.console.print(text, markup=False)
        self.latest = time.monotonic()

    @contextmanager
    def task(self, text: str, *, is_told: bool = True) -> Iterator[Advance]:
        """Show that something is under way; give what tells how far. `is_told` asks for the seconds at its end."""
        started = time.monotonic()
        with self._bar(text) if self.console.is_terminal else self._heartbeat(text) as advance:
            yield advance
        if is_told and self.console.is_terminal:
            self.say(f"{text}: {time.monotonic() - started:.0f} s")

    @contextmanager
    def _bar(self, text: str) -> Iterator[Advance]:
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        with Progress(*columns, *times, console=self.console, transient=True, refresh_per_second=4) as progress:
            task = progress.add_task(text, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    @contextmanager
    def _heartbeat(self, text: str) -> Iterator[Advance]:
        """Write in a pipe that work goes on, where nothing else has been said for a while."""
        self.say(f"{text} ...")
        count, is_over = "", threading.Event()

        def advance(done: int, total: int) -> None:
            nonlocal count
            count = f" {done:,} / {total:,}"

        def beat() -> None:
            patience = HEARTBEAT
            while not is_over.wait(max(0.0, self.latest + patience - time.monotonic())):
                if time.monotonic() - self.latest >= patience:
                    self.say(f"{text} ...{count}")
                    patience = min(2 * patience, PATIENCE)

        pulse = threading.Thread(target=beat, daemon=True)
        pulse.start()
        try:
            yield advance
        finally:
            is_over.set()
            pulse.join()


def clock(seconds: float) -> str:
    """Return a time as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
