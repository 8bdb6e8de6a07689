"""The pictures and the answers that the README shows: `python -m benchmarks.pictures` trains both worlds, seed 0."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import tyro

from benchmarks import table
from benchmarks.table import ANSWERS, ROOT
from lessons.harness.command_line import Options
from lessons.harness.machine import configure_torch, program
from lessons.harness.session import run_session
from lessons.ppo import RECIPE
from lessons.worlds import NAMES, load
from lessons.worlds.seeds import spawn
from rl_core.rollout import rollout

SEED = 0
EXAMPLES = 84  # held-out questions, of which the first that was answered in each tone is shown
TONES = ("rude", "plain", "polite")
PICTURES = ("film.gif", "curves.png")


def answers(folder: Path) -> dict[str, Any]:
    """Return, for each language, the first question answered in each tone: question, answer before, answer after."""
    world = load("language")
    asked = []
    for network in (world.reference(), world.network(str(folder / "language"), seed=SEED, critic=False)):
        env = world.examples(EXAMPLES, seed=SEED)
        played = rollout(env, network, torch.Generator().manual_seed(spawn(SEED, "examples")))
        asked.append(world.answers(played))
    firsts: dict[tuple[str, str], list[str]] = {}
    for before, after in zip(*asked, strict=True):
        place = (before.question.fact.language, before.verdict.tone)
        firsts.setdefault(place, [before.question.text, before.text, after.text])
    return {language: [firsts[language, tone] for tone in TONES] for language in ("en", "zh")}


def main() -> None:
    """Train, store the answers, copy the pictures, and put the answers into the pages."""
    configure_torch("cpu", 1)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        configs = {name: RECIPE.settings[name] for name in NAMES}
        run_session(RECIPE, configs, Options(seed=SEED, language="en"), folder)
        for name in PICTURES:
            shutil.copy(folder / name, ROOT / "docs" / name)
        settings = {name: asdict(config) for name, config in configs.items()}
        stored = json.dumps(answers(folder) | {"settings": settings}, indent=1, ensure_ascii=False)
        ANSWERS.write_text(stored + "\n", encoding="utf-8")
    table.main()


if __name__ == "__main__":
    tyro.cli(main, prog=program())
