"""Whole runs reach their bars on a seed that was not tuned on, and runs that must fail do."""

from dataclasses import replace

import pytest

from benchmarks.learning import Task, measure
from lessons.settings import PPO
from lessons.worlds import load
from lessons.worlds.cartpole import drive, mean_return
from lessons.worlds.cartpole.drivers import EXPERT, MEDIOCRE

pytestmark = pytest.mark.slow
SEED = 77


def test_the_expert_balances_and_the_mediocre_driver_does_not():
    assert mean_return(drive(EXPERT, 100, seed=SEED)) == 500
    assert 35 <= mean_return(drive(MEDIOCRE, 100, seed=SEED)) <= 50


def test_the_clone_drives_as_it_was_shown_before_any_reinforcement_learning():
    world = load("cartpole")
    truth = world.gold(world.reference(), seed=SEED)
    assert truth["sampled_return"] <= 80 and truth["greedy_return"] <= 150


def test_the_fine_tuned_model_answers_what_it_never_saw_in_the_tones_that_it_was_shown():
    world = load("language")
    truth = world.gold(world.reference(), seed=SEED)
    assert truth["answers"] >= 2000 and truth["right"] >= 0.95 and truth["eos"] >= 0.99
    assert 0.17 <= truth["rude"] <= 0.23
    cells = {name: share for name, share in truth.items() if name.startswith("right/")}
    assert len(cells) == 14 and min(cells.values()) >= 0.90, cells


@pytest.mark.parametrize("start", ["reference", "scratch"])
def test_the_pole_is_balanced_from_either_start(start):
    result = measure(Task("cartpole", start, SEED), "cpu")
    assert result["before"]["sampled_return"] <= 80 and result["before"]["greedy_return"] <= 150
    assert result["after"]["sampled_return"] >= 475 and result["after"]["greedy_return"] >= 475
    assert result["steps_to_solved"] <= 40_000


def test_the_language_model_becomes_polite_and_stays_right():
    result = measure(Task("language", "reference", SEED), "cpu")
    before, after = result["before"], result["after"]
    assert before["rude"] >= 0.15 and before["polite"] <= 0.5
    assert after["rude"] <= 0.03 and after["polite"] >= 0.90 and after["eos"] >= 0.99
    assert after["right"] >= before["right"] - 0.02
    assert after["least_kl"] <= after["kl"] <= 5


@pytest.mark.parametrize("world", PPO)
def test_nothing_is_learnt_at_learning_rate_zero(world, monkeypatch):
    monkeypatch.setitem(PPO, world, replace(PPO[world], iterations=5))
    result = measure(Task(world, "reference", SEED, learns=False), "cpu")
    assert result["steps_to_solved"] is None
    for name in ("sampled_return", "greedy_return", "rude", "polite", "right"):
        assert result["after"].get(name) == result["before"].get(name)
