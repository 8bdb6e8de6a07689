"""A lesson's runs as notebooks start and watch them: settings changed in one place, and a bar while one waits."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from IPython import get_ipython
from IPython.display import DisplayHandle

from lessons.harness.report.style import COLOURS
from lessons.harness.run import Recipe, Record, Run
from lessons.worlds import NAMES, load
from rl_core.errors import InvalidArgument

SEED, HELD_OUT = 0, 10_000
"""Of training, and of evaluation on held-out starts: they are never the same."""
COLOUR = {name: COLOURS[place] for place, name in enumerate((*NAMES, "sums"))}
BAR = "notebooks/bar"
"""Marks the display of a bar, which no stored notebook has."""
EVERY = 0.2  # seconds between two moves of a bar
T = TypeVar("T")


def new_run(
    recipe: Recipe, world: str, *, seed: int = SEED, update: dict[str, Any] | None = None, **changes: Any
) -> Run:
    """Return a run that has not begun: the recipe's settings of that world, some of them changed.

    `changes` are fields of the settings; `update` holds those of the algorithm's own settings within.
    """
    if world not in recipe.settings:
        raise InvalidArgument(f"world={world!r} has no {recipe.name}; pass one of {', '.join(recipe.settings)}.")
    settings = replace(recipe.settings[world], **changes)
    settings = replace(settings, update=replace(settings.update, **(update or {})))
    return Run.start(recipe, load(world), settings, seed=seed, device="cpu")


def finish(run: Run) -> list[Record]:
    """Return the records of a run's iterations, after the last of them; a bar shows how far it is."""
    return list(watch(run.recipe.train(run), total=run.config.iterations, what=f"{run.recipe.name} · {run.world.name}"))


def watch(items: Iterable[T], *, total: int, what: str = "") -> Iterator[T]:
    """Give the items one by one, under a bar that is gone when the last has come; outside a notebook there is none."""
    bar = _Bar(total, what)
    try:
        for number, item in enumerate(items, start=1):
            bar.show(number, item)
            yield item
    finally:
        bar.clear()


class _Bar:
    """A line that tells how many of the items have come, and when the last will."""

    def __init__(self, total: int, what: str) -> None:
        """Show an empty bar, where there is a notebook to show it in."""
        self.total, self.what = total, what
        self.began = time.perf_counter()
        self.shown = float("-inf")
        self.display = DisplayHandle() if get_ipython() is not None else None
        self._send(0, "", begins=True)

    def show(self, number: int, item: Any) -> None:
        """Move the bar on, and tell the return of what came, if it has one."""
        if self.display is None or time.perf_counter() - self.shown < EVERY:
            return
        left = (time.perf_counter() - self.began) / number * (self.total - number)
        mean_return = item.get("return") if isinstance(item, dict) else None
        news = "" if mean_return is None else f" · return {mean_return:.2f}"
        self._send(number, f"{news} · {int(left) // 60}:{int(left) % 60:02d} left")

    def clear(self) -> None:
        """Leave nothing of the bar."""
        if self.display is not None:
            self._publish({"text/plain": "", "text/html": ""}, begins=False)

    def _send(self, number: int, news: str, *, begins: bool = False) -> None:
        if self.display is None:
            return
        self.shown = time.perf_counter()
        words = f"{self.what} · {number} of {self.total}{news}".removeprefix(" · ")
        html = f'<progress value="{number}" max="{self.total}"></progress> {words}'
        self._publish({"text/plain": words, "text/html": html}, begins=begins)

    def _publish(self, data: dict[str, str], *, begins: bool) -> None:
        assert self.display is not None
        send = self.display.display if begins else self.display.update
        send(data, raw=True, metadata={BAR: True})
