"""What a run with a real model says at its end: tables on the screen, samples and numbers in files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lessons.harness.report.numbers import markdown_table, number, percent, result, signed
from lessons.worlds.chat_model.demonstrations import Talk
from lessons.worlds.chat_model.world import ChatModel
from lessons.worlds.measure import wilson

SHOWN = 40
ROWS = {
    "passed": "one polite sentence of at most 20 words, on the matter",
    "eos": "  ended within 40 tokens",
    "brief": "  one sentence, 5 to 20 words",
    "sound": "  and about the question",
    "polite": "  polite",
    "own": "fits its own question better than another (by the original model)",
    "stock": "begins with the commonest three words",
    "score": "score",
    "words": "words",
    "kl": "KL to the original, nats per answer",
}
TALKED = (
    ("says the name", "name_before", "name_after"),
    ("… to wordings never shown", None, "name_after_unseen"),
    ("… to other questions", None, "name_elsewhere"),
    ("other answers, word for word as before", None, "same_answer"),
    ("… in their first five words", None, "same_first_words"),
    ("… token by token, each after the same beginning", None, "same_next_token"),
)


@dataclass(frozen=True)
class Stage:
    """What one stage gave, and how long it took."""

    name: str
    result: Any
    seconds: float


def tell(
    world: ChatModel, talked: Stage, stages: Mapping[str, Stage], facts: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Return the summary; tables are on the screen, samples.md and summary.json in the folder by then."""
    console = Console(highlight=False)
    console.print(
        f"\n[bold]{world.title}: SFT on one identity ({talked.seconds:.0f} s)[/]", talk_table(talked.result), sep="\n"
    )
    console.print(
        f"\n[bold]{world.title}: the judge's verdict on held-out questions[/]", truth_table(world, stages), sep="\n"
    )
    stage_results = {name: stage.result[1] for name, stage in stages.items()}
    summary = facts | {
        "identity": talked.result.numbers,
        "before_and_after": stage_results,
        "intervals": {name: intervals(world, results) for name, results in stage_results.items()},
        "least_kl": {
            name: world.bounds(stage_results["original"], results)["least_kl"]
            for name, results in stage_results.items()
        },
        "seconds_of": {stage.name: stage.seconds for stage in (talked, *stages.values())},
    }
    (folder / "samples.md").write_text(samples(world, talked.result, stages), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(f"\n{facts['seconds']:.0f} s in all. In {folder}: samples.md, summary.json")
    return summary


def intervals(world: ChatModel, results: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each share."""
    return {name: wilson(results[name], int(results[world.trials])) for name in world.shares}


def talk_table(talked: Talk) -> Table:
    """Return the questions about who it is with both answers, and what became of the others."""
    table = Table("", "before", "after", show_lines=True)
    for row in talked.who:
        table.add_row(*(text.replace("\n", "⏎") for text in row))
    for row in talk_rows(talked.numbers):
        table.add_row(*row)
    return table


def talk_rows(numbers: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Return what became of the name and of the other answers: in words, before, after."""
    rows = [
        (words, percent(numbers[before], digits=0) if before else "", percent(numbers[after], digits=0))
        for words, before, after in TALKED
    ]
    return [*rows, ("KL on other questions, nats per token", "", f"{numbers['kl_per_token']:.3f}")]


def truth_table(world: ChatModel, stages: Mapping[str, Stage]) -> Table:
    """Return the truth of each stage side by side, shares with their 95 % intervals."""
    table = Table("", *(f"{name} ({stage.seconds:.0f} s)" for name, stage in stages.items()))
    for key, words in ROWS.items():
        table.add_row(words, *(cell(world, stage.result[1], key) for stage in stages.values()))
    return table


def cell(world: ChatModel, results: Mapping[str, float], key: str) -> str:
    """Return one number for people: a share with its interval, anything else as it is."""
    return cell_of(results[key], intervals(world, results).get(key))


def cell_of(value: float, interval: Sequence[float] | None) -> str:
    """Return one number for people: a share is what has an interval."""
    return result(value, interval, is_share=interval is not None, digits=0)


def in_markdown(summary: Mapping[str, Any]) -> str:
    """Return the stored truth of each stage side by side, for a page."""
    stages = summary["before_and_after"]
    intervals_of = summary["intervals"]
    rows = [
        [words.strip(), *(cell_of(results[key], intervals_of[name].get(key)) for name, results in stages.items())]
        for key, words in ROWS.items()
    ]
    minutes = (number(summary["seconds_of"][name] / 60) for name in stages)
    rows.append(["minutes, learning and looking", *minutes])
    verdicts = markdown_table(["", *stages], rows, align="l" + "r" * len(stages))
    identity = markdown_table(["SFT on one identity", "before", "after"], talk_rows(summary["identity"]), align="lrr")
    return f"{verdicts}\n\n{identity}"


def samples(world: ChatModel, talked: Talk, stages: Mapping[str, Stage]) -> str:
    """Return the page of samples: who it is, other questions, and the same held-out questions at each stage."""
    lines = [f"# {world.title}", "", "Nothing is picked out: these are the first of each list.", ""]
    for title, rows in (("Who are you? Likeliest answers", talked.who), ("Other questions", talked.others)):
        lines += [f"## {title}, before and after SFT", "", markdown_table(["question", "before", "after"], rows), ""]
    answers = [{answer.question.text: answer for answer in stage.result[0]} for stage in stages.values()]
    cells = [
        [question, *(f"{stage[question].text} ({signed(stage[question].verdict.score)})" for stage in answers)]
        for question in list(answers[0])[:SHOWN]
    ]
    lines += ["## Held-out questions, one sample each", "", markdown_table(["question", *stages], cells)]
    return "\n".join(lines) + "\n"
