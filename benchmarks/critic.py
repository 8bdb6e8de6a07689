"""What the critic buys: `python -m benchmarks.critic` runs PPO with and without one, and writes critic.json.

Every variant gives the policy the same turns. Before the first of them the policies are equal to the last bit, and
only the advantages differ: that is where the agreement of their gradients is measured.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from benchmarks.held_out import HalfWay, held_out_explained_variance
from lessons import ppo
from lessons.harness.machine import exit_with, machine_info, program, writable_folder
from lessons.harness.play_settings import PPOSettings
from lessons.harness.recipe import Recipe
from lessons.harness.report.numbers import markdown_table, number
from lessons.harness.run import Run
from lessons.worlds import NAMES, load
from lessons.worlds.seeds import spawn
from rl_core.algorithms.ppo import played_batch
from rl_core.errors import RLCoreError, check_choice, check_count
from rl_core.evaluate import evaluate_actions
from rl_core.losses.ppo import clipped_surrogate
from rl_core.masked import masked_mean
from rl_core.rollout import rollout

CRITIC = Path(__file__).with_name("critic.json")
GRADIENTS = 8  # rollouts whose gradients are compared
Result = dict[str, Any]


def at_once(config: PPOSettings) -> PPOSettings:
    """Return the settings without the warm-up, whose turns fall away."""
    return replace(config, iterations=config.passes_in_all, warmup=0.0)


def without(config: PPOSettings) -> PPOSettings:
    """Return the settings of a network that has no critic."""
    return replace(at_once(config), update=replace(config.update, value_weight=0.0))


def with_lam(lam: float) -> Callable[[PPOSettings], PPOSettings]:
    """Return what changes settings to another λ."""
    return lambda config: replace(config, update=replace(config.update, lam=lam))


VARIANTS: dict[str, tuple[Recipe, Callable[[PPOSettings], PPOSettings]]] = {
    "V := 0": (replace(ppo.RECIPE, needs_critic=False), without),
    "no warm-up": (ppo.RECIPE, at_once),
    "warm-up": (ppo.RECIPE, lambda config: config),
    "warm-up, λ = 0.9": (ppo.RECIPE, with_lam(0.9)),
    "warm-up, λ = 0.95": (ppo.RECIPE, with_lam(0.95)),
    "warm-up, λ = 1": (ppo.RECIPE, with_lam(1.0)),
}


@dataclass(frozen=True)
class Task:
    """One run of PPO."""

    world: str
    variant: str
    seed: int

    @property
    def config(self) -> PPOSettings:
        """Return the settings of the run."""
        config: PPOSettings = VARIANTS[self.variant][1](ppo.RECIPE.settings[self.world])
        return config


@dataclass(frozen=True)
class Options:
    """What to run."""

    out: Path = CRITIC
    """File of results; those of other worlds, variants and seeds are kept."""
    worlds: tuple[str, ...] = NAMES
    """cartpole, language."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run of each variant for each."""
    jobs: int = 2
    """Runs at a time, each on one thread."""
    quick: bool = False
    """Three turns and few episodes: whether it runs at all."""


def tasks(options: Options) -> list[Task]:
    """Return the runs: λ is varied where its default is not, so that no settings are run twice."""
    for name in options.worlds:
        check_choice("worlds", name, NAMES)
    every = [Task(world, name, seed) for seed in options.seeds for world in options.worlds for name in VARIANTS]
    usual = {world: ppo.RECIPE.settings[world] for world in options.worlds}
    return [task for task in every if task.variant == "warm-up" or task.config != usual[task.world]]


def measure(task: Task, *, quick: bool) -> Result:
    """Return what one run reached, and what its critic knew at the start, half way up and at the end."""
    torch.set_num_threads(1)
    recipe, config = VARIANTS[task.variant][0], task.config
    config = config.adjusted(start=None, quick=True) if quick else config
    run = Run.start(recipe, load(task.world), config, seed=task.seed, device="cpu")
    episodes = 64 if quick else 1024

    def known() -> float:
        return held_out_explained_variance(run, seed=spawn(task.seed, "critic"), episodes=episodes)

    records, explained = recipe.train(run), {}
    half_way = HalfWay.of(run.world, run.evaluate(seed=spawn(task.seed, "evaluate"), quick=True))
    for _ in range(config.passes_before):
        next(records)
    explained["at first"], agreed = known(), agreement(gradients(run, seed=spawn(task.seed, "gradients")))
    for _ in records:
        results = run.quick_evaluate(seed=spawn(task.seed, "quick evaluate"))
        half_way.look(run, results)
    explained |= half_way.explained_variance(run, seed=spawn(task.seed, "critic"), episodes=episodes)
    explained["at the end"] = known()
    return asdict(task) | {
        "explained_variance": explained,
        "agreement": agreed,
        "after": run.evaluate(seed=spawn(task.seed, "evaluate"), quick=quick),
        "steps": run.steps,
        "seconds": run.seconds,
        "steps_to_solved": None if run.solved_at is None else run.solved_at[0],
    }


def gradients(run: Run, *, seed: int) -> list[Tensor]:
    """Return the policy's gradient, flat, from each of several rollouts that nothing is learned from."""
    config, device = run.config, run.device
    env = run.world.env(rows=config.rows, steps=config.steps, seed=seed, device=device)
    generator = torch.Generator(device).manual_seed(seed)
    weights = run.optimizer.param_groups[0]["params"]
    flat = []
    for _ in range(GRADIENTS):
        played = rollout(env, run.network, generator)
        batch = played_batch(run.network, run.reference, played, config.update)
        logprobs = evaluate_actions(run.network, batch).logprobs
        objective = clipped_surrogate(logprobs, batch.logprobs, batch.advantages, clip=None)
        parts = torch.autograd.grad(masked_mean(objective, batch.mask), weights)
        flat.append(torch.cat([part.flatten() for part in parts]))
    return flat


def agreement(vectors: Sequence[Tensor]) -> float:
    """Return the mean cosine of every two: 1 where all point one way, 0 where they are noise."""
    pairs = combinations(vectors, 2)
    return mean(torch.nn.functional.cosine_similarity(one, other, dim=0).item() for one, other in pairs)


def table(results: Sequence[Result], word: Callable[[str], str] = str) -> str:
    """Return the medians over seeds, and the range of the critic's share, in Markdown."""
    head = ("world", "critic", "seeds", "explained: at first", "half way up", "at the end")
    head += ("gradients agree", "return or score", "steps to the targets", "seconds")
    lines = []
    for world in NAMES:
        for variant in VARIANTS:
            group = [r for r in results if (r["world"], r["variant"]) == (world, variant)]
            if group:
                lines.append([word(world), word(variant), str(len(group)), *cells(group, load(world).headline, word)])
    return markdown_table([word(cell) for cell in head], lines, align="llrrrrrrrr")


def cells(group: Sequence[Result], headline: str, word: Callable[[str], str]) -> Iterator[str]:
    """Yield what is told of the runs of one variant."""
    for when in ("at first", "half way up", "at the end"):
        shares = [share for result in group if (share := result["explained_variance"].get(when)) is not None]
        told = (
            f"{number(median(shares))} ({number(min(shares))} {word('to')} {number(max(shares))})"
            if shares
            else word("never")
        )
        yield told
    yield f"{median(result['agreement'] for result in group):.2f}"
    yield number(median(result["after"][headline] for result in group))
    solved = [result["steps_to_solved"] for result in group if result["steps_to_solved"] is not None]
    never = [f"{len(group) - len(solved)} {word('never')}"] if len(solved) < len(group) else []
    yield ", ".join([*([number(median(solved))] if solved else []), *never])
    yield number(median(result["seconds"] for result in group))


def run(options: Options) -> None:
    """Store each result as it comes, and print the table."""
    for seed in options.seeds:
        check_count("seeds", seed, 0)
    check_count("jobs", options.jobs, 1)
    writable_folder(options.out.parent)
    todo = tasks(options)
    stored = json.loads(options.out.read_text(encoding="utf-8"))["results"] if options.out.is_file() else []
    began = time.perf_counter()
    made = {
        "command": "python -m benchmarks.critic",
        "machine": machine_info() | {"threads": 1, "runs at a time": options.jobs},
        "config": {world: asdict(ppo.RECIPE.settings[world]) for world in options.worlds},
    }
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(measure, task, quick=options.quick) for task in todo]
        for each in tqdm(as_completed(waiting), total=len(waiting), desc="runs"):
            result = result_of(each, pool)
            stored = sorted([*(old for old in stored if key(old) != key(result)), result], key=key)
            made["seconds"] = round(time.perf_counter() - began)
            options.out.write_text(json.dumps({"made": made, "results": stored}, indent=1) + "\n", encoding="utf-8")
    print(table(stored))


def result_of(job: Future[Result], pool: Executor) -> Result:
    """Return what a job gave; where it failed, raise that now, and not after all that were to follow it."""
    if job.exception() is not None:
        pool.shutdown(wait=False, cancel_futures=True)
    return job.result()


def key(result: Result) -> tuple[int, int, int]:
    """Return which run a result is of, in the order of the table."""
    return NAMES.index(result["world"]), list(VARIANTS).index(result["variant"]), result["seed"]


def main() -> None:
    """Run from the command line."""
    try:
        run(tyro.cli(Options, description=__doc__, prog=program()))
    except RLCoreError as error:
        exit_with(error)


if __name__ == "__main__":
    main()
