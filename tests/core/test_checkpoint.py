"""Checkpoints that survive a kill, a full disk and a stranger's file, and never load by halves."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from rl_core.adapters.gym import CartPoleRows, GymEnv, MLPNetwork
from rl_core.checkpoint import load, read, save
from rl_core.errors import CheckpointError, InvalidType, RLCoreError
from tests.support.worlds import seeded, token_env

ABOUT = {"algorithm": "ppo", "config": {"clip": 0.2}, "iteration": 7}
SAVER = """
import sys, torch
from rl_core.checkpoint import save
layer = torch.nn.Linear(300, 300)
print("ready", flush=True)
for number in range(10**9):
    torch.nn.init.constant_(layer.weight, float(number))
    save(sys.argv[1], {"network": layer}, {"number": number})
"""


def parts_of(seed=0, hidden=8):
    """Return a network, its optimizer after a step, an environment under way, and a generator."""
    env = GymEnv(CartPoleRows(3), 3, window=5, seed=seed)
    network = MLPNetwork.for_env(env, hidden=hidden, generator=seeded(seed))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01 + seed)
    prompt, _ = env.reset()
    output = network(prompt, env.step(torch.tensor([0, 1, seed % 2])).obs.unsqueeze(1))
    (output.logits.sum() + output.values.sum()).backward()
    optimizer.step()
    return {"network": network, "optimizer": optimizer, "env": env, "generator": seeded(seed)}


def flat(state):
    """Return all that a state holds, as text."""
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [flat(value) for value in state]
    return state.tolist() if isinstance(state, torch.Tensor) else state


def states(parts):
    """Return what decides the parts' future, comparable with ==."""
    return {n: flat(p.get_state() if isinstance(p, torch.Generator) else p.state_dict()) for n, p in parts.items()}


@pytest.mark.parametrize("run", range(3))
def test_a_kill_at_any_time_leaves_a_whole_checkpoint(run, tmp_path):
    path = tmp_path / "run.pt"
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE, cwd=root)
    process.stdout.readline()
    while not path.exists():
        time.sleep(0.001)
    time.sleep(random.Random(run).uniform(0.01, 0.15))
    process.send_signal(signal.SIGKILL)
    process.wait()
    content = read(path)
    assert content["parts"]["network"]["weight"].unique().tolist() == [float(content["about"]["number"])]
    (tmp_path / ".run.pt.0123abcd.partial").touch()  # as a kill in the middle of saving leaves it
    (tmp_path / ".other.pt.0123abcd.partial").touch()  # somebody else's
    save(path, {"generator": seeded(0)}, {})
    assert sorted(os.listdir(tmp_path)) == [".other.pt.0123abcd.partial", "run.pt"]


def interrupting(*_, **__):
    raise KeyboardInterrupt


def test_an_interrupt_while_saving_leaves_nothing_behind(monkeypatch, tmp_path):
    save(tmp_path / "run", parts_of(0), ABOUT)
    monkeypatch.setattr(os, "fsync", interrupting)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "run", parts_of(1), ABOUT | {"iteration": 8})
    assert os.listdir(tmp_path) == ["run"] and read(tmp_path / "run")["about"] == ABOUT


def test_everything_comes_back(tmp_path):
    old, new = parts_of(0), parts_of(1)
    assert states(old) != states(new)
    save(tmp_path / "run", old, ABOUT)
    assert load(tmp_path / "run", new, {"algorithm": "ppo", "config": {"clip": 0.2}}) == ABOUT
    assert states(old) == states(new)
    assert os.listdir(tmp_path) == ["run"]  # nothing temporary is left


def test_loading_runs_no_code_from_the_file(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "exploded").touch, ())

    torch.save({"about": {}, "parts": {"network": Bomb()}}, tmp_path / "bomb")
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        read(tmp_path / "bomb")
    assert not (tmp_path / "exploded").exists()


@dataclass
class Config:
    """A config that is no plain data."""

    clip: float = 0.2


@pytest.mark.parametrize("about", [{"config": Config()}, {"config": [1, {"clip": Path("x")}]}, {"config": print}])
def test_what_could_not_be_read_again_is_not_written(about, tmp_path):
    save(tmp_path / "run", parts_of(), ABOUT)
    with pytest.raises(InvalidType, match=r"config.*pass tensors, numbers"):
        save(tmp_path / "run", parts_of(), about)
    assert read(tmp_path / "run")["about"] == ABOUT and os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_and_changes_nothing(share, tmp_path):
    path, parts = tmp_path / "run", parts_of(1)
    save(path, parts_of(0), ABOUT)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    before = states(parts)
    with pytest.raises(CheckpointError, match=r"path=.*run"):
        load(path, parts, ABOUT)
    assert states(parts) == before


def other_network(parts):
    return parts | {"network": parts_of(1, hidden=9)["network"]}


MISFITS = [
    (lambda parts: parts, {"algorithm": "grpo"}, "algorithm='ppo'.*'grpo'"),
    (lambda parts: parts, {"config": {"clip": 0.3}}, r"config=.*0\.2.*0\.3"),
    (lambda parts: parts, {"world": "pole"}, "world=None.*'pole'"),
    (other_network, {}, "(?s)fit.*nothing was loaded"),
    (lambda parts: parts | {"env": GymEnv(CartPoleRows(4), 4, window=5)}, {}, "(?s)fit.*nothing was loaded"),
    (lambda parts: parts | {"env": GymEnv("CartPole-v1", 3)}, {}, "(?s)fit.*nothing was loaded"),
    (lambda parts: parts | {"env": token_env(3)}, {}, "(?s)fit.*nothing was loaded"),
    (lambda parts: {n: p for n, p in parts.items() if n != "optimizer"}, {}, "optimizer.*resume"),
    (lambda parts: parts | {"schedule": seeded(0)}, {}, "schedule.*resume"),
    (lambda parts: parts | {"optimizer": torch.optim.Adam(parts["network"].policy.parameters())}, {}, "fit"),
    (lambda parts: parts | {"generator": parts["env"], "env": parts["generator"]}, {}, "(?s)fit.*nothing was loaded"),
]


@pytest.mark.parametrize("swap, about, words", MISFITS)
def test_what_does_not_fit_is_refused_and_nothing_is_loaded(swap, about, words, tmp_path):
    save(tmp_path / "run", parts_of(0), ABOUT)
    parts = swap(parts_of(1))
    before = states(parts)
    with pytest.raises(CheckpointError, match=words) as caught:
        load(tmp_path / "run", parts, ABOUT | about)
    assert isinstance(caught.value, OSError) and isinstance(caught.value, RLCoreError)
    assert states(parts) == before


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


def refusing_writer(*_, **__):
    raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")


@pytest.mark.parametrize("place, name, refuse", [
    (os, "fsync", full_disk), (torch, "save", full_disk), (torch, "save", refusing_writer), (os, "replace", full_disk)
])  # fmt: skip
def test_a_full_disk_leaves_the_old_checkpoint(place, name, refuse, monkeypatch, tmp_path):
    save(tmp_path / "run", parts_of(0), ABOUT)
    with monkeypatch.context() as patch:
        patch.setattr(place, name, refuse)
        with pytest.raises(CheckpointError, match=r"cannot be written.*free the disk"):
            save(tmp_path / "run", parts_of(1), ABOUT | {"iteration": 8})
    new = parts_of(2)
    assert load(tmp_path / "run", new, {}) == ABOUT and states(new) == states(parts_of(0))
    assert os.listdir(tmp_path) == ["run"]


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    for path in (tmp_path / "absent" / "run", Path("/proc/run")):
        with pytest.raises(CheckpointError, match=f"path={path}.*choose another"):
            save(path, parts_of(), ABOUT)


@pytest.mark.parametrize("content", [{"weight": torch.zeros(2)}, [1, 2], torch.zeros(3)])
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"something else.*pass one"):
        read(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"does not exist.*pass"):
        read(tmp_path / "absent")
