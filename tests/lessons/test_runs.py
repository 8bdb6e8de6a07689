"""A run that stops and goes on ends where an uninterrupted one ends, to the last bit, in both worlds.

Both run on one processor with one number of threads; on another the last bits of both are others.
"""

import hashlib
import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from lessons.harness.command_line import Options
from lessons.harness.folder import from_dict, save_config
from lessons.harness.run import Run
from lessons.harness.session import main, run_session
from lessons.side_by_side import RECIPES
from lessons.worlds import NAMES, load
from rl_core.checkpoint import read
from rl_core.errors import CheckpointError
from tests.support.small_runs import ITERATIONS, begun, small

PPO = RECIPES["ppo"]
each_run = pytest.mark.parametrize("world", NAMES)
each_lesson = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
FILES = {"metrics.jsonl", "summary.json", "curves.png", "film.gif", "samples.md", "answers.md", "config.json"}


def fingerprint(run):
    digest = hashlib.sha256()
    trained = run.now.scorer if run.now.recipe.trains_reward_model else run.now.network
    for name, tensor in sorted(trained.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def advance(run, iterations):
    for _, _ in zip(range(iterations), run.recipe.train(run), strict=False):
        pass
    return run


@each_run
@each_lesson
def test_stopping_after_any_iteration_changes_no_bit_of_the_end(recipe, world, tmp_path):
    complete = advance(begun(recipe, world, tmp_path / "whole"), 100)
    whole = fingerprint(complete)
    assert complete.iteration == small(recipe, world).iterations
    for stop in range(0, complete.iteration, 1 if recipe is PPO else 2):
        first = advance(begun(recipe, world, tmp_path / "parts"), stop)
        first.save(tmp_path / "run.pt")
        second = begun(recipe, world, tmp_path / "parts")
        second.load(tmp_path / "run.pt")
        assert second.iteration == stop
        assert fingerprint(advance(second, 100)) == whole


@each_run
@pytest.mark.parametrize("left_out", ["network", "env", "optimizer", "schedule", "generator"])
def test_leaving_any_part_out_of_a_checkpoint_changes_the_end(world, left_out, tmp_path):
    whole = fingerprint(advance(begun(PPO, world), ITERATIONS))
    first = advance(begun(PPO, world), 2)
    first.save(tmp_path / "run.pt")
    parts = read(tmp_path / "run.pt")["parts"]
    second = begun(PPO, world)
    second.iteration = 2
    for name, state in parts.items():
        part = getattr(second, name)
        if name != left_out:
            part.set_state(state) if isinstance(part, torch.Generator) else part.load_state_dict(state)
    assert fingerprint(advance(second, ITERATIONS)) != whole


@each_run
def test_a_checkpoint_of_another_run_is_refused_and_changes_nothing(world, tmp_path):
    advance(begun(PPO, world), 1).save(tmp_path / "run.pt")
    faster = replace(small(PPO, world), learning_rate=0.5)
    other = Run.start(PPO, load(world), faster, seed=0, device="cpu")
    before = fingerprint(other)
    for run in (other, begun(PPO, world, seed=1), begun(RECIPES["grpo"], world)):
        with pytest.raises(CheckpointError, match="resume a run like it"):
            run.load(tmp_path / "run.pt")
    assert fingerprint(other) == before


@each_lesson
def test_both_worlds_write_the_same_files_and_the_same_quantities(recipe, tmp_path, device):
    configs = {world: small(recipe, world) for world in NAMES}
    options = Options(quick=True, threads=1, out=tmp_path, device=device)
    summary = run_session(recipe, configs, options, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert FILES | {f"{world}.pt" for world in NAMES} <= names
    assert json.loads((tmp_path / "summary.json").read_text()) == json.loads(json.dumps(summary))
    truth = dict.fromkeys(NAMES, JUDGED) if recipe.trains_reward_model else {"cartpole": POLE, "language": ANSWERS}
    assert set(summary["worlds"]["cartpole"]) == set(summary["worlds"]["language"])
    for world, half in summary["worlds"].items():
        assert truth[world] <= set(half["before"]) and truth[world] <= set(half["after"])
        assert {"step", "steps", "seconds", "steps_to_solved", "seconds_to_solved"} <= set(half)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["world"] for record in records] == list(NAMES) * configs["language"].iterations  # in turn
    stages = {}
    for record in records:
        quantities = frozenset(name for name in record if not name.startswith("eval_"))
        stages.setdefault(record["stage"], set()).add(quantities)
    assert all(len(quantities) == 1 for quantities in stages.values())
    assert all(record.get("first_ratio", 1.0) == 1.0 and record.get("sampler_gap", 0) <= 1e-4 for record in records)


POLE = {"greedy_return", "sampled_return"}
ANSWERS = {"right", "refused", "polite", "rude", "eos", "score", "length", "kl", "answers"}
JUDGED = {"accuracy", "pairs"}


@each_run
@each_lesson
def test_settings_come_back_from_a_file_as_they_were(recipe, world):
    config = recipe.settings[world]
    assert from_dict(type(config), json.loads(json.dumps(asdict(config)))) == config


def start_program(folder, *options):
    command = [sys.executable, "-m", "lessons.side_by_side", "--threads", "1", "--out", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_ctrl_c_leaves_a_readable_run_that_goes_on_bit_identically(tmp_path):
    sizes = [f"--{world}.{name}" for world in NAMES for name in ("iterations", "rows", "steps")]
    values = [word for size, value in zip(sizes, ["6", "8", "16"] * 2, strict=True) for word in (size, value)]
    whole = start_program(tmp_path / "whole", *values)
    assert whole.communicate(timeout=300)[0] and whole.returncode == 0

    broken = start_program(tmp_path / "broken", *values)
    for line in broken.stdout:
        if "2/6" in line:
            broken.send_signal(signal.SIGINT)
            break
    output = broken.communicate(timeout=300)[0]
    (folder,) = (tmp_path / "broken").iterdir()
    assert "--resume" in output and json.loads((folder / "summary.json").read_text())["interrupted"]

    (folder / "metrics.jsonl").open("a").write('{"world": "cartpole", "iter')  # as a killed program leaves it
    resumed = start_program(tmp_path, "--resume", str(folder))
    output = resumed.communicate(timeout=300)[0]
    assert resumed.returncode == 0 and " 6/6" in output and " 1/6" not in output
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [r["iteration"] for r in records if r["world"] == "cartpole"] == list(range(1, 7))
    (complete,) = (tmp_path / "whole").iterdir()
    assert not json.loads((folder / "summary.json").read_text())["interrupted"]
    for world in NAMES:
        ends = [read(place / f"{world}.pt")["parts"]["network"] for place in (folder, complete)]
        assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("damage", ["checkpoint", "config", "device", "world", "algorithm"])
def test_a_damaged_run_is_not_resumed(damage, tmp_path, monkeypatch, capsys):
    save_config(tmp_path, PPO, Options(threads=1), {"cartpole": small(PPO, "cartpole")})
    begun(PPO, "cartpole").save(tmp_path / "cartpole.pt")
    config = json.loads((tmp_path / "config.json").read_text())
    if damage == "checkpoint":
        (tmp_path / "cartpole.pt").write_bytes((tmp_path / "cartpole.pt").read_bytes()[:500])
    config["algorithm"] = "grpo" if damage == "algorithm" else "ppo"
    config["options"] |= {"config": {"seed": "x"}, "device": {"device": "cuda:9"}}.get(damage, {})
    (tmp_path / "config.json").write_text(json.dumps(config))
    world = "language" if damage == "world" else "cartpole"
    monkeypatch.setattr(sys, "argv", ["ppo", "--world", world, "--resume", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        main(PPO, "")
    error = capsys.readouterr().err
    assert left.value.code == 2 and any(word in error for word in ("no whole checkpoint", "resume=", "device="))


def test_a_folder_that_cannot_be_written_is_told_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    program = start_program(Path(tmp_path) / "file", "--quick")
    output = program.communicate(timeout=120)[0]
    assert program.returncode == 2 and "out=" in output and "another folder" in output and "Traceback" not in output
