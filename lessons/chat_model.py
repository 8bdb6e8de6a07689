"""A real chat model, aligned on this machine: `python -m lessons.chat_model --model smollm2`.

Three lessons, each from the original model, each by its own module's loop: SFT on one identity ("Who made you?", some
steps, "Who made you?" again), then GRPO, then DPO towards one polite sentence of at most twenty words, with a program
as judge.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import tyro
from tqdm import tqdm

from lessons import dpo, grpo, sft
from lessons.harness.machine import (
    configure_torch,
    exit_with,
    machine_info,
    program,
    writable_folder,
    write_utf8,
)
from lessons.harness.play_settings import GRPOSettings
from lessons.harness.recipe import Recipe
from lessons.harness.report.chat_model import Stage, tell
from lessons.harness.run import Run
from lessons.harness.settings import DPOSettings, Settings, SFTSettings
from lessons.worlds.chat_model.demonstrations import Talk, talk
from lessons.worlds.chat_model.questions import questions
from lessons.worlds.chat_model.world import ChatModel
from lessons.worlds.language.reward import Answer
from lessons.worlds.learners import Policy
from lessons.worlds.seeds import spawn
from rl_core.errors import RLCoreError, check_seed

SHOWN = ("loss", "accuracy", "return", "kl", "sampler_gap")  # of a record, beside the progress bar


@dataclass(frozen=True)
class Options:
    """Which model, where, and how."""

    model: str = "smollm2"
    """smollm2 (needs no model hub), a local folder, a .gguf file, or an id such as Qwen/Qwen2-0.5B-Instruct."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, cuda:1."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the frozen weights."""
    lora: int = 8
    """Rank of the LoRA adapters that are trained. 0: all weights are trained."""
    threads: int = 2
    """CPU threads of torch."""
    out: Path = Path("runs/chat_model")
    """Folder for samples.md and summary.json."""
    quick: bool = False
    """A smoke run: three iterations of each algorithm on little data, and small evaluations."""
    sft: SFTSettings = sft.SETTINGS["chat_model"]
    grpo: GRPOSettings = grpo.SETTINGS["chat_model"]
    dpo: DPOSettings = dpo.SETTINGS["chat_model"]


def run(options: Options) -> dict[str, Any]:
    """Return the summary of the three stages; files are in the folder by then."""
    check_seed("seed", options.seed)
    configure_torch(options.device, options.threads)
    began = time.perf_counter()
    world = ChatModel(options.model, dtype=options.dtype, lora=options.lora)
    world.opened(options.device)
    opening = time.perf_counter() - began
    folder = writable_folder(options.out)
    talked = timed("SFT", lambda: learn_identity(world, options))
    stages = {"original": timed("original", lambda: asked(world, world.reference(options.device), options))}
    for name, recipe, config in (("GRPO", grpo.RECIPE, options.grpo), ("DPO", dpo.RECIPE, options.dpo)):
        stages[name] = timed(name, partial(learn_manners, world, recipe, config, options))
    facts = {
        "model": options.model,
        "seed": options.seed,
        "device": options.device,
        "dtype": options.dtype,
        "lora": options.lora,
        "settings": {name: asdict(getattr(options, name)) for name in ("sft", "grpo", "dpo")},
        "seconds_opening": round(opening, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "machine": machine_info(),
    }
    return tell(world, talked, stages, facts, folder)


def timed(name: str, work: Callable[[], Any]) -> Stage:
    """Return what the work gave, and the seconds that it took."""
    began = time.perf_counter()
    result = work()
    return Stage(name, result, round(time.perf_counter() - began, 1))


def new_run(recipe: Recipe, world: ChatModel, config: Settings, options: Options) -> Run:
    """Return a lesson's run from the original model, before its first turn."""
    config = config.adjusted(start=None, quick=options.quick, dtype=options.dtype)
    return Run.start(recipe, world, config, seed=options.seed, device=options.device)


def trained(run: Run) -> Policy:
    """Return the network at the end of its run."""
    with tqdm(run.recipe.train(run), total=run.config.iterations, desc=run.recipe.name) as progress:
        for record in progress:
            progress.set_postfix({name: f"{record[name]:.2g}" for name in SHOWN if record.get(name) is not None})
    return run.network


def learn_identity(world: ChatModel, options: Options) -> Talk:
    """Return what the model said before and after SFT on one identity."""
    run = new_run(sft.RECIPE, world, options.sft, options)
    return talk(world, run.network, lambda: trained(run), seed=options.seed, device=options.device, quick=options.quick)


def learn_manners(
    world: ChatModel, recipe: Recipe, config: Settings, options: Options
) -> tuple[Sequence[Answer], dict[str, float]]:
    """Return what the model says after a lesson's run, as `asked` does."""
    return asked(world, trained(new_run(recipe, world, config, options)), options)


def asked(world: ChatModel, network: Policy, options: Options) -> tuple[Sequence[Answer], dict[str, float]]:
    """Return one sampled answer to each held-out question, and what is measured of them all."""
    held_out = list(questions(held_out=True))[: 16 if options.quick else None]
    return world.interview(
        network,
        held_out,
        reference=world.reference(options.device),
        seed=spawn(options.seed, "evaluate"),
        device=options.device,
    )


def main() -> None:
    """Run from the command line."""
    try:
        write_utf8()
        run(tyro.cli(Options, description=__doc__, prog=program()))
    except KeyboardInterrupt:
        sys.exit("\nInterrupted: nothing was written.")
    except RLCoreError as error:
        exit_with(error)


if __name__ == "__main__":
    main()
