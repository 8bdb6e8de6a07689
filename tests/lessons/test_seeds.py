"""What is evaluated on is never trained on, whatever seed a run has."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from lessons.harness.run import Run
from lessons.side_by_side import RECIPES
from lessons.worlds import load
from lessons.worlds.cartpole import play, world
from lessons.worlds.language.questions import held_out_questions, some_questions
from lessons.worlds.language.world import Language
from lessons.worlds.seeds import seeded, spawn
from rl_core.adapters.gym import GymEnv

SEEDS = range(51)
TURNS = range(120)


class WatchedEnv(GymEnv):
    """Remembers every state that a row started from."""

    starts: ClassVar[set[tuple[float, ...]]] = set()

    def reset(self):
        prompt, timestep = super().reset()
        self.starts.update(map(tuple, np.round(timestep.obs.tolist(), 9)))
        return prompt, timestep


@pytest.fixture
def starts_of(monkeypatch):
    """Return what tells the starting states of whatever is called."""
    monkeypatch.setattr(play, "GymEnv", WatchedEnv)
    monkeypatch.setattr(world, "GymEnv", WatchedEnv)
    monkeypatch.setattr(world, "EPISODES", 15)

    def starts(call) -> set[tuple[float, ...]]:
        WatchedEnv.starts = set()
        call()
        return WatchedEnv.starts

    return starts


def test_the_pole_starts_nowhere_in_training_where_it_starts_in_an_evaluation(starts_of):
    pole = load("cartpole")
    network = pole.network("scratch", seed=0)
    trained, evaluated = set(), set()
    for seed in SEEDS:  # the very same seeds go into both: a world keeps its own streams apart
        for group_size, whole in ((1, False), (2, True)):
            env = pole.env(rows=10, steps=4, seed=seed, group_size=group_size, whole=whole)
            trained |= starts_of(env.reset) | starts_of(env.reset)
        trained |= starts_of(lambda seed=seed: pole.demonstrations(5, seed=seed))
        trained |= starts_of(lambda seed=seed: pole.preferences(network, 10, seed=seed))
        evaluated |= starts_of(lambda seed=seed: pole.preferences(network, 10, seed=seed, held_out=True))
        evaluated |= starts_of(lambda seed=seed: pole.evaluate(network, seed=seed))
        evaluated |= starts_of(lambda seed=seed: pole.quick_evaluate(network, seed=seed))
        evaluated |= starts_of(pole.examples(10, seed=seed).reset)
    assert len(trained) == (10 + 5 + 10) * len(SEEDS)  # both kinds of rows draw from one stream
    assert len(evaluated) == (10 + 15 + 15 + 10) * len(SEEDS)
    assert not trained & evaluated


def test_no_question_of_the_language_world_is_asked_in_training_and_in_an_evaluation():
    assistant = Language()
    for seed in SEEDS:
        trained = {question.text for question in some_questions(500, seed)}
        evaluated = {question.text for question in held_out_questions(15, seed)}
        evaluated |= {question.text for question in some_questions(100, seed, held_out=True)}
        assert not trained & evaluated
    asked = {tuple(prompt) for prompt in assistant.env(rows=2, steps=2, seed=0).prompts}
    assert not asked & {tuple(prompt) for prompt in assistant.examples(140, seed=0).prompts}


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"rlhf"}))
def test_no_turn_of_any_program_has_the_seed_of_another_turn_or_of_an_evaluation(name):
    recipe = RECIPES[name]
    run = Run.start(recipe, load("cartpole"), recipe.settings["cartpole"], seed=0, device="cpu")
    turns = []
    for run.seed in SEEDS:
        turns += [run.fresh_seed() for run.iteration in TURNS]
    evaluations = {spawn(seed, stream) for seed in SEEDS for stream in ("evaluate", "quick evaluate")}
    assert len(set(turns)) == len(SEEDS) * len(TURNS)
    assert len(evaluations) == 2 * len(SEEDS)
    assert not evaluations & {*turns, *SEEDS}


def test_a_stream_is_told_by_every_one_of_its_names():
    streams = {spawn(1, 2, 3), spawn(12, 3), spawn(1, 23), spawn(1, "2", "3x"), spawn(123)}
    assert len(streams) == 5 and all(0 <= stream < 2**63 for stream in streams)
    assert spawn(7, "evaluate") == spawn(7, "evaluate")
    first, again, other = (torch.rand(3, generator=seeded(7, name)).tolist() for name in ("a", "a", "b"))
    assert first == again != other
