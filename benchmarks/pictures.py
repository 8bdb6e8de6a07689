"""The pictures and the answers that the README shows: `python -m benchmarks.pictures` trains both worlds, seed 0."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks import table
from benchmarks.table import ANSWERS, ROOT
from lessons.harness.command_line import Options
from lessons.harness.machine import configure_torch
from lessons.harness.session import run_session
from lessons.ppo import RECIPE
from lessons.worlds import NAMES, load
from lessons.worlds.seeds import spawn
from rl_core.rollout import rollout

SEED = 0
EXAMPLES = 42  # held-out questions, of which the first of each language that changed are shown
SHOWN = 3
PICTURES = ("film.gif", "curves.png")


def answers(folder: Path) -> dict[str, list[list[str]]]:
    """Return, for each language, the first questions whose answer changed: question, answer before, answer after."""
    world = load("language")
    asked = []
    for network in (world.reference(), world.network(str(folder / "language"), seed=SEED, critic=False)):
        env = world.examples(EXAMPLES, seed=SEED)
        played = rollout(env, network, torch.Generator().manual_seed(spawn(SEED, "examples")))
        asked.append(world.answers(played))
    rows: dict[str, list[list[str]]] = {"en": [], "zh": []}
    for before, after in zip(*asked, strict=True):
        of_language = rows[before.question.fact.language]
        if before.text != after.text and len(of_language) < SHOWN:
            of_language.append([before.question.text, before.text, after.text])
    return rows


def main() -> None:
    """Train, store the answers, copy the pictures, and put the answers into the pages."""
    configure_torch("cpu", 1)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        configs = {name: RECIPE.settings[name] for name in NAMES}
        run_session(RECIPE, configs, Options(seed=SEED, language="en"), folder)
        for name in PICTURES:
            shutil.copy(folder / name, ROOT / "docs" / name)
        stored = json.dumps(answers(folder), indent=1, ensure_ascii=False)
        ANSWERS.write_text(stored + "\n", encoding="utf-8")
    table.main()


if __name__ == "__main__":
    main()
