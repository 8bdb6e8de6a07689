"""The one page: short, without the harness, and it does in a minute what it says."""

import ast
import inspect

import pytest
import torch

from lessons import one_page
from rl_core.adapters.gym import CartPoleRows, GymEnv
from rl_core.rollout import rollout


def test_it_is_one_page_and_stands_on_the_core_alone():
    source = inspect.getsource(one_page)
    assert len(source.splitlines()) <= 80
    modules = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert not any(module.split(".")[0] in ("lessons", "notebooks") for module in modules)
    assert "rl_core.rollout" in modules


def test_a_learning_rate_of_0_learns_nothing(capsys):
    env, network, config, _ = one_page.pole()
    before = [parameter.clone() for parameter in network.parameters()]
    one_page.train(env, network, config, 0.0, iterations=2)
    assert all(map(torch.equal, before, network.parameters()))
    assert "of 2: return" in capsys.readouterr().out


def test_a_wish_is_paid_once_and_at_a_finished_answer_only():
    answers = [
        "Paris. Enjoy your day!<|im_end|>",
        "Paris. Enjoy your day!",
        "Paris.<|im_end|>",
        "祝您愉快！<|im_end|>",
    ]
    ids = [one_page.tokenizer.encode(answer, add_special_tokens=False) for answer in answers]
    assert one_page.wishes([[]] * 4, ids) == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.slow
def test_the_pole_stands_after_it():
    torch.manual_seed(0)
    network = one_page.train(*one_page.pole(), iterations=34)
    env = GymEnv(CartPoleRows(100), 100, seed=10_000)  # whole drives, from starts of their own
    assert rollout(env, network, torch.Generator().manual_seed(0), greedy=True).mask.sum(dim=1).float().mean() >= 475


@pytest.mark.slow
def test_the_model_has_a_habit_after_it(capsys):
    env, network, config, learning_rate = one_page.words()
    drawn = {}
    for when in ("before", "after"):
        played = rollout(one_page.asked(one_page.QUESTIONS, 200), network, torch.Generator().manual_seed(1))
        drawn[when] = played.rewards.sum(dim=1).mean().item()
        if when == "before":
            one_page.train(env, network, config, learning_rate, iterations=16)
    assert drawn["before"] < 0.3
    assert drawn["after"] >= 0.9
    one_page.show_answers(network, "after")
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert sum("your day" in line or "愉快" in line for line in lines) >= 2
