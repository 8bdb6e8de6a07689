"""What is installed is whole: types that a checker reads, and the models that the worlds ship."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("rl_core", "lessons", "notebooks")
FILES = ("pyproject.toml", "README.md", "LICENSE")


@pytest.mark.slow
def test_a_wheel_has_every_module_the_mark_of_types_and_the_models(tmp_path):
    source = tmp_path / "source"  # a build leaves folders behind
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", str(source), "-w", str(tmp_path)]
    built = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(ZipFile(wheel).namelist())
    modules = {
        str(path.relative_to(source)) for room in ("rl_core", "lessons") for path in (source / room).rglob("*.py")
    }
    models = {str(path.relative_to(source)) for path in (source / "lessons").glob("worlds/*/models/*/*")}
    assert "rl_core/py.typed" in held and models and modules <= held and models <= held
