"""Every bar over all seeds, with controls that must fail: `python -m benchmarks.learning` writes learning.json.

The README's table is made from that file, and a test holds the two together.
"""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import tyro
from tqdm import tqdm

from benchmarks.table import readme_with_table
from lessons import ppo
from lessons.options import TRUTH_SEED, machine
from lessons.run import Run
from lessons.settings import PPO
from lessons.worlds import NAMES
from rl_core.errors import check_choice

STORED = Path(__file__).with_name("learning.json")
Result = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One run."""

    world: str
    start: str
    seed: int
    learns: bool = True


@dataclass(frozen=True)
class Options:
    """What to run."""

    out: Path = STORED
    """File of results."""
    worlds: tuple[str, ...] = NAMES
    """Worlds to run; the stored results of the others are kept."""
    jobs: int = 2
    """Runs at a time, each on one thread."""
    device: str = "cpu"
    """Where tensors live."""


def tasks() -> list[Task]:
    """Return all runs: the long ones first, so that no core waits at the end."""
    language = [Task("language", "reference", seed) for seed in range(5)]
    pole = [Task("cartpole", start, seed) for start in ("reference", "scratch") for seed in range(10)]
    controls = [replace(task, learns=False) for task in (*language[:1], *pole[:2], *pole[10:12])]
    return language + controls + pole


def measure(task: Task, device: str) -> Result:
    """Return what one run reached, by its final parameters."""
    torch.set_num_threads(1)
    config = replace(PPO[task.world], start=task.start)
    if not task.learns:
        config = replace(config, learning_rate=0.0)
    run = Run.start(task.world, config, seed=task.seed, device=device)
    before = run.world.gold(run.network, seed=TRUTH_SEED + task.seed, device=device)
    for record in ppo.train(run):
        assert record["first_ratio"] == 1.0
        run.probe(seed=2 * TRUTH_SEED + task.seed)
    after = run.world.gold(run.network, seed=TRUTH_SEED + task.seed, device=device)
    steps, seconds = run.solved_at or (None, None)
    return {
        "world": task.world,
        "start": task.start,
        "seed": task.seed,
        "learns": task.learns,
        "before": before,
        "after": after | run.world.bounds(before, after),
        "steps": run.steps,
        "seconds": run.seconds,
        "steps_to_solved": steps,
        "seconds_to_solved": seconds,
    }


def measure_all(todo: Sequence[Task], options: Options) -> Iterable[Result]:
    """Yield the results as they come."""
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(measure, task, options.device) for task in todo]
        yield from (job.result() for job in tqdm(as_completed(jobs), total=len(jobs), desc="runs"))


def main() -> None:
    """Run everything, store it, and put the table into the README."""
    options = tyro.cli(Options, description=__doc__)
    for world in options.worlds:
        check_choice("worlds", world, NAMES)
    began = time.perf_counter()
    results = list(measure_all([task for task in tasks() if task.world in options.worlds], options))
    made: dict[str, Any] = {}
    if options.out.is_file():
        kept = json.loads(options.out.read_text(encoding="utf-8"))
        results += [result for result in kept["results"] if result["world"] not in options.worlds]
        made = kept["made"]
    results.sort(key=lambda result: (result["world"], result["start"], not result["learns"], result["seed"]))
    making = {
        "command": " ".join(["python -m benchmarks.learning", *sys.argv[1:]]),
        "device": options.device,
        "machine": machine() | {"threads": 1, "runs at a time": options.jobs},
        "seconds": round(time.perf_counter() - began),
    }
    made |= {world: making | {"config": asdict(PPO[world])} for world in options.worlds}
    stored = {"made": made, "results": results}
    options.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    if options.out == STORED:
        for page in ("README.md", "README.zh.md"):
            path = Path(__file__).parent.parent / page
            path.write_text(readme_with_table(path.read_text(encoding="utf-8"), stored), encoding="utf-8")


if __name__ == "__main__":
    main()
