"""The README's tables, from the stored results."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lessons.harness.report.chat_model import in_markdown
from lessons.harness.report.numbers import markdown_table, number, percent

Result = dict[str, Any]
ROOT = Path(__file__).parent.parent
LEARNING, REAL = Path(__file__).with_name("learning.json"), Path(__file__).parent / "chat_model" / "summary.json"
PAGES = ("README.md", "README.zh.md")
BLOCK = "<!-- {name}: made by {command} -->\n{text}\n<!-- end of {name} -->"
MADE_BY = {
    "results": "python -m benchmarks.learning",
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


TONES = (
    Row("rude", "<= 3 %", after("rude"), percent),
    Row("polite", ">= 90 %", after("polite"), percent),
    Row("right, less right before", ">= -2 points", lambda r: r["after"]["right"] - r["before"]["right"], percent),
    Row("ended with EOS", ">= 99 %", after("eos"), percent),
    Row("KL to the reference, nats an answer", "<= 5", after("kl")),
    SECONDS,
)
IMPLICIT = Row("implicit reward right about the start's pairs", "", after("implicit_accuracy"), percent)
TABLES: dict[str, tuple[str, tuple[Row, ...]]] = {
    "ppo cartpole": (
        "PPO, CartPole, from the clone",
        (
            SAMPLED,
            GREEDY,
            steps("median <= 20,000, worst <= 40,000"),
            Row("seconds of training, one core", "median <= 2.5", lambda r: r["seconds"]),
        ),
    ),
    "ppo cartpole scratch": (
        "PPO, CartPole, from scratch",
        (SAMPLED, GREEDY, steps("median <= 20,000, worst <= 40,000"), SECONDS),
    ),
    "ppo language": ("PPO, language model", TONES),
    "rlhf cartpole": ("RLHF in three steps, CartPole", (SAMPLED, GREEDY, SECONDS)),
    "rlhf language": ("RLHF in three steps, language model", TONES),
    "dpo cartpole": (
        "DPO, CartPole, four rounds",
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
    "best_of_8 language": ("Best of 8, language model, nothing trained", TONES[:-1]),
}


def table(stored: dict[str, Any]) -> str:
    """Return the table in Markdown: median and range over the seeds, beside the bar and the run that learns nothing."""
    lines: list[list[str]] = []
    for name, (title, rows) in TABLES.items():
        runs = [result for result in stored["results"] if result["name"] == name]
        if not runs:
            continue
        trained = [result for result in runs if result["learns"]]
        control = [result for result in runs if not result["learns"]]
        lines.append([f"**{title}**, {len(trained)} seeds", "", "", "", ""])
        lines += [line(row, trained, control) for row in rows]
    head = ("", "bar", "median", "range over seeds", "learning rate 0")
    return markdown_table(head, lines, align="llrrr")


def line(row: Row, trained: list[Result], control: list[Result]) -> list[str]:
    """Return one quantity's line."""
    values = [value for r in trained if (value := row.value(r)) is not None]
    missing = len(trained) - len(values)
    middle = row.written(median(values)) if values else "never"
    spread = f"{row.written(min(values))} to {row.written(max(values))}" if values else "never"
    still = [value for r in control if (value := row.value(r)) is not None]
    idle = row.written(median(still)) if still else "never" if control else ""
    return [row.name, row.bar, middle, spread + (f", {missing} never" if missing else ""), idle]


def with_table(text: str, name: str, rows: str) -> str:
    """Return the page with the table of that name made anew."""
    block = BLOCK.format(name=name, command=MADE_BY[name], text=rows)
    begin, end = block.split("\n", 1)[0], block.rsplit("\n", 1)[1]
    return re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: block, text, flags=re.DOTALL)


def renewed(text: str) -> str:
    """Return a README with all of its tables made anew from what is stored."""
    text = with_table(text, "results", table(json.loads(LEARNING.read_text(encoding="utf-8"))))
    return with_table(text, "real", in_markdown(json.loads(REAL.read_text(encoding="utf-8"))))


def main() -> None:
    """Put the tables into the READMEs: `python -m benchmarks.table`."""
    for page in PAGES:
        path = ROOT / page
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
