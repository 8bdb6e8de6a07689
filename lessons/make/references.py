"""The models that ship with the worlds, made again: `python -m lessons.make.references`, or with some of their names.

Each is a run of SFT as `lessons.sft` makes it, the language model's longer; made.json beside a model says how it was
made.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from tqdm import tqdm

from lessons.harness.machine import configure_torch, exit_with, machine_info, program, writable_folder
from lessons.harness.run import Run
from lessons.sft import RECIPE
from lessons.worlds import load
from lessons.worlds.seeds import spawn
from rl_core.errors import RLCoreError, check_choice

WORLDS = Path(__file__).parent.parent / "worlds"
ITERATIONS = {"language": 30}  # for twice the lesson's time it is a little more often right
FOLDERS = {"language": "language/models/sft", "cartpole": "cartpole/models/clone", "sums": "sums/models/sft"}


def make(name: str, folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Return how a world's reference was made, and what it can do; it is then in the folder."""
    writable_folder(folder)
    world = load(name)
    config = RECIPE.settings[world.settings]
    config = replace(config, iterations=ITERATIONS.get(name, config.iterations))
    run = Run.start(RECIPE, world, config, seed=seed, device="cpu")
    progress = tqdm(RECIPE.train(run), total=config.iterations, desc=f"SFT, {world.title}")
    for record in progress:
        progress.set_postfix(loss=f"{record['loss']:.3f}")
    run.export(folder)
    made = {
        "command": f"python -m lessons.make.references {name}",
        "seed": seed,
        "seconds": round(run.seconds, 1),
        "config": asdict(config),
        "machine": machine_info(),
        "loss": record["loss"],
        "results": world.evaluate(run.network, seed=spawn(seed, "evaluate"), reference=run.network),
    }
    (folder / "made.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return made


def main(names: Annotated[tuple[str, ...], tyro.conf.Positional] = tuple(FOLDERS), out: Path = WORLDS) -> None:
    """Make the references of the named worlds.

    Args:
        names: language, cartpole, sums; none named: all.
        out: Folder whose worlds' models are written.
    """
    try:
        configure_torch("cpu", 1)
        for name in names:
            check_choice("names", name, FOLDERS)
            print(json.dumps(make(name, out / FOLDERS[name]), indent=2))
    except RLCoreError as error:
        exit_with(error)


if __name__ == "__main__":
    tyro.cli(main, prog=program())
