"""Folders, resuming and quick runs: what a session keeps apart, pairs by name, and cuts down."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError

from lessons.harness import session
from lessons.harness.command_line import Options
from lessons.harness.evaluation import judged
from lessons.harness.folder import load_config, read_records, save_config
from lessons.harness.machine import configure_torch, new_folder
from lessons.harness.report import curves
from lessons.harness.report.screen import Screen
from lessons.harness.report.snapshot import take_snapshot
from lessons.side_by_side import RECIPES
from lessons.worlds import NAMES, Target, all_reached, load
from lessons.worlds.chat_model.world import ChatModel
from rl_core import checkpoint
from rl_core.errors import InvalidArgument
from tests.support.small_runs import begun, small

PPO = RECIPES["ppo"]


def test_runs_that_begin_at_once_never_share_a_folder(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: new_folder(tmp_path, "ppo", ["cartpole"]), range(64)))
    assert len(set(folders)) == 64 and all("ppo-cartpole" in folder.name for folder in folders)


@pytest.mark.parametrize("device", ["xpu", "mps", "nothing", "cuda:99"])
def test_a_device_that_is_not_there_is_told_in_a_line(device):
    with pytest.raises(InvalidArgument, match="device=") as error:
        configure_torch(device, 1)
    assert len(str(error.value)) < 250 and "\n" not in str(error.value)


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("place, error, is_kept", [
    ("append_record", FULL, True),
    ("report", FULL, True),
    ("save", SafetensorError("I/O error: No space left on device (os error 28)"), True),
    ("save_config", FULL, False),
])  # fmt: skip
def test_a_full_disk_is_told_with_what_can_be_gone_on_with(place, error, is_kept, monkeypatch, capsys, tmp_path):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(session, place, fail)
    monkeypatch.setattr(sys, "argv", ["ppo", "--world", "cartpole", "--quick", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        session.main(replace(PPO, settings={"cartpole": small(PPO, "cartpole")}), "")
    told, folders = capsys.readouterr().err, list(tmp_path.iterdir())
    assert caught.value.code == 2 and f"InvalidState: out='{tmp_path}" in told and "cannot be written" in told
    assert "No space left on device" in told and ("--resume" in told) == is_kept
    assert [(folder / "cartpole.pt").is_file() for folder in folders] == [True] * is_kept  # or no folder is left


def test_a_pipe_that_nobody_reads_is_no_full_disk(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(session, "run_session", fail)
    monkeypatch.setattr(sys, "argv", ["ppo", "--world", "cartpole", "--out", str(tmp_path)])
    with pytest.raises(BrokenPipeError):
        session.main(PPO, "")


def test_curves_pair_each_world_with_its_own_records_in_any_order(tmp_path, monkeypatch):
    runs = [begun(PPO, name) for name in NAMES]
    looks = [(run, *[take_snapshot(run, seed=0, quick=True)] * 2) for run in runs]
    records = [{"world": name, "steps": 1, "return": value} for name, value in (("language", 1.0), ("cartpole", 500.0))]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))  # the language world comes first
    drawn = []
    monkeypatch.setattr(curves, "headline", lambda axes, look, rows, colour: drawn.append((look[0].world.name, rows)))
    curves.draw_curves(looks, read_records(path), {"algorithm": "ppo", "seed": 0}, tmp_path / "curves.png")
    assert [(name, rows[0]["return"]) for name, rows in drawn] == [("cartpole", 500.0), ("language", 1.0)]


def test_the_line_of_a_result_ends_where_the_policy_stands():
    run = begun(PPO, "cartpole")
    run.steps = 100
    before, after = (take_snapshot(run, seed=0, quick=True) for _ in range(2))
    rows = [{"steps": 50, "return": 20.0, "eval_sampled_return": 264.0}]
    steps, values = curves.results(
        (run, before, replace(after, results={"sampled_return": 500.0})), rows, "sampled_return"
    )
    assert steps == [0, 50, 100] and values[1:] == [264.0, 500.0]


def test_a_world_that_is_over_early_is_saved_when_it_ends(tmp_path, monkeypatch):
    short, long = begun(RECIPES["sft"], "cartpole"), begun(RECIPES["sft"], "language")
    short.config = replace(short.config, iterations=1)
    saved = []
    monkeypatch.setattr(session, "save", lambda run, folder: saved.append((run.world.name, long.iteration)))
    session.train_in_turn([short, long], Options(), tmp_path, Screen())
    assert saved == [("cartpole", 1), ("language", long.config.iterations)]


def test_a_run_begun_on_another_device_goes_on_here(tmp_path):
    first = begun(PPO, "cartpole")
    next(iter(PPO.train(first)))
    first.save(tmp_path / "run.pt")
    content = checkpoint.read(tmp_path / "run.pt")
    content["about"]["device"] = "cuda:1"
    content["parts"]["generator"] = torch.zeros(16, dtype=torch.uint8)  # as a CUDA generator's state is
    torch.save(content, tmp_path / "run.pt")
    second = begun(PPO, "cartpole")
    second.load(tmp_path / "run.pt")
    assert second.iteration == 1
    for name, weight in first.network.state_dict().items():
        assert torch.equal(weight, second.network.state_dict()[name])
    assert len(list(PPO.train(second))) == second.config.iterations - 1


def test_a_run_that_goes_on_takes_the_device_that_is_given_and_says_what_it_ignores(tmp_path, capsys):
    save_config(tmp_path, PPO, Options(device="cuda:1", seed=7), {"cartpole": small(PPO, "cartpole")})
    words = ["--resume", str(tmp_path), "--device", "cpu", "--quick", "--seed=3"]
    given = Options(device="cpu", quick=True, seed=3, language="en")
    options, configs = session.go_on(tmp_path, PPO, given, {"cartpole"}, words)
    assert (options.device, options.seed, options.quick) == ("cpu", 7, False) and set(configs) == {"cartpole"}
    assert "ignored: --quick --seed" in capsys.readouterr().out
    assert load_config(tmp_path, PPO)[0].device == "cuda:1"


@pytest.mark.parametrize("name", RECIPES)
def test_quick_is_quick_with_any_model(name):
    config = RECIPES[name].settings["chat_model"].adjusted(start=None, quick=True)
    steps = [config.sft, config.reward_model, config.ppo] if name == "rlhf" else [config]
    for step in steps:
        assert step.iterations <= 3
        sizes = {
            size: getattr(step, size) for size in ("rows", "starts", "passes", "demonstrations") if hasattr(step, size)
        }
        assert sizes.get("rows", 0) <= 16 and sizes.get("starts", 0) <= 32 and sizes.get("passes", 1) == 1
        assert (
            sizes.get("demonstrations", 0) <= 64
            and sizes.get("rows", 8) % (getattr(step, "group_size", None) or 1) == 0
        )


def test_an_evaluation_without_pairs_does_not_stop_a_run(tmp_path, monkeypatch):
    config = replace(small(RECIPES["reward_model"], "cartpole"), iterations=1)
    monkeypatch.setattr("lessons.harness.evaluation.judged", lambda scorer, kinds: judged(scorer, {}))
    summary = session.run_session(RECIPES["reward_model"], {"cartpole": config}, Options(quick=True), tmp_path)
    assert summary["worlds"]["cartpole"]["after"] == {"pairs": 0.0}


def test_an_untaught_critic_says_nothing_about_advantages():
    run = begun(PPO, "cartpole")
    batch = take_snapshot(run, seed=0, quick=True).batch
    advantages = (batch.returns - batch.values)[batch.mask]
    assert advantages.min() < 0 < advantages.max()  # against the mean of these rows, and no bare return


def test_fewer_passes_cost_nothing_and_more_cost_what_they_must():
    world = ChatModel("nowhere")
    assert world.bounds({"passed": 1.0, "answers": 32.0}, {"passed": 31 / 32}) == {"least_kl": 0.0}
    assert world.bounds({"passed": 1.0, "answers": 32.0}, {"passed": 1.0}) == {"least_kl": 0.0}
    assert world.bounds({"passed": 0.0, "answers": 32.0}, {"passed": 1.0})["least_kl"] > 2.0


def test_a_target_is_reached_from_its_own_side():
    targets = [Target("rude", 0.03, is_most=True), Target("right", 0.93)]
    assert all_reached(targets, {"rude": 0.03, "right": 0.93})
    assert not all_reached(targets, {"rude": 0.031, "right": 1.0}) and not all_reached(
        targets, {"rude": 0.0, "right": 0.9}
    )
    standing = [all_reached(load("cartpole").targets, {"sampled_return": value}) for value in (475.0, 474.9)]
    assert standing == [True, False]  # Gymnasium's own threshold


def test_the_command_to_go_on_can_be_pasted(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lessons/ppo.py"])
    words = session.which_words(["--seed", "3", "--world=cartpole", "--quick"])
    assert words == ["--world", "cartpole"]
    assert session.resume_command(tmp_path / "a b", words).endswith(f"--world cartpole --resume '{tmp_path / 'a b'}'")


def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["ppo", "--world", "language", "--model", str(tmp_path / "none"), "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit):
        session.main(PPO, "")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_the_readers_own_stays_when_there_is_nothing_to_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ppo", "--world", "cartpole", "--resume", str(tmp_path)])
    with pytest.raises(SystemExit):
        session.main(PPO, "")
    assert tmp_path.is_dir()


def test_running_means_look_back_on_one_episode_of_each_row():
    run = begun(PPO, "cartpole")
    rows = run.config.rows
    finished = [(float(length), length) for length in range(1, rows + 1)]  # those that end last are the longest
    means = run.recent_means(SimpleNamespace(finished=lambda: finished), None)
    assert means["length"] == (rows + 1) / 2
    means = run.recent_means(SimpleNamespace(finished=lambda: [(7.0, 7)]), None)
    assert means["length"] == (sum(range(2, rows + 1)) + 7) / rows
