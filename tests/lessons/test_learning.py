"""Whole runs reach their bars on a seed that was not tuned on, and runs that must fail do."""

import pytest

from benchmarks.learning import Task, measure
from lessons.side_by_side import RECIPES
from lessons.worlds import NAMES, load
from lessons.worlds.cartpole.demonstrations import EXPERT, MEDIOCRE
from lessons.worlds.cartpole.play import mean_return, play_episodes
from tests.support.small_runs import small

pytestmark = pytest.mark.slow
SEED = 77
EXPLAINED = {"ppo": 0.35, "rlhf": 0.3}  # of the returns by the critic at the end, in language


def check_manners(before, after):
    """Hold a language model to the bars of every algorithm that aligns one."""
    assert before["rude"] >= 0.15 and before["polite"] <= 0.5
    assert after["rude"] <= 0.03 and after["polite"] >= 0.90 and after["eos"] >= 0.99
    assert after["right"] >= before["right"] - 0.02
    assert after["least_kl"] <= after["kl"] <= 5


def test_the_expert_balances_and_the_mediocre_driver_does_not():
    assert mean_return(play_episodes(EXPERT, 100, seed=SEED)) == 500
    assert 35 <= mean_return(play_episodes(MEDIOCRE, 100, seed=SEED)) <= 50


def test_the_clone_drives_as_it_was_shown_before_any_reinforcement_learning():
    world = load("cartpole")
    truth = world.evaluate(world.reference(), seed=SEED)
    assert 35 <= truth["sampled_return"] <= 80 and 35 <= truth["greedy_return"] <= 150  # untrained: 9 to 22


def test_the_fine_tuned_model_answers_what_it_never_saw_in_the_tones_that_it_was_shown():
    world = load("language")
    truth = world.evaluate(world.reference(), seed=SEED)
    assert truth["answers"] >= 2000 and truth["right"] >= 0.95 and truth["eos"] >= 0.99
    assert 0.17 <= truth["rude"] <= 0.23
    cells = {name: share for name, share in truth.items() if name.startswith("right/")}
    assert len(cells) == 14 and min(cells.values()) >= 0.90, cells


@pytest.mark.parametrize("variant", ["", "scratch"])
def test_the_pole_is_balanced_by_ppo_from_either_start(variant):
    result = measure(Task("ppo", "cartpole", SEED, variant), "cpu")
    assert result["before"]["sampled_return"] <= 80 and result["before"]["greedy_return"] <= 150
    assert result["after"]["sampled_return"] >= 475 and result["after"]["greedy_return"] >= 475
    assert result["steps_to_solved"] <= 40_000


@pytest.mark.parametrize("algorithm", ["rlhf", "grpo", "reinforce"])
def test_the_pole_is_balanced(algorithm):
    result = measure(Task(algorithm, "cartpole", SEED), "cpu")
    assert result["before"]["sampled_return"] <= 80 and result["before"]["greedy_return"] <= 150
    assert result["after"]["sampled_return"] >= 475 and result["after"]["greedy_return"] >= 475
    assert result["steps_to_solved"] <= 200_000 or algorithm == "rlhf"  # most of whose steps are read, not driven
    if algorithm == "rlhf":
        assert result["explained_variance"]["half way up"] >= 0.3


def test_four_rounds_of_preferences_between_its_own_drives_balance_the_pole():
    result = measure(Task("dpo", "cartpole", SEED), "cpu")
    assert result["before"]["sampled_return"] <= 80 and result["after"]["sampled_return"] >= 450


@pytest.mark.parametrize("algorithm", ["rlhf", "ppo", "dpo", "grpo", "reinforce"])
def test_the_language_model_becomes_polite_and_stays_right(algorithm):
    result = measure(Task(algorithm, "language", SEED), "cpu")
    check_manners(result["before"], result["after"])
    if algorithm in EXPLAINED:
        assert result["explained_variance"]["end"] >= EXPLAINED[algorithm]


@pytest.mark.parametrize("world", NAMES)
def test_a_reward_model_tells_what_is_preferred_on_pairs_that_it_never_saw(world):
    result = measure(Task("reward_model", world, SEED), "cpu")
    accuracies = {name: value for name, value in result["after"].items() if name.startswith("accuracy")}
    assert result["before"]["accuracy"] <= 0.75 and min(accuracies.values()) >= 0.95, accuracies


def test_a_verified_reward_makes_sums_right():
    result = measure(Task("grpo", "sums", SEED), "cpu")
    assert 0.3 <= result["before"]["right"] <= 0.5 and result["after"]["right"] >= 0.9


@pytest.mark.parametrize("world", NAMES)
@pytest.mark.parametrize("algorithm", RECIPES)
def test_nothing_is_learnt_at_learning_rate_zero(algorithm, world, monkeypatch):
    recipe = RECIPES[algorithm]
    monkeypatch.setitem(recipe.settings, world, small(recipe, world))
    result = measure(Task(algorithm, world, SEED, learns=False), "cpu")
    assert result["steps_to_solved"] is None
    assert all(share <= 0.1 for share in result["explained_variance"].values())
    for name in ("sampled_return", "greedy_return", "rude", "polite", "right", "accuracy"):
        assert result["after"].get(name) == result["before"].get(name)
