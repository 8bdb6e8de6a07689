"""A lesson's runs as notebooks start and watch them: settings changed in one place, and a bar while one waits."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from IPython import get_ipython
from IPython.display import DisplayHandle

from lessons.harness.report.style import COLOURS
from lessons.harness.run import Recipe, Record, Run
from lessons.worlds import NAMES, load
from rl_core.errors import check_choice

SEED, HELD_OUT = 0, 10_000
"""Of training, and of evaluation on held-out starts: they are never the same."""
COLOUR = {name: COLOURS[place] for place, name in enumerate((*NAMES, "sums"))}
BAR = "notebooks/bar"
"""Marks the display of a bar, which no stored notebook has."""
EVERY = 0.2  # seconds between two moves of a bar
QUICK = "POLE_TO_PROSE_QUICK"
"""Set in the environment, every loop of a lesson takes a few turns: whether its cells run at all, and no more."""
TURNS = 8  # of a loop, then
T = TypeVar("T")


def new_run(
    recipe: Recipe,
    world: str,
    *,
    settings: Any = None,
    seed: int = SEED,
    update: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Run:
    """Return a run that has not begun: the recipe's settings of that world, or others, some of them changed.

    `changes` are fields of the settings; `update` holds those of the algorithm's own settings within.
    """
    check_choice("world", world, recipe.settings)
    settings = recipe.settings[world] if settings is None else settings
    settings = replace(settings, **changes)
    settings = replace(settings, update=replace(settings.update, **(update or {})))
    if QUICK in os.environ:
        settings = replace(settings, iterations=min(TURNS, settings.iterations))
    return Run.start(recipe, load(world), settings, seed=seed, device="cpu")


def finish(run: Run) -> list[Record]:
    """Return the records of all iterations of a run, under a bar until the last is done."""
    return list(watch(run))


def watch(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done, under a bar."""
    records = run.recipe.train(run)
    return progress(records, f"{run.recipe.name} · {run.world.name}", total=run.config.iterations)


def progress(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Return the items, one by one, under a bar that is gone after the last; outside a notebook there is none."""
    items = islice(items, TURNS) if QUICK in os.environ else items
    bar = _Bar(len(items) if isinstance(items, Sized) else total or 0, what)
    try:
        for number, item in enumerate(items, start=1):
            yield item
            bar.show(number, item)
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
        news = "" if mean_return is None else f" · return {mean_return:z.2f}"
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
