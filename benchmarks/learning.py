"""Every bar over all seeds, with controls that must fail: `python -m benchmarks.learning` writes learning.json.

The README's tables are made from that file, and a test holds the two together.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import tyro
from tqdm import tqdm

from benchmarks import table
from benchmarks.critic import result_of
from benchmarks.held_out import HalfWay, held_out_explained_variance
from benchmarks.table import LEARNING
from lessons import best_of_n
from lessons.harness.command_line import Options as BestOptions
from lessons.harness.machine import exit_with, machine_info, program, writable_folder
from lessons.harness.play_settings import GRPOSettings
from lessons.harness.run import Run
from lessons.harness.settings import BestOfNSettings
from lessons.side_by_side import RECIPES
from lessons.worlds import load
from lessons.worlds.seeds import spawn
from rl_core.errors import InvalidArgument, RLCoreError, check_choice, check_count

SEEDS = range(5)
VERSION = "0.4.0"  # of the code that makes the results; pages tell of those that an older one made
VARIANTS: dict[str, Callable[[Any], Any]] = {
    "": lambda config: config,
    "scratch": lambda config: replace(config, start="scratch"),
    "noisy": lambda config: replace(config, noise=0.2),
    "learnt": lambda config: on_a_reward_model(config, kl_in="reward"),
    "learnt k3": lambda config: on_a_reward_model(config, kl_in="loss"),
}
Result = dict[str, Any]


def on_a_reward_model(config: GRPOSettings, *, kl_in: str) -> GRPOSettings:
    """Return the settings of GRPO on learnt rewards: more rollouts, each used once, and a KL that counts in points."""
    return replace(config, iterations=120, update=replace(config.update, epochs=1, kl_in=kl_in, scale=False, beta=0.2))


@dataclass(frozen=True)
class Task:
    """One run of an algorithm in a world, from where its settings say."""

    algorithm: str
    world: str
    seed: int
    variant: str = ""
    """Empty, or scratch: untrained start; noisy: wrong labels; learnt: rewards of a reward model trained for it, with
    the KL in the reward; learnt k3: the same, with the KL in the loss."""
    learns: bool = True
    """False: the control, whose learning rate is 0."""

    @property
    def name(self) -> str:
        """Return what its results are filed under, but for the seed."""
        return " ".join(part for part in (self.algorithm, self.world, self.variant) if part)

    @property
    def config(self) -> Any:
        """Return the settings of the run."""
        if self.algorithm not in RECIPES:
            return BestOfNSettings(n=8)
        config = VARIANTS[self.variant](RECIPES[self.algorithm].settings[load(self.world).settings])
        return config if self.learns else config.idle()


@dataclass(frozen=True)
class Options:
    """What to run."""

    out: Path = LEARNING
    """File of results."""
    only: tuple[str, ...] = ()
    """Names such as "ppo cartpole scratch"; the stored results of the others are kept; none given: all."""
    jobs: int = 2
    """Runs at a time, each on one thread."""
    device: str = "cpu"
    """Where tensors live."""


def tasks() -> list[Task]:
    """Return all runs: the long ones first, so that no core waits at the end."""
    language = [
        Task(algorithm, "language", seed)
        for algorithm in ("rlhf", "sft", "ppo", "reinforce", "reward_model", "grpo", "dpo")
        for seed in SEEDS
    ]
    language += [Task("grpo", "language", seed, variant) for variant in ("learnt", "learnt k3") for seed in SEEDS]
    language += [Task("grpo", "sums", seed) for seed in SEEDS]
    language += [Task("reward_model", "language", seed, "noisy") for seed in SEEDS]
    language += [Task("best_of_8", "language", seed) for seed in SEEDS]
    pole = [Task(algorithm, "cartpole", seed) for algorithm in RECIPES for seed in SEEDS]
    pole += [Task("reward_model", "cartpole", seed, "noisy") for seed in SEEDS]
    pole += [Task("best_of_8", "cartpole", seed) for seed in SEEDS]
    pole += [Task("ppo", "cartpole", seed, variant) for variant in ("", "scratch") for seed in range(10)]
    distinct = list(dict.fromkeys([*language, *pole]))
    controls = [replace(task, learns=False) for task in distinct if task.seed == 0 and task.algorithm in RECIPES]
    return [*distinct, *controls]


def measure(task: Task, device: str) -> Result:
    """Return what one run reached, by its final parameters."""
    torch.set_num_threads(1)
    if task.algorithm == "best_of_8":
        return best_of_8(task, device)
    recipe, world, config = RECIPES[task.algorithm], load(task.world), task.config
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if task.variant.startswith("learnt"):
            config = replace(config, scorer=str(taste(world, task.seed, device, folder / "taste")))
        begin = recipe.make_run or Run.start
        run = begin(recipe, world, config, seed=task.seed, device=device, folder=folder)
        before = run.evaluate(seed=spawn(task.seed, "evaluate"))
        explained: dict[str, float] = {}  # of the returns of whole unseen episodes, by the critic
        half_way = None
        for record in recipe.train(run):
            assert record.get("first_ratio", 1.0) == 1.0
            results, stage = run.quick_evaluate(seed=spawn(task.seed, "quick evaluate")), run.now
            if not stage.recipe.needs_critic:
                continue
            half_way = half_way or HalfWay.of(world, run.stage_results.get("sft", before))
            half_way.look(stage, results)
            if stage.iteration == stage.config.iterations:
                explained |= half_way.explained_variance(stage, seed=spawn(task.seed, "critic"))
                explained["end"] = held_out_explained_variance(stage, seed=spawn(task.seed, "critic"))
        after = run.evaluate(seed=spawn(task.seed, "evaluate"))
    steps, seconds = run.solved_at or (None, None)
    return asdict(task) | {
        "name": task.name,
        "before": run.stage_results.get("sft", before),  # of RLHF: its own clone, where its PPO starts
        "after": after | run.bounds(before, after),
        "stages": run.stage_results,
        "explained_variance": explained,
        "steps": run.steps,
        "seconds": run.seconds,
        "steps_to_solved": steps,
        "seconds_to_solved": seconds,
    }


def best_of_8(task: Task, device: str) -> Result:
    """Return what the best of eight, by the world's own reward, is worth."""
    results = best_of_n.run(task.world, task.config, BestOptions(seed=task.seed, device=device))
    return asdict(task) | results | {"name": task.name, "stages": {}, "steps": 0, "steps_to_solved": None}


def taste(world: Any, seed: int, device: str, folder: Path) -> Path:
    """Return the folder of a reward model that was trained for this seed."""
    recipe = RECIPES["reward_model"]
    run = Run.start(recipe, world, recipe.settings[world.settings], seed=seed, device=device)
    for _ in recipe.train(run):
        pass
    run.export(folder)
    return folder


def measure_all(todo: Sequence[Task], options: Options) -> Iterable[Result]:
    """Yield the results as they come."""
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(measure, task, options.device) for task in todo]
        yield from (result_of(job, pool) for job in tqdm(as_completed(jobs), total=len(jobs), desc="runs"))


def main() -> None:
    """Run from the command line."""
    try:
        run(tyro.cli(Options, description=__doc__, prog=program()))
    except RLCoreError as error:
        exit_with(error)


def run(options: Options) -> None:
    """Store each result as it comes, and put the tables into the pages."""
    names = list(dict.fromkeys(task.name for task in tasks()))
    for name in options.only:
        check_choice("only", name, names)
    asked = options.only or tuple(names)
    check_count("jobs", options.jobs, 1)
    writable_folder(options.out.parent)
    began, stored = time.perf_counter(), stored_in(options.out)
    stored["results"] = [result for result in stored["results"] if result["name"] not in asked]
    in_force = {name: asdict(config) for name, config in settings(asked).items()}
    for result in measure_all([task for task in tasks() if task.name in asked], options):
        stored["results"] = sorted(
            [*stored["results"], result], key=lambda r: (names.index(r["name"]), not r["learns"], r["seed"])
        )
        stored["made"][result["name"]] = {
            "command": f'python -m benchmarks.learning --only "{result["name"]}"',
            "version": VERSION,
            "device": options.device,
            "machine": machine_info() | {"threads": 1, "runs at a time": options.jobs},
            "seconds": round(time.perf_counter() - began),
            "config": in_force[result["name"]],
        }
        options.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    if options.out == LEARNING:
        table.main()


def stored_in(path: Path) -> dict[str, Any]:
    """Return what a file of results holds, or what an empty one would; InvalidArgument where it is something else."""
    if not path.is_file():
        return {"made": {}, "results": []}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {"made": stored["made"], "results": stored["results"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"out={str(path)!r} holds no results ({error}); pass another file.") from error


def settings(names: Sequence[str]) -> dict[str, Any]:
    """Return the settings in force behind each name."""
    return {task.name: task.config for task in tasks() if task.learns and task.name in names}


if __name__ == "__main__":
    main()
