"""A real chat model, aligned on this machine: `python -m lessons.real --model smollm2`.

Three stages, each from the original model and each with the core's own functions: SFT on one identity ("Who made you?",
some steps, "Who made you?" again), then GRPO, then DPO towards one polite sentence of at most twenty words, with a
program as judge.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import nn
from tqdm import tqdm

from lessons.options import TRUTH_SEED, machine, plainly, use_machine, writable
from lessons.real_recipe import Recipe
from lessons.real_report import Stage, tell
from lessons.worlds.real import Real
from lessons.worlds.real.identity import Talk, shown, talk
from lessons.worlds.real.play import Answer, interview, summary
from lessons.worlds.real.prompts import questions
from rl_core.algorithms.dpo import anchored, dpo
from rl_core.algorithms.grpo import grpo
from rl_core.algorithms.sft import sft
from rl_core.errors import InvalidArgument, RLCoreError
from rl_core.rollout import rollout


@dataclass(frozen=True)
class Options:
    """Which model, where, and how."""

    model: str = "smollm2"
    """smollm2 (needs no model hub), a local folder, a .gguf file, or an id such as Qwen/Qwen2-0.5B-Instruct."""
    seed: int = 0
    """Of every generator in the run."""
    device: str = "cpu"
    """Where tensors live: cpu, cuda."""
    dtype: str = "float32"
    """Of the frozen weights: float32, bfloat16."""
    lora: int = 8
    """Rank of the adapters that learn; 0: all weights learn."""
    threads: int = 2
    """CPU threads of torch."""
    out: Path = Path("runs/real")
    """Folder for samples.md and summary.json."""
    quick: bool = False
    """A smoke run: a few steps, a few answers."""
    recipe: Recipe = field(default_factory=Recipe)


def run(options: Options) -> dict[str, Any]:
    """Return the summary of the three stages; files are in the folder by then."""
    use_machine(options.device, options.threads)
    folder, began = writable(options.out), time.perf_counter()
    world = Real(options.model, dtype=options.dtype, lora=options.lora)
    recipe = (options.recipe.quick() if options.quick else options.recipe).for_dtype(options.dtype)
    world.opened(options.device)
    opening = time.perf_counter() - began
    talked = timed("SFT", lambda: learn_identity(world, recipe, options))
    before = timed("original", lambda: asked(world, world.reference(options.device), options))
    stages = {"original": before}
    for name, learn in (("GRPO", learn_by_grpo), ("DPO", learn_by_dpo)):
        stages[name] = timed(name, lambda learn=learn: asked(world, learn(world, recipe, options), options))
    facts = {
        "model": options.model,
        "seed": options.seed,
        "device": options.device,
        "dtype": options.dtype,
        "lora": options.lora,
        "recipe": asdict(recipe),
        "seconds_opening": round(opening, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "machine": machine(),
    }
    return tell(world, talked, stages, facts, folder)


def timed(name: str, work: Callable[[], Any]) -> Stage:
    """Return what the work gave, with the seconds that it took."""
    began = time.perf_counter()
    found = work()
    return Stage(name, found, round(time.perf_counter() - began, 1))


def policy(world: Real, rate: float, options: Options) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return the original model as a network that can learn, beside its optimizer."""
    network = world.network("reference", seed=options.seed, device=options.device, critic=False)
    learnt = [weight for weight in network.parameters() if weight.requires_grad]
    return network, torch.optim.Adam(learnt, lr=rate, fused=True)


def falling(optimizer: torch.optim.Optimizer, turns: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Return a learning rate that falls linearly, to a tenth at the last turn."""
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, max(1, turns - 1))


def learn_identity(world: Real, recipe: Recipe, options: Options) -> Talk:
    """Return what the model said before and after SFT on one identity."""
    network, optimizer = policy(world, recipe.sft_rate, options)
    chats = shown(world, seed=options.seed, device=options.device)
    generator = torch.Generator(options.device).manual_seed(options.seed)

    def learn() -> None:
        progress = tqdm(range(recipe.sft_steps), desc="SFT")
        for _ in progress:
            metrics = sft(network, optimizer, chats, recipe.sft, generator)
            progress.set_postfix(loss=f"{metrics['loss']:.3f}")

    return talk(world, network, learn, seed=options.seed, device=options.device, quick=options.quick)


def learn_by_grpo(world: Real, recipe: Recipe, options: Options) -> nn.Module:
    """Return the network after GRPO on the judge's scores."""
    network, optimizer = policy(world, recipe.grpo_rate, options)
    reference, schedule = world.reference(options.device), falling(optimizer, recipe.grpo_turns)
    generator = torch.Generator(options.device).manual_seed(options.seed)
    env = world.env(
        rows=recipe.grpo_rows,
        steps=recipe.steps,
        seed=options.seed,
        device=options.device,
        group_size=recipe.grpo.group_size,
    )
    progress = tqdm(range(recipe.grpo_turns), desc="GRPO")
    for _ in progress:
        played = rollout(env, network, generator)
        metrics = grpo(network, reference, optimizer, played, recipe.grpo, generator)
        schedule.step()
        finished = env.finished()
        score = sum(value for value, _ in finished) / len(finished)
        progress.set_postfix(score=f"{score:+.2f}", kl=f"{metrics['kl']:.3f}", gap=f"{metrics['sampler_gap']:.0e}")
    return network


def learn_by_dpo(world: Real, recipe: Recipe, options: Options) -> nn.Module:
    """Return the network after DPO on pairs of its own answers, as the judge prefers."""
    network, optimizer = policy(world, recipe.dpo_rate, options)
    turns = recipe.dpo_rounds * recipe.dpo_passes
    reference, schedule = world.reference(options.device), falling(optimizer, turns)
    generator = torch.Generator(options.device).manual_seed(options.seed)
    with tqdm(total=turns, desc="DPO") as progress:
        for number in range(recipe.dpo_rounds):
            seed = 1000 * options.seed + number
            pairs = world.preferences(network, recipe.dpo_questions, seed=seed, device=options.device)["answers"]
            if not len(pairs):
                raise InvalidArgument(f"dpo_questions={recipe.dpo_questions} gave ties only; ask more.")
            known = anchored(reference, pairs, rows=recipe.dpo.micro_rows or recipe.dpo.minibatch_rows)
            for _ in range(recipe.dpo_passes):
                metrics = dpo(network, reference, optimizer, known, recipe.dpo, generator)
                schedule.step()
                progress.update()
                progress.set_postfix(
                    pairs=len(pairs), loss=f"{metrics['loss']:.3f}", right=f"{metrics['accuracy']:.2f}"
                )
    return network


def asked(world: Real, network: nn.Module, options: Options) -> tuple[Sequence[Answer], dict[str, float]]:
    """Return one sampled answer to each held-out question, beside the truth about them all."""
    held_out = list(questions(held_out=True))[: 16 if options.quick else None]
    reference = world.reference(options.device)
    judge = world.judge(held_out, options.device)
    seed = TRUTH_SEED + options.seed
    found, means = interview(network, reference, judge, seed=seed, device=options.device)
    return found, summary(found) | means


def main() -> None:
    """Run from the command line."""
    try:
        run(tyro.cli(Options, description=__doc__))
    except RLCoreError as error:
        plainly(error)


if __name__ == "__main__":
    main()
