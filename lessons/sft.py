"""SFT in one world: `python -m lessons.sft --world cartpole`, or language; behaviour cloning and a chat model.

The policies that ship with the worlds were made so, by `make models`.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from lessons.options import TRUTH_SEED, machine, plainly, use_machine, worlds_run, writable
from lessons.settings import SFT, SFTRun
from lessons.worlds import load
from rl_core.algorithms.sft import sft
from rl_core.errors import RLCoreError


@dataclass(frozen=True)
class Options:
    """How to run."""

    out: Path
    """Folder for the policy, and for made.json, which says how it was made and what it can do."""
    seed: int = 0
    """Of every generator in the run."""
    device: str = "cpu"
    """Where tensors live."""
    threads: int = 1
    """CPU threads of torch."""


def run(name: str, config: SFTRun, options: Options) -> dict[str, Any]:
    """Return how the policy in the folder was made and what it can do."""
    use_machine(options.device, options.threads)
    writable(options.out)
    world, began = load(name), time.perf_counter()
    network = world.network("base", seed=options.seed, device=options.device, critic=False)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.passes + 1, pct_start=0.1, cycle_momentum=False
    )
    generator = torch.Generator(options.device).manual_seed(options.seed)

    progress = tqdm(range(config.passes), desc=f"SFT, {world.title}")
    for number in progress:
        shown = world.demonstrations(config.demonstrations, seed=options.seed * 1000 + number).to(options.device)
        metrics = sft(network, optimizer, shown, config.update, generator)
        schedule.step()
        progress.set_postfix(loss=f"{metrics['loss']:.3f}")

    seconds = time.perf_counter() - began
    world.save(network, options.out)
    gold = world.gold(network, seed=TRUTH_SEED + options.seed, device=options.device)
    made = {
        "command": f"python -m lessons.sft --world {name} --out {options.out} --seed {options.seed}",
        "seed": options.seed,
        "seconds": round(seconds, 1),
        "config": asdict(config),
        "machine": machine(),
        "loss": metrics["loss"],
        "gold": gold,
    }
    (options.out / "made.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return made


def main() -> None:
    """Run from the command line."""
    try:
        options, configs = worlds_run(Options, SFT, None, description=__doc__ or "")
        for name, config in configs.items():
            print(json.dumps(run(name, config, options), indent=2))
    except RLCoreError as error:
        plainly(error)


if __name__ == "__main__":
    main()
