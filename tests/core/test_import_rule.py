"""Who may know whom: the rooms of the house, read from the sources."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "rl_core").rglob("*.py"))
ADAPTERS = sorted((ROOT / "rl_core" / "adapters").rglob("*.py"))
INNER = [path for path in CORE if path not in ADAPTERS]
MATHS = [*sorted((ROOT / "rl_core" / "losses").glob("*.py")), ROOT / "rl_core" / "advantages.py"]
RECIPES = sorted((ROOT / "lessons").rglob("*.py"))
WORLDS = sorted((ROOT / "lessons" / "worlds").rglob("*.py"))


def named(path):
    return str(path.relative_to(ROOT))


def imports(source):
    """Return (module, name or None) of every import in a source, wherever it stands."""
    imported = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full"
            imported += [(node.module, alias.name) for alias in node.names]
    return imported


def inside(module, *packages):
    """Return whether a module is one of the packages or lies within one."""
    return any(module == package or module.startswith(package + ".") for package in packages)


def whole(module, name):
    """Return what an import names: `from rl_core import adapters` names rl_core.adapters."""
    return module if name is None else f"{module}.{name}"


def foreign_to_the_core(source):
    """Return the imports that a core file may not have."""
    known = {*sys.stdlib_module_names, "torch", "rl_core"}
    return [
        (module, name)
        for module, name in imports(source)
        if module.split(".")[0] not in known or inside(whole(module, name), "rl_core.adapters")
    ]


def foreign_to_the_maths(source):
    """Return the imports that a loss may not have."""
    known = ("torch", "rl_core.masked", "rl_core.errors", "rl_core.types", "rl_core.losses")
    standard = sys.stdlib_module_names
    return [m for m, _ in imports(source) if not inside(m, *known) and m.split(".")[0] not in standard]


def foreign_to_the_worlds(source):
    """Return the losses and algorithms that a world imports; their configs are no algorithms."""
    return [
        (module, name)
        for module, name in imports(source)
        if inside(whole(module, name), "rl_core.losses", "rl_core.algorithms")
        and not (inside(module, "rl_core.algorithms") and str(name).endswith("Config"))
    ]


def questions_about_the_world(source):
    """Return the lines that compare something with the name of a world."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        test = node.test if isinstance(node, ast.If | ast.IfExp | ast.While) else node
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Compare | ast.match_case):
            test = node.pattern if isinstance(node, ast.match_case) else test
            lines += [
                part.lineno
                for part in ast.walk(test)
                if isinstance(part, ast.Constant) and part.value in ("cartpole", "language")
            ]
    return lines


def test_there_is_something_to_hold_to_the_rule():
    assert len(MATHS) >= 4 and len(ADAPTERS) >= 5 and len(INNER) >= 12 and len(WORLDS) >= 2


@pytest.mark.parametrize("path", INNER, ids=named)
def test_the_core_knows_torch_and_the_standard_library_alone(path):
    assert foreign_to_the_core(path.read_text()) == []


@pytest.mark.parametrize("path", MATHS, ids=named)
def test_losses_and_advantages_know_tensors_alone(path):
    assert foreign_to_the_maths(path.read_text()) == []


@pytest.mark.parametrize("path", ADAPTERS, ids=named)
def test_adapters_do_not_know_each_other(path):
    other = "language" if path.parent.name == "gym" else "gym"
    modules = {whole(module, name) for module, name in imports(path.read_text())}
    assert not any(inside(module, "rl_core.adapters") and module.split(".")[2].startswith(other) for module in modules)
    libraries = ("transformers", "tokenizers") if other == "language" else ("gymnasium",)
    assert not any(inside(module, *libraries) for module in modules)


@pytest.mark.parametrize("path", [path for path in RECIPES if path not in WORLDS], ids=named)
def test_no_lesson_asks_which_world_it_is_in(path):
    assert questions_about_the_world(path.read_text()) == []


@pytest.mark.parametrize("path", WORLDS, ids=named)
def test_no_world_knows_a_loss_or_an_algorithm(path):
    assert foreign_to_the_worlds(path.read_text()) == []


@pytest.mark.parametrize("check, source", [
    (foreign_to_the_core, "def f():\n    import gymnasium"),
    (foreign_to_the_core, "from rl_core import adapters"),
    (foreign_to_the_core, "from rl_core.adapters.gym import GymEnv"),
    (foreign_to_the_core, "import numpy as np"),
    (foreign_to_the_maths, "from rl_core.evaluate import evaluate"),
    (foreign_to_the_maths, "from rl_core.interfaces import Network"),
    (foreign_to_the_worlds, "from rl_core.losses.sft import sft_loss"),
    (foreign_to_the_worlds, "from rl_core.algorithms.ppo import PPOConfig, ppo"),
    (foreign_to_the_worlds, "from rl_core.algorithms import ppo"),
    (questions_about_the_world, "if world.name == 'cartpole':\n    pass"),
    (questions_about_the_world, "x = 1 if name in ('language', 'text') else 2"),
    (questions_about_the_world, "match name:\n    case 'language':\n        pass"),
])  # fmt: skip
def test_each_rule_catches_who_breaks_it(check, source):
    assert check(source)


@pytest.mark.parametrize("check, source", [
    (foreign_to_the_core, "import math, torch\nfrom rl_core.types import Batch"),
    (foreign_to_the_maths, "import torch\nfrom rl_core.losses.kl import kl_k1"),
    (foreign_to_the_worlds, "from rl_core.algorithms.ppo import PPOConfig\nfrom rl_core.adapters.gym import GymEnv"),
    (questions_about_the_world, "WORLDS = {'cartpole': 1, 'language': 2}\nif WORLDS:\n    print('cartpole')"),
])  # fmt: skip
def test_no_rule_catches_who_keeps_it(check, source):
    assert not check(source)
