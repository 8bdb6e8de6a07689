"""What a run says at its end: the truth before and after, credit step by step, the analogy, and the files."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lessons.harness.report.credit import NOUNS, credit, credit_page, nouns
from lessons.harness.report.curves import draw_curves, read_records
from lessons.harness.report.numbers import number, percent
from lessons.harness.report.snapshot import Snapshot
from lessons.harness.run import Run
from lessons.worlds.measure import wilson

LAST_STEPS = 10  # of a long row, on the screen


def report(
    runs: Sequence[Run], before: Sequence[Snapshot], after: Sequence[Snapshot], facts: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Return the run's summary; tables are on the screen and files in the folder by then."""
    console = Console(highlight=False)
    summary = facts | {"worlds": {}}
    pages = []
    for run, old, new in zip(runs, before, after, strict=True):
        summary["worlds"][run.world.name] = of_world(run, old, new)
        console.print(
            f"\n[bold]{run.world.title}: the truth, before and after[/]", truth_table(run, old, new), sep="\n"
        )
        console.print(f"\n[bold]{run.world.title}: one start, step by step (the last {LAST_STEPS})[/]")
        console.print(credit_table(run, old, new, row=0))
        shown = run.world.show(old.played, new.played, folder)
        pages.append(credit_page(run, old, new, shown.name))
    console.print("\n[bold]One loop, eight nouns, filled from this run[/]", analogy_table(runs, after), sep="\n")
    (folder / "samples.md").write_text("\n".join(pages), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")
    heads = [(run.world.title, run.headline) for run in runs]
    draw_curves(read_records(folder / "metrics.jsonl"), heads, folder / "curves.png")
    files = ", ".join(sorted(path.name for path in folder.iterdir()))
    console.print(f"\n{facts['seconds']:.0f} s in all. In {folder}: {files}")
    return summary


def of_world(run: Run, before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """Return one world's part of the summary."""
    steps, seconds = run.solved_at or (None, None)
    return {
        "config": asdict(run.config),
        "stages": run.stage_results,
        "iterations": run.iteration,
        "before": before.results,
        "after": after.results,
        "bounds": run.bounds(before.results, after.results),
        "step": run.world.step_name,
        "steps": run.steps,
        "seconds": run.seconds,
        "steps_to_solved": steps,
        "seconds_to_solved": seconds,
    }


def truth_table(run: Run, before: Snapshot, after: Snapshot) -> Table:
    """Return the table of the truth before and after, shares with their 95 % intervals."""
    table = Table()
    for head, justify in (("", "left"), ("before", "right"), ("after", "right")):
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for name in after.results:
        if "/" not in name:
            cells = (told(run, look.results, name) if name in look.results else "–" for look in (before, after))
            table.add_row(name.replace("_", " "), *cells)
    for name, value in run.bounds(before.results, after.results).items():
        table.add_row(name.replace("_", " "), "", number(value))
    return table


def told(run: Run, results: dict[str, float], name: str) -> str:
    """Return one number of the truth for people: a share with its interval, anything else as it is."""
    count = run.trials(name, results)
    return number(results[name]) if count is None else percent(results[name], wilson(results[name], count))


def credit_table(run: Run, before: Snapshot, after: Snapshot, row: int) -> Table:
    """Return the last steps of one start before and after: reward, KL and advantage of each."""
    table = Table()
    for when in ("before", "after"):
        for head in (when, "reward", "KL", "advant."):
            table.add_column(head, justify="left" if head == when else "right")
    lines = [credit(run, look, row)[-LAST_STEPS:] for look in (before, after)]
    empty = ("", "", "", "")
    for place in range(max(map(len, lines))):
        old, new = (line[place] if place < len(line) else empty for line in lines)
        table.add_row(*old, *new)
    return table


def analogy_table(runs: Sequence[Run], looks: Sequence[Snapshot]) -> Table:
    """Return the eight nouns of reinforcement learning, each filled from live objects."""
    table = Table(show_lines=True)
    table.add_column("")
    for run in runs:
        table.add_column(run.world.title, overflow="fold")
    told_by = [nouns(run, look) for run, look in zip(runs, looks, strict=True)]
    for noun in NOUNS:
        table.add_row(noun, *(words[noun] for words in told_by))
    return table
