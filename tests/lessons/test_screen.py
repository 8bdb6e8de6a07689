"""What the reader sees: in 80 columns, in any encoding, in two languages, on white and on black."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from rich.console import Console
from rich.text import Text

from lessons.best_of_n import compared
from lessons.harness.command_line import Options, reader_language
from lessons.harness.report.columns import QUANTITIES, WIDTH, Columns, cell
from lessons.harness.report.phrases import PHRASES, phrase
from lessons.harness.report.screen import Screen, clock
from lessons.harness.report.style import ON_SCREEN
from lessons.harness.report.summary import names_of, one_start
from lessons.harness.session import run_session
from lessons.side_by_side import RECIPES
from lessons.worlds import load
from rl_core.errors import InvalidArgument
from tests.support.small_runs import small

RECORD = {
    "stage": "ppo", "iteration": 12, "steps": 1_234_567, "return": -499.99, "length": 499.9, "kl_per_episode": -0.001,
    "entropy": 0.693, "loss": 12.3, "clip_fraction": 1.0, "explained_variance": None, "first_ratio": 1.0,
    "sampler_gap": 1e-7, "steps_per_second": 9999.0,
}  # fmt: skip


def hear_ctrl_c():
    """Take SIGINT as a program in a terminal does: one that a shell began in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def program(*words, **environment):
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))
    }
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=variables | environment,
        preexec_fn=hear_ctrl_c if os.name == "posix" else None,
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_line_of_a_row_its_head_or_its_legend_is_wider_than_the_screen(language, capsys):
    columns = Columns(Screen(), ["cartpole", "language"], language)
    columns.show("cartpole", RECORD, 200, 3599.0)
    columns.show("language", RECORD | {"steps": 12}, 200, 3599.0)
    lines = capsys.readouterr().out.splitlines()
    assert max(Text(line).cell_len for line in lines) <= WIDTH == 80
    head = next(line for line in lines if "turn" in line)
    assert "gap" not in head and "ratio" not in head and "loss" not in head  # PPO's loss tells nothing
    assert all(name in "\n".join(lines) for name in ("return, length" if language == "en" else "return、length", "KL"))
    assert "-0.00" not in "\n".join(lines) and "59:59" in lines[-1]


@pytest.mark.parametrize("algorithm", RECIPES)
def test_the_head_has_the_whole_name_of_the_algorithm_and_fits_the_screen(algorithm, capsys):
    for world in ("cartpole", "sums"):
        Columns(Screen(), [world], "en").show(world, RECORD | {"stage": algorithm, "steps": 12}, 200, 3599.0)
        head, *_, row = [line for line in capsys.readouterr().out.splitlines() if line]
        assert head.split()[:2] == [algorithm, "turn"] and len(head) == len(row) <= WIDTH


def test_a_ratio_or_a_gap_that_is_off_is_told(capsys):
    columns = Columns(Screen(), ["cartpole"], "en")
    columns.show("cartpole", RECORD, 40, 1.0)
    assert "first ratio" not in capsys.readouterr().out
    columns.show("cartpole", RECORD | {"first_ratio": 1.01, "sampler_gap": 0.5}, 40, 1.0)
    output = capsys.readouterr().out
    assert "first ratio 1.010000, should be 1" in output and "sampler gap 5.0e-01" in output


def test_an_algorithm_without_episodes_has_no_columns_of_dashes(capsys):
    columns = Columns(Screen(), ["cartpole"], "en")
    record = {"stage": "sft", "iteration": 1, "steps": 100, "loss": 0.5, "accuracy": 0.75}
    columns.show("cartpole", record, 10, 65.0)
    head, *_, row = [line for line in capsys.readouterr().out.splitlines() if line]
    assert head.split() == ["sft", "turn", "steps", "loss", "accur.", "left"]
    assert row.split() == ["cartpole", "1/10", "100", "0.5000", "75.0%", "1:05"]


def test_numbers_of_a_row_are_never_minus_zero():
    numbers = [each for each in QUANTITIES if each.name != "left"]
    assert not [each.name for each in numbers if "-" in cell(-1e-9, each.form) or "-" not in cell(-100.0, each.form)]
    assert cell(-0.01, "{:z.2f}") == "-0.01" and cell(None, "{:z.2f}") == "–"
    assert clock(7.4) == "0:07" and clock(3725) == "1:02:05"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", ON_SCREEN)
def test_colours_are_readable_on_white_and_on_black(colour):
    """WCAG 2: contrast is (lighter + 0.05) / (darker + 0.05); 3 is asked of large text, steel_blue1 has 1.7."""
    assert 1.05 / (luminance(colour) + 0.05) >= 3.7 and (luminance(colour) + 0.05) / 0.05 >= 3.7


def test_every_colour_is_chosen_in_one_place():
    root = Path(__file__).parents[2]
    files = [path for part in ("lessons", "notebooks/figures", "benchmarks") for path in (root / part).rglob("*.py")]
    assert [p.name for p in files if re.search(r"['\"]#[0-9a-fA-F]{3,8}['\"]", p.read_text("utf-8"))] == ["style.py"]
    assert sum("axes.spines" in path.read_text("utf-8") for path in files) == 1


def test_every_phrase_is_there_in_both_languages_with_the_same_values():
    for english, chinese in PHRASES.values():
        assert set(re.findall(r"{(\w+)", chinese)) <= set(re.findall(r"{(\w+)", english)) and bool(english) == bool(
            chinese
        )
    assert phrase("solved", "zh") == "已解决"


@pytest.mark.parametrize(
    ("variables", "language"),
    [({"LANG": "zh_CN.UTF-8"}, "zh"), ({"LANG": "en_GB"}, "en"), ({"LC_ALL": "C", "LANG": "zh_CN"}, "en")],
)
def test_the_readers_language_is_that_of_the_locale(variables, language, monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert reader_language() == language


def test_the_accuracy_of_the_only_kind_is_told_once():
    kinds = {"accuracy_answers": 0.9, "count_steps_answers": 0.6, "pairs_answers": 10.0}
    assert names_of({"accuracy": 0.9, "pairs": 10.0, **kinds}) == ["accuracy", "pairs", "count_steps_answers"]
    assert "accuracy_answers" in names_of({"accuracy": 0.9, **kinds, "accuracy_clips": 0.5, "pairs_clips": 3.0})


SHARES = {"answers": 2400.0, "right": 0.975, "eos": 0.5, "kl": 1.2044, "right/sums/en": 1.0}


@pytest.mark.parametrize("language, words", [
    ("en", ["one of one", "best of 8", "ended by itself", "KL to the start, nats, at most", "KL of choosing, at most"]),
    ("zh", ["只取一个", "8 个中取最好", "自行结束", "与起点的 KL，纳特，至多", "挑选所占的 KL，至多"]),
])  # fmt: skip
def test_the_best_of_n_is_told_in_the_readers_language_with_intervals_and_its_kl_as_a_bound(language, words):
    screen = Console(width=WIDTH, record=True, file=StringIO())
    results = {"before": SHARES | {"kl": 0.0}, "after": SHARES, "most_kl": 1.2044}
    screen.print(compared(load("language"), results, 8, language))
    told = screen.export_text()
    assert all(word in told for word in [*words, "97.5% [96.8%, 98.1%]", "1.20"]), told
    assert not any(word in told for word in ("eos", "kl", "0.97", "right/"))
    assert language == "en" or "best" not in told


ENCODINGS = [{"PYTHONIOENCODING": "gbk"}, {"PYTHONIOENCODING": "cp1252"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}]


@pytest.mark.parametrize("environment", ENCODINGS, ids=["gbk", "cp1252", "C"])
def test_a_run_in_a_pipe_is_whole_and_in_utf8_in_any_encoding(environment, tmp_path):
    words = ["lessons.ppo", "--world", "cartpole", "--quick", "--out", str(tmp_path), "--language", "zh"]
    running = program(*words, **environment)
    output = running.communicate(timeout=300)[0].decode("utf-8")
    assert running.returncode == 0, output
    assert "训练前评估" in output and "◀" in output and "\x1b" not in output and "尚未解决" in output
    (folder,) = tmp_path.iterdir()
    assert "ppo-cartpole" in folder.name
    assert {"summary.json", "curves.png", "film.gif", "samples.md"} <= {path.name for path in folder.iterdir()}


def test_help_begins_with_what_a_newcomer_needs_in_any_encoding():
    running = program("lessons.side_by_side", "--help", PYTHONIOENCODING="cp1252", COLUMNS="80")
    output = running.communicate(timeout=120)[0].decode("utf-8")
    assert running.returncode == 0 and "usage: python -m lessons.side_by_side" in output and "λ" in output
    options = [line.split()[1] for line in output.splitlines() if line.startswith("│ --")]
    assert options[:6] == ["--algorithm", "--model", "--quick,", "--seed", "--language", "--resume"]
    assert "{sft,reward_model,rlhf,ppo,dpo,grpo,reinforce}" in output and "--device" in options
    assert "{linear,one_cycle,constant}" in output


def test_every_help_names_the_command_that_was_run():
    rooms = [Path(__file__).parents[2] / room for room in ("lessons", "benchmarks", "notebooks")]
    calls = [
        node
        for room in rooms
        for path in room.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "tyro.cli"
    ]
    given = [{word.arg: ast.unparse(word.value) for word in call.keywords} for call in calls]
    helpful = [words for words in given if words.get("add_help") != "False"]
    assert len(helpful) >= 10 and all(words.get("prog") == "program()" for words in helpful)


def test_ctrl_c_while_evaluating_is_kind_and_the_run_goes_on(tmp_path):
    out = tmp_path / "with space"
    # Not a quick run, whose evaluation may be over before the signal comes.
    words = ["lessons.ppo", "--world", "language", "--out", str(out), "--language", "en"]
    running = program(*words)
    for line in running.stdout:
        if b"Evaluating" in line:
            time.sleep(0.5)
            running.send_signal(signal.SIGINT)
            break
    output = running.communicate(timeout=120)[0].decode("utf-8")
    (folder,) = out.iterdir()
    assert "Traceback" not in output and running.returncode == 130
    assert f"python -m lessons.ppo --world language --resume '{folder}'" in output
    assert (folder / "language.pt").is_file()


def test_outside_the_main_thread_a_run_goes_without_handlers(tmp_path):
    config, ends = small(RECIPES["ppo"], "cartpole"), []
    options = Options(quick=True, out=tmp_path)
    thread = threading.Thread(
        target=lambda: ends.append(run_session(RECIPES["ppo"], {"cartpole": config}, options, tmp_path))
    )
    thread.start()
    thread.join(timeout=300)
    assert ends and not ends[0]["interrupted"] and json.loads((tmp_path / "summary.json").read_text("utf-8"))


@pytest.mark.parametrize("seed", [-1, 10**19])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(InvalidArgument, match=rf"seed={seed}"):
        Options(seed=seed)


class Played(NamedTuple):
    words: list[str]
    mask: torch.Tensor
    rewards: torch.Tensor

    def __len__(self):
        return len(self.words)


@pytest.mark.parametrize("language, row", [("en", 3), ("zh", 2)])
def test_the_start_that_is_shown_is_in_the_readers_language_and_without_half_a_sign(language, row):
    questions = ["你好？", "hello?", "法国？", "France?"]
    answers = {"before": ["好\ufffd", "hi", "巴黎", "Paris"], "after": ["好", "h\ufffd", "是巴黎", "Paris."]}
    world = SimpleNamespace(
        step_name="token", question=lambda played, row: questions[row], text=lambda played, row: played.words[row]
    )
    looks = [
        SimpleNamespace(played=Played(words, torch.ones(4, 2, dtype=torch.bool), torch.ones(4, 2)))
        for words in answers.values()
    ]
    lines = one_start(SimpleNamespace(world=world), *looks, language)
    assert questions[row] in lines[0] and answers["before"][row] in lines[1] and answers["after"][row] in lines[2]
    assert ("2 tokens" in lines[1]) == (language == "en") and ("2 步" in lines[1]) == (language == "zh")


def test_a_pipe_hears_of_work_that_says_nothing_and_of_no_other(capsys, monkeypatch):
    monkeypatch.setattr("lessons.harness.report.screen.HEARTBEAT", 0.05)
    screen = Screen()
    with screen.task("Training", is_told=False) as advance:
        for _ in range(10):
            time.sleep(0.02)
            screen.say("a row")
    assert "Training ..." in (lines := capsys.readouterr().out.splitlines()) and lines.count("a row") == 10
    assert len(lines) == 11
    with screen.task("Training", is_told=False) as advance:
        advance(3, 4)
        time.sleep(0.5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Training ..." and set(lines[1:]) == {"Training ... 3 / 4"}
    assert 2 <= len(lines) - 1 <= 4  # after 0.05, 0.15 and 0.35 s: each doubles the patience


def test_ctrl_c_in_the_imports_leaves_no_traceback():
    code = "import lessons, os, signal; os.kill(os.getpid(), signal.SIGINT)"
    running = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=hear_ctrl_c)
    assert running.returncode and running.stderr.strip() == "Stopped. 已停止。"
