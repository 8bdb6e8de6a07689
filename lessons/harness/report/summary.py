"""What a run says at its end: the verdict, the results before and after, one start in words, and the files."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from lessons.harness.folder import read_records
from lessons.harness.report.credit import NOUNS, credit_page, nouns
from lessons.harness.report.curves import draw_curves
from lessons.harness.report.film import draw_film
from lessons.harness.report.numbers import HALF_A_CHARACTER, number, result
from lessons.harness.report.phrases import phrase, result_name
from lessons.harness.report.screen import Screen
from lessons.harness.report.snapshot import Snapshot
from lessons.harness.report.true_value import draw_calibration
from lessons.harness.report.verdict import verdict, what_next
from lessons.worlds import Advance
from lessons.worlds.measure import wilson

LONGEST = 100  # characters of an episode on the screen
LOOK_AT = ("answers", "film", "curves", "samples", "calibration")


def report(
    runs: Sequence[Any],
    before: Sequence[Snapshot],
    after: Sequence[Snapshot],
    facts: dict[str, Any],
    folder: Path,
    screen: Screen,
    language: str,
) -> dict[str, Any]:
    """Return the run's summary; tables are on the screen and files in the folder by then."""
    looks = list(zip(runs, before, after, strict=True))
    worlds = {run.world.name: of_world(run, old, new) for run, old, new in looks}
    summary = facts | {"worlds": worlds}
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    (folder / "summary.json").write_text(text, encoding="utf-8")
    for run, old, new in looks:
        screen.console.print(f"[bold]{verdict(run, old, new, language)}[/]", soft_wrap=False)
    if facts["quick"]:
        screen.say(phrase("quick", language))
    for run, old, new in looks:
        heading(screen, phrase("results", language, title=run.world.title))
        screen.console.print(results_table(run, old, new, language))
        heading(screen, phrase("one_start", language, title=run.world.title))
        for line in one_start(run, old, new, language):
            screen.console.print(line, markup=False, soft_wrap=False)
    heading(screen, phrase("nouns", language))
    screen.console.print(analogy_table(runs, after))
    with screen.task(phrase("draw", language)) as advance:
        draw(looks, facts, folder, advance)
    point_onward(runs, facts, folder, screen, language)
    return summary


def draw(
    looks: Sequence[tuple[Any, Snapshot, Snapshot]], facts: dict[str, Any], folder: Path, advance: Advance
) -> None:
    """Write the pages and pictures."""
    pages = [credit_page(run, old, new, run.world.show(old.played, new.played, folder).name) for run, old, new in looks]
    (folder / "samples.md").write_text("\n".join(pages), encoding="utf-8")
    draw_curves(looks, read_records(folder / "metrics.jsonl"), facts, folder / "curves.png")
    draw_calibration([(run.world.title, new.calibrations) for run, _, new in looks], folder / "calibration.png")
    draw_film(looks, folder / "film.gif", advance)


def heading(screen: Screen, text: str) -> None:
    """Write a heading."""
    screen.console.print(f"\n[bold]{text}[/]")


def point_onward(runs: Sequence[Any], facts: dict[str, Any], folder: Path, screen: Screen, language: str) -> None:
    """Say what to look at, and what to try next."""
    heading(screen, phrase("look", language))
    for name in LOOK_AT:
        line = phrase(f"look_{name}", language)
        if (folder / line.split()[0]).is_file():
            screen.say(f"  {line}")
    heading(screen, phrase("next", language))
    for command in what_next(facts["algorithm"], runs, folder):
        screen.say(f"  {command}")


def of_world(run: Any, before: Snapshot, after: Snapshot) -> dict[str, Any]:
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


def results_table(run: Any, before: Snapshot, after: Snapshot, language: str) -> Table:
    """Return the table of results before and after, shares with their 95 % intervals."""
    table = Table()
    table.add_column("")
    for when in ("before", "after"):
        table.add_column(phrase(when, language), justify="right")
    for name in names_of(after.results):
        cells = (told(run, look.results, name) if name in look.results else "–" for look in (before, after))
        table.add_row(result_name(name, language), *cells)
    for name, value in run.bounds(before.results, after.results).items():
        table.add_row(result_name(name, language), "", number(value))
    return table


def names_of(results: dict[str, float]) -> list[str]:
    """Return the results to tell: not those of parts, nor those of the only kind of pairs, which are the total's."""
    names = [name for name in results if "/" not in name]
    kinds = [name.removeprefix("accuracy_") for name in names if name.startswith("accuracy_")]
    again = {f"accuracy_{kinds[0]}", f"pairs_{kinds[0]}"} if len(kinds) == 1 else set()
    return [name for name in names if name not in again]


def told(run: Any, results: dict[str, float], name: str) -> str:
    """Return one result for people: a share with its interval, anything else as a number."""
    count = run.trials(name, results)
    interval = None if count is None else wilson(results[name], count)
    return result(results[name], interval, is_share=count is not None)


def one_start(run: Any, before: Snapshot, after: Snapshot, language: str) -> list[str]:
    """Return how a row began, in the reader's language where it has words, and what came of it before and after."""
    looks, rows = {"before": before, "after": after}, range(len(before.played))
    questions = [run.world.question(before.played, row) for row in rows]
    texts = {when: [run.world.text(look.played, row) for row in rows] for when, look in looks.items()}
    own = [row for row in rows if is_chinese(questions[row]) == (language == "zh")] or list(rows)
    # A model may stop within a character; an answer with half of one shows nobody what was learnt.
    row = next((row for row in own if not any(HALF_A_CHARACTER in texts[when][row] for when in looks)), own[0])
    lines = [f"  {phrase('question', language)}: {questions[row]}"]
    for when, look in looks.items():
        text, steps = texts[when][row], int(look.played.mask[row].sum())
        shortened = text if len(text) <= LONGEST else f"… {text[-LONGEST:].partition(' ')[2]}"
        total = look.played.rewards[row].sum().item()
        counted = phrase("steps", language, steps=steps, step=run.world.step_name)
        lines.append(
            f"  {phrase(when, language)} ({phrase('reward', language)} {number(total)}, {counted}): {shortened}"
        )
    return lines


def is_chinese(text: str) -> bool:
    """Return whether there are Chinese characters in a text."""
    return any("一" <= character <= "鿿" for character in text)


def analogy_table(runs: Sequence[Any], looks: Sequence[Snapshot]) -> Table:
    """Return the eight nouns of reinforcement learning, each filled from live objects."""
    table = Table(show_lines=True)
    table.add_column("")
    for run in runs:
        table.add_column(run.world.title, overflow="fold")
    columns = [nouns(run, look) for run, look in zip(runs, looks, strict=True)]
    for noun in NOUNS:
        table.add_row(noun, *(words[noun] for words in columns))
    return table
