"""What the clone's head start is worth to PPO: `python -m benchmarks.head_start`.

The clone brings two things: what its hidden layers compute, and what it decides with them, with confidence. Each start
takes one of them away. Only the policy's start differs; everything else is PPO as `lessons.ppo` has it.
"""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
import tyro
from torch import nn

from lessons.harness.machine import program
from lessons.harness.report.numbers import markdown_table, number
from lessons.harness.run import Run
from lessons.ppo import RECIPE, SETTINGS
from lessons.worlds import load

STORED = Path(__file__).with_name("head_start.json")
SEEDS = range(5)
DECISIVE = 0.1  # what is left of the clone's logits where it is no longer sure
STARTS = ("clone", "clone, unsure", "clone, decision drawn anew", "scratch")


def last_layer(policy: nn.Module) -> nn.Linear:
    """Return the layer that turns what the policy computes into its decision."""
    return [module for module in policy.modules() if isinstance(module, nn.Linear)][-1]


def started(start: str, seed: int) -> Run:
    """Return a run of PPO in CartPole from one of the starts."""
    settings = replace(SETTINGS["cartpole"], start="scratch" if start == "scratch" else "reference")
    run = Run.start(RECIPE, load("cartpole"), settings, seed=seed, device="cpu")
    fresh = load("cartpole").network("scratch", seed=seed, critic=False)
    decision = last_layer(run.network.policy)
    with torch.no_grad():
        if start == "clone, unsure":
            decision.weight.mul_(DECISIVE)
            decision.bias.mul_(DECISIVE)
        elif start == "clone, decision drawn anew":
            decision.load_state_dict(last_layer(fresh.policy).state_dict())
    return run


def measure(start: str, seed: int) -> dict[str, Any]:
    """Return the live steps until the sampled return was first 475, and the entropy of the first rollout."""
    torch.set_num_threads(1)
    run = started(start, seed)
    records = []
    for record in RECIPE.train(run):
        records.append(record)
        run.quick_evaluate(seed=seed)
        if run.solved_at is not None:
            break
    steps = None if run.solved_at is None else run.solved_at[0]
    return {"start": start, "seed": seed, "steps_to_solved": steps, "entropy": records[0]["entropy"]}


def table(results: list[dict[str, Any]], word: Callable[[str], str] = str) -> str:
    """Return the starts side by side in Markdown: the entropy of the first rollout, and live steps to 475."""
    head = ("start", "entropy at first, nats", "live steps to 475: median", "range over seeds")
    lines = []
    for start in STARTS:
        rows = [row for row in results if row["start"] == start]
        steps = [row["steps_to_solved"] or float("inf") for row in rows]
        entropy = sum(row["entropy"] for row in rows) / len(rows)
        spread = f"{number(min(steps))} {word('to')} {number(max(steps))}"
        lines.append((word(start), number(entropy), number(median(steps)), spread))
    return markdown_table([word(cell) for cell in head], lines, align="lrrr")


def main(seeds: int = len(SEEDS), jobs: int = 2, out: Path = STORED) -> None:
    """Train from each start over the seeds, store the results, and print the table.

    Args:
        seeds: How many seeds, from 0 up.
        jobs: Runs at a time, each on one thread.
        out: File of results.
    """
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(measure, start, seed) for start in STARTS for seed in range(seeds)]
        results = [each.result() for each in waiting]
    out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    tyro.cli(main, prog=program())
