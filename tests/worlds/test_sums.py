"""Holds the world of sums to its promises: what is right, what a policy may try in vain, and how wrong its pupil is."""

import re
from math import sqrt

import pytest
import torch

from lessons.harness.report.summary import told
from lessons.side_by_side import RECIPES
from lessons.worlds import NAMES, all_reached, load
from lessons.worlds.language.judge import Verdict
from lessons.worlds.language.questions import questions
from lessons.worlds.language.reward import Answer
from lessons.worlds.language.world import tokenizer
from lessons.worlds.sums.demonstrations import faulty_chats
from lessons.worlds.sums.judge import grade
from rl_core.errors import InvalidArgument
from rl_core.rollout import rollout
from tests.support.questions import QUESTION_OF
from tests.support.small_runs import begun

WORLD = load("sums")
SUM, SUM_ZH = "What is 2+3+4?", "2+3+4的和是多少？"
TEN = "Tell me: how much is 5+4+1?"


@pytest.fixture(scope="module")
def policy():
    return WORLD.reference()


RIGHT = [
    (SUM, "2+3=5, 5+4=9."),
    (SUM, "So 2+3=5, 5+4=9."),
    (SUM_ZH, "2+3=5，5+4=9。"),
    (SUM_ZH, "算出来2+3=5，5+4=9。"),
    (TEN, "5+4=9, 9+1=10."),
    (SUM, "3+4=7, 7+2=9."),  # another way round
    (SUM, "2+3=6, 6+4=9."),  # wrong steps: only the result is paid
]


@pytest.mark.parametrize("question, answer", RIGHT)
def test_a_right_result_of_two_steps_earns_one(question, answer):
    assert grade(QUESTION_OF[question], answer, True) == Verdict(True, False, "plain", True, 1.0)


WRONG = [
    (SUM, "2+3=6, 6+4=10.", "a slip, carried through"),
    (SUM, "2+3=5, 5+4=10.", "a slip at the end"),
    (SUM, "2+3=5.", "stopped half way"),
    (SUM, "9.", "no steps"),
    (SUM, "2+3+4=9.", "one step for two"),
    (SUM, "2+3=5, 5+4=9, 9+0=9.", "one step more"),
    (SUM, "2+3=5, 5+4=8, 5+4=9.", "two results, the right one last"),
    (SUM, "2+3=5, 5+4=9. 5+4=10.", "two results, the right one first"),
    (SUM, "2+3=5, 5+4=8 9.", "two numbers for one"),
    (SUM, "2+3=5, 5+4=8=9.", "two equals signs"),
    (SUM, "2+3=5, 5+4=7 8 9 10.", "every number there is"),
    (SUM, "2+3=5, 5+4=09.", "a zero before"),
    (SUM, "2+3=5, 5+4=9.0.", "a fraction"),
    (SUM, "2+3=5, 5+4=+9.", "a sign"),
    (SUM, "2+3=5, 5+4=９.", "a full-width digit"),
    (SUM, "2+3=5, 5+4=nine.", "a word"),
    (SUM, "2+3=5, 5+4=9", "no full stop"),
    (SUM, "2+3=5, 5+4=9.\n", "a line more"),
    (SUM, " 2+3=5, 5+4=9.", "a space before"),
    (SUM, "2+3=5,5+4=9.", "no space between"),
    (SUM, "So So 2+3=5, 5+4=9.", "an opener twice"),
    (SUM, "Happy to help! 2+3=5, 5+4=9.", "a nice word"),
    (SUM, "=, =9.", "no operands"),
    (SUM, "2+3=, 5+4=9.", "a step without a result"),
    (SUM, "2+3=5，5+4=9。", "the other language"),
    (SUM_ZH, "2+3=5, 5+4=9.", "the other language"),
    (TEN, "5+4=9, 9+1=1.", "half a number"),
    (TEN, "5+4=9, 9+1=100.", "a digit more"),
    (SUM, SUM, "the question again"),
    (SUM, "I'm sorry, I don't know that.", "a refusal"),
    (SUM, "", "nothing"),
]


@pytest.mark.parametrize("question, answer, why", WRONG)
def test_anything_else_earns_nothing(question, answer, why):
    assert grade(QUESTION_OF[question], answer, True) == Verdict(False, False, "plain", True, 0.0), why


def test_an_answer_that_never_ended_earns_nothing():
    assert grade(QUESTION_OF[SUM], "2+3=5, 5+4=9.", False) == Verdict(False, False, "plain", False, 0.0)


def said_steps(chat):
    """Return (operands asked, [(a, b, c) of each a+b=c that was said])."""
    asked = [int(number) for number in re.findall(r"\d+", chat[0]["content"])]
    return asked, [tuple(map(int, step)) for step in re.findall(r"(\d+)\+(\d+)=(\d+)", chat[1]["content"])]


def test_demonstrations_count_one_too_far_in_some_steps_and_carry_it_through():
    chats = faulty_chats(3000, seed=1)
    wrong = slipped = 0
    for chat in chats:
        asked, steps = said_steps(chat)
        total = asked[0]
        assert len(asked) == 3 and len(steps) == 2
        for operand, (a, b, c) in zip(asked[1:], steps, strict=True):
            assert (a, b) == (total, operand) and c - a - b in (0, 1)
            slipped += c != a + b
            total = c
        wrong += total != sum(asked)
        assert grade(QUESTION_OF[chat[0]["content"]], chat[1]["content"], True).right == (total == sum(asked))
    assert wrong / 3000 == pytest.approx(0.6, abs=4 * sqrt(0.6 * 0.4 / 3000))
    slip = 1 - sqrt(0.4)  # two steps without one: 0.4
    assert slipped / 6000 == pytest.approx(slip, abs=4 * sqrt(slip * (1 - slip) / 6000))


def test_what_share_is_wrong_can_be_chosen():
    for share in (0, 1):
        seen = [
            grade(QUESTION_OF[chat[0]["content"]], chat[1]["content"], True).right
            for chat in faulty_chats(50, 2, share)
        ]
        assert seen == [share == 0] * 50
    with pytest.raises(InvalidArgument, match=r"faulty=1\.5"):
        faulty_chats(1, 0, 1.5)


def test_the_same_seed_gives_the_same_demonstrations_and_none_is_held_out():
    assert faulty_chats(200, seed=7) == faulty_chats(200, seed=7) != faulty_chats(200, seed=8)
    asked = {chat[0]["content"] for chat in faulty_chats(5000, seed=3)}
    assert asked <= {question.text for question in questions(held_out=False)}
    assert {len(re.findall(r"\d+", text)) for text in asked} == {3}


def asked_in(env):
    """Return the texts that an environment asks."""
    texts = [tokenizer().decode(prompt) for prompt in env.prompts]
    return {text.removeprefix("<|im_start|>user\n").split("<|im_end|>")[0] for text in texts}


def test_training_asks_training_wordings_of_sums_in_groups_and_examples_ask_held_out_ones():
    training = {question.text for question in questions(held_out=False)}
    held_out = {question.text for question in questions(held_out=True)}
    asked = asked_in(WORLD.env(rows=16, steps=32, seed=0, group_size=8, whole=True))
    assert asked <= training and len(asked) > 1000
    shown = asked_in(WORLD.examples(6, seed=0))
    assert shown <= held_out and len(shown) == 6
    assert all(len(re.findall(r"\d+", text)) == 3 for text in asked | shown)


def test_the_reward_is_one_or_nothing_and_right_beats_wrong(policy):
    env = WORLD.env(rows=64, steps=32, seed=0, group_size=8, whole=True)
    played = rollout(env, policy, torch.Generator().manual_seed(0))
    assert set(played.rewards.sum(dim=1).tolist()) == {0.0, 1.0}
    pairs = WORLD.preferences(policy, 40, seed=0)["answers"]
    chosen, rejected = WORLD.answers(pairs.chosen), WORLD.answers(pairs.rejected)
    assert len(pairs) >= 8
    assert all(one.verdict.right and not two.verdict.right for one, two in zip(chosen, rejected, strict=True))


def test_pass_at_8_counts_questions_and_right_counts_answers():
    question = next(question for question in questions(held_out=True) if question.fact.key == "2+3+4")
    verdicts = [1, 0, 0, 0, 0, 0, 0, 1] + [0] * 8 + [0] * 7 + [1]
    answers = [Answer(question, "x", Verdict(bool(one), False, "plain", True, float(one))) for one in verdicts]
    seen = WORLD.summary(answers)
    assert seen["right"] == pytest.approx(3 / 24) and seen["wrong"] == pytest.approx(21 / 24)
    assert seen["pass_at_8"] == pytest.approx(2 / 3)
    run = begun(RECIPES["grpo"], "sums")
    assert run.trials("pass_at_8", seen | {"answers": 24.0}) == 3 and run.trials("right", {"answers": 24.0}) == 24
    assert told(run, {"pass_at_8": 0.97, "answers": 2400.0}, "pass_at_8") == "97.0% [94.4%, 98.4%]"
    assert seen["steps"] == 0 and seen["eos"] == 1


def test_the_pupil_is_right_on_four_in_ten_and_on_nearly_all_within_eight(policy):
    results = WORLD.evaluate(policy, seed=5, quick=True)
    assert results["answers"] == 240
    assert results["right"] == pytest.approx(0.4, abs=0.12)
    assert results["pass_at_8"] >= 0.85 and results["eos"] >= 0.97
    assert results["kl"] == pytest.approx(0, abs=1e-5)
    assert not all_reached(WORLD.targets, results) and all_reached(WORLD.targets, results | {"right": 0.9})
    assert set(WORLD.shares) <= results.keys() and WORLD.headline in results and WORLD.trials in results


def test_choosing_the_right_one_of_three_is_right_as_often_as_the_pupils_share_allows(policy):
    best = WORLD.evaluate(policy, seed=5, quick=True, best_of=3)
    assert best["answers"] == 240
    assert best["right"] == pytest.approx(1 - 0.6**3, abs=0.12)


def test_the_least_kl_is_that_of_two_coins_and_is_not_told_of_what_was_never_seen():
    before, after = {"right": 0.5, "wrong": 0.5}, {"right": 1.0, "wrong": 0.0}
    assert WORLD.bounds(before, after) == {"least_kl": pytest.approx(0.6931472)}  # log 2: a coin that fell
    assert WORLD.bounds(before, before) == {"least_kl": 0}
    assert WORLD.bounds({"right": 0.0, "wrong": 1.0}, before) == {}


def test_the_world_has_a_name_of_its_own_and_no_twin():
    assert WORLD.name == "sums" and "sums" not in NAMES
    with pytest.raises(InvalidArgument, match="sums"):
        load("summs")
