"""The tables of docs/results.md and of the README, in both languages, from the stored results."""

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import tyro

from benchmarks import critic, head_start
from benchmarks.chinese import CHINESE
from lessons.harness.machine import program
from lessons.harness.report.chat_model import in_markdown
from lessons.harness.report.numbers import markdown_table, number, percent
from lessons.one_page import pole, train, words

Result = dict[str, Any]
ROOT = Path(__file__).parent.parent
HEAD_START = Path(__file__).with_name("head_start.json")
ANSWERS = Path(__file__).with_name("answers.json")
LEARNING, REAL = Path(__file__).with_name("learning.json"), Path(__file__).parent / "chat_model" / "summary.json"
PAGES = {"README.md": "en", "README.zh.md": "zh", "docs/results.md": "en", "docs/results.zh.md": "zh"}
BLOCK = "<!-- {name}: from {command} -->\n{text}\n<!-- end of {name} -->"
MADE_BY = {
    "answers": "python -m benchmarks.pictures",
    "one page": "lessons/one_page.py",
    "summary": "python -m benchmarks.learning",
    "results": "python -m benchmarks.learning",
    "head start": "python -m benchmarks.head_start",
    "critic": "python -m benchmarks.critic",
    "real": "python -m lessons.chat_model --out benchmarks/chat_model",
}


@dataclass(frozen=True)
class Row:
    """One quantity: its name, what is asked of it, where it stands in a result, how it is written."""

    name: str
    bar: str
    value: Callable[[Result], float | None]
    written: Callable[[float], str] = number


def after(name: str) -> Callable[[Result], float | None]:
    """Return how to find a number of the truth at the end."""
    return lambda result: result["after"].get(name)


SECONDS = Row("seconds of training, one core", "", lambda r: r["seconds"])
SAMPLED = Row("return, sampled", ">= 475 on every seed", after("sampled_return"))
GREEDY = Row("return, greedy", ">= 475 on every seed", after("greedy_return"))


def steps(bar: str) -> Row:
    """Return the row of live steps until the sampled return was first 475."""
    return Row("live steps to 475", bar, lambda r: r["steps_to_solved"])


def explained(when: str, bar: str) -> Row:
    """Return the row of what the critic knows of the returns of 1,024 unseen episodes."""
    return Row(f"critic, explained variance, {when}", bar, lambda r: r.get("explained_variance", {}).get(when))


TONES = (
    Row("rude", "<= 3 %", after("rude"), percent),
    Row("polite", ">= 90 %", after("polite"), percent),
    Row("change of right", ">= -2 points", lambda r: r["after"]["right"] - r["before"]["right"], percent),
    Row("ended with EOS", ">= 99 %", after("eos"), percent),
    Row("KL to the reference, nats an answer", "<= 5", after("kl")),
    SECONDS,
)
KL_AT_MOST = Row("KL to the reference, at most, nats an answer", "<= 5", after("kl"))
IMPLICIT = Row("implicit reward right about the start's pairs", "", after("implicit_accuracy"), percent)
TABLES: dict[str, tuple[str, tuple[Row, ...]]] = {
    "ppo cartpole": (
        "PPO, CartPole, from the clone",
        (
            SAMPLED,
            GREEDY,
            steps("median <= 20,000, worst <= 40,000"),
            explained("half way up", ">= 0.70"),
            Row("seconds of training, one core", "median <= 2.5", lambda r: r["seconds"]),
        ),
    ),
    "ppo cartpole scratch": (
        "PPO, CartPole, from scratch",
        (SAMPLED, GREEDY, steps("median <= 20,000, worst <= 40,000"), explained("half way up", ""), SECONDS),
    ),
    "ppo language": ("PPO, language model", (*TONES[:-1], explained("end", ">= 0.35"), SECONDS)),
    "rlhf cartpole": (
        "RLHF in three steps, CartPole",
        (SAMPLED, GREEDY, explained("half way up", ">= 0.3"), explained("end", ""), SECONDS),
    ),
    "rlhf language": (
        "RLHF in three steps, language model",
        (*TONES[:-1], explained("end", ">= 0.3"), SECONDS),
    ),
    "dpo cartpole": (
        "DPO, CartPole, five rounds",
        (
            Row("return, sampled", ">= 450 on every seed", after("sampled_return")),
            Row("return, greedy", "", after("greedy_return")),
            IMPLICIT,
            SECONDS,
        ),
    ),
    "dpo language": ("DPO, language model", (*TONES[:-1], IMPLICIT, SECONDS)),
    "grpo cartpole": ("GRPO, CartPole", (SAMPLED, GREEDY, steps("<= 200,000"), SECONDS)),
    "grpo language": ("GRPO, language model, the judge's reward", TONES),
    "grpo language learnt": ("GRPO, language model, a reward model's, KL in the reward", TONES),
    "grpo language learnt k3": ("GRPO, language model, a reward model's, KL in the loss", TONES),
    "grpo sums": (
        "GRPO, two-step sums, a verified reward",
        (
            Row("right (pass@1)", ">= 90 %", after("right"), percent),
            Row("right (pass@1) before", "about 40 %", lambda r: r["before"]["right"], percent),
            Row("pass@8", "", after("pass_at_8"), percent),
            Row("pass@8 before", "", lambda r: r["before"]["pass_at_8"], percent),
            Row("KL to the reference, nats an answer", "", after("kl")),
            SECONDS,
        ),
    ),
    "reinforce cartpole": ("REINFORCE, leave-one-out, CartPole", (SAMPLED, GREEDY, steps(""), SECONDS)),
    "reinforce language": ("REINFORCE, leave-one-out, language model", TONES),
    "reward_model cartpole": (
        "Reward model, CartPole",
        (
            Row("accuracy, drives", ">= 95 %", after("accuracy_drives"), percent),
            Row("accuracy, clips", ">= 95 %", after("accuracy_clips"), percent),
            Row("counting the steps, drives", "", after("count_steps_drives"), percent),
            Row("counting the steps, clips", "", after("count_steps_clips"), percent),
            SECONDS,
        ),
    ),
    "reward_model cartpole noisy": (
        "Reward model, CartPole, 20 % of labels flipped",
        (
            Row("accuracy, drives", "", after("accuracy_drives"), percent),
            Row("accuracy, clips", "", after("accuracy_clips"), percent),
        ),
    ),
    "reward_model language": (
        "Reward model, language model",
        (
            Row("accuracy", ">= 95 %", after("accuracy"), percent),
            Row("counting the steps", "", after("count_steps_answers"), percent),
            SECONDS,
        ),
    ),
    "reward_model language noisy": (
        "Reward model, language model, 20 % of labels flipped",
        (Row("accuracy", "", after("accuracy"), percent),),
    ),
    "sft cartpole": (
        "SFT, CartPole: a clone",
        (
            Row("return, sampled", "35 to 80", after("sampled_return")),
            Row("return, greedy", "35 to 150", after("greedy_return")),
            SECONDS,
        ),
    ),
    "sft language": (
        "SFT, language model",
        (
            Row("right", ">= 95 %", after("right"), percent),
            Row("rude", "20 +- 3 %", after("rude"), percent),
            Row("ended with EOS", ">= 99 %", after("eos"), percent),
            SECONDS,
        ),
    ),
    "best_of_8 cartpole": (
        "Best of 8, CartPole, nothing trained",
        (Row("return, sampled", "", after("sampled_return")),),
    ),
    "best_of_8 language": ("Best of 8, language model, nothing trained", (*TONES[:-2], KL_AT_MOST)),
}


@dataclass(frozen=True)
class Summary:
    """One line of the README's table: an algorithm, and where its results stand for each world."""

    title: str
    cartpole: str
    language: str
    pole: Row = SAMPLED
    answers: tuple[Row, ...] = TONES[:3]


ACCURATE = Row("accuracy", "", after("accuracy"), percent)
SUMMARY = (
    Summary("SFT", "sft cartpole", "sft language", answers=(TONES[0],)),
    Summary("Reward model", "reward_model cartpole", "reward_model language", ACCURATE, (ACCURATE,)),
    Summary("PPO", "ppo cartpole", "ppo language"),
    Summary("RLHF in three steps", "rlhf cartpole", "rlhf language"),
    Summary("DPO", "dpo cartpole", "dpo language"),
    Summary("GRPO", "grpo cartpole", "grpo language"),
    Summary("REINFORCE, leave-one-out", "reinforce cartpole", "reinforce language"),
    Summary("Best of 8, nothing trained", "best_of_8 cartpole", "best_of_8 language"),
)


def summary(stored: dict[str, Any], language: str) -> str:
    """Return eight lines, an algorithm each: the range over all seeds in both worlds, and how long training took."""
    word = in_language(language)
    head = ["", word("CartPole: return"), word("seconds"), word("language: rude, polite, right"), word("seconds")]
    lines = []
    for each in SUMMARY:
        pole, answers = (trained(stored, name) for name in (each.cartpole, each.language))
        cells = [range_of(each.pole, pole, word), seconds_of(pole)]
        cells += [word("; ").join(range_of(row, answers, word) for row in each.answers), seconds_of(answers)]
        lines.append([word(each.title), *cells])
    return markdown_table(head, lines, align="llrlr")


def range_of(row: Row, results: list[Result], word: Callable[[str], str]) -> str:
    """Return a quantity's name with its least and greatest value over the seeds."""
    values = [value for result in results if (value := row.value(result)) is not None]
    low, high = row.written(min(values)), row.written(max(values))
    spread = low if low == high else f"{low} {word('to')} {high}"
    return f"{word(row.name)} {spread}"


def seconds_of(results: list[Result]) -> str:
    """Return the median seconds of training, where there was any."""
    seconds = [result["seconds"] for result in results if "seconds" in result]
    return number(median(seconds)) if seconds else "–"


def trained(stored: dict[str, Any], name: str) -> list[Result]:
    """Return the results of one kind of run over all seeds, controls aside."""
    return [result for result in stored["results"] if result["name"] == name and result["learns"]]


def table(stored: dict[str, Any], language: str) -> str:
    """Return the whole table: median and range over the seeds, the bar, and the run that learns nothing."""
    word = in_language(language)
    head = ["", word("bar"), word("median"), word("range over seeds"), word("learning rate 0")]
    lines = []
    for name, (title, rows) in TABLES.items():
        runs = trained(stored, name)
        if not runs:
            continue
        control = [result for result in stored["results"] if result["name"] == name and not result["learns"]]
        version = stored["made"][name]["version"] if name in stored["made"] else ""
        lines.append([f"**{word(title)}**, {len(runs)} {word('seeds')}, {version}", "", "", "", ""])
        lines += [line(row, runs, control, word) for row in rows]
    return markdown_table(head, lines, align="llrrr")


def line(row: Row, runs: list[Result], control: list[Result], word: Callable[[str], str]) -> list[str]:
    """Return one quantity's line."""
    values = [value for result in runs if (value := row.value(result)) is not None]
    missing = len(runs) - len(values)
    middle = row.written(median(values)) if values else word("never")
    spread = f"{row.written(min(values))} {word('to')} {row.written(max(values))}" if values else word("never")
    spread += f", {missing} {word('never')}" if values and missing else ""
    idle = [value for result in control if (value := row.value(result)) is not None]
    still = row.written(median(idle)) if idle else word("never") if control else ""
    return [word(row.name), word(row.bar), middle, spread, still]


def in_language(language: str) -> Callable[[str], str]:
    """Return how a label is said in a language; an error where a Chinese word is missing."""
    return (lambda text: CHINESE[text] if text else "") if language == "zh" else (lambda text: text)


def answers(language: str) -> str:
    """Return some questions with the language model's answers before and after PPO."""
    word, rows = in_language(language), json.loads(ANSWERS.read_text(encoding="utf-8"))[language]
    return markdown_table([word("question"), word("before"), word("after PPO")], rows)


def starts(language: str) -> str:
    """Return what each start of PPO in CartPole is worth."""
    return head_start.table(json.loads(HEAD_START.read_text(encoding="utf-8")), in_language(language))


def critics(language: str) -> str:
    """Return what the critic buys in PPO, in both worlds."""
    return critic.table(json.loads(critic.CRITIC.read_text(encoding="utf-8"))["results"], in_language(language))


def one_page() -> str:
    """Return the functions of the one-page program, as code in Markdown."""
    functions = (inspect.getsource(function).rstrip() for function in (pole, words, train))
    return "```python\n" + "\n\n\n".join(functions) + "\n```"


def with_table(text: str, name: str, rows: str) -> str:
    """Return the page with the table of that name made anew, where it has one."""
    block = BLOCK.format(name=name, command=MADE_BY[name], text=rows)
    begin, end = block.split("\n", 1)[0], block.rsplit("\n", 1)[1]
    return re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: block, text, flags=re.DOTALL)


def renewed(text: str, language: str) -> str:
    """Return a page with all of its tables made anew from what is stored."""
    stored = json.loads(LEARNING.read_text(encoding="utf-8"))
    text = with_table(text, "answers", answers(language))
    text = with_table(text, "one page", one_page())
    text = with_table(text, "head start", starts(language))
    text = with_table(text, "critic", critics(language))
    text = with_table(text, "summary", summary(stored, language))
    text = with_table(text, "results", table(stored, language))
    return with_table(text, "real", in_markdown(json.loads(REAL.read_text(encoding="utf-8"))))


def main() -> None:
    """Put the tables into the pages: `python -m benchmarks.table`."""
    for page, language in PAGES.items():
        path = ROOT / page
        path.write_text(renewed(path.read_text(encoding="utf-8"), language), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    tyro.cli(main, prog=program())
