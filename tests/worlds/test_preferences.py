"""Holds the language world's judgments to their promises: whose answers, to which questions, and who likes them."""

import json
from math import log, sqrt

import pytest
import torch

from lessons.worlds import load
from lessons.worlds.language import preferences as module
from lessons.worlds.language.judge import grade
from lessons.worlds.language.questions import held_out_questions, questions
from lessons.worlds.language.world import tokenizer
from lessons.worlds.measure import better_and_worse
from lessons.worlds.seeds import seeded, spawn
from rl_core.adapters.language import TokenEnv
from rl_core.errors import CheckpointError, InvalidArgument
from rl_core.pairs import Pairs
from rl_core.rollout import rollout
from rl_core.types import Episodes, Prompt
from tests.support.questions import QUESTION_OF

WORLD = load("language")
ASKED = 120
BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def policy():
    return WORLD.reference()


@pytest.fixture(scope="module")
def pairs(policy):
    return WORLD.preferences(policy, ASKED, seed=1)["answers"]


def tokens_of(episodes):
    """Return (prompt, answer) of each row, as ids."""
    asked = torch.cat([episodes.prompt.tokens, episodes.obs[:, :1]], dim=1)
    pads = (~episodes.prompt.mask).sum(dim=1).tolist()
    lengths = episodes.mask.sum(dim=1).tolist()
    return [
        (asked[row, pads[row] :].tolist(), episodes.actions[row, : lengths[row]].tolist())
        for row in range(len(episodes))
    ]


def words_of(episodes):
    """Return (question, answer, whether it ended) of each row."""
    rows = []
    for prompt, answer in tokens_of(episodes):
        asked, reply = tokenizer().decode(prompt), tokenizer().decode(answer)
        assert asked.startswith(BEFORE) and asked.endswith(AFTER)
        rows.append((asked[len(BEFORE) : -len(AFTER)], reply.removesuffix("<|im_end|>"), reply.endswith("<|im_end|>")))
    return rows


def test_every_chosen_answer_is_worth_more_than_the_rejected_one_to_the_same_question(pairs):
    assert 0.4 * ASKED < len(pairs) <= ASKED  # the others were ties
    for chosen, rejected in zip(words_of(pairs.chosen), words_of(pairs.rejected), strict=True):
        assert chosen[0] == rejected[0]
        assert grade(QUESTION_OF[chosen[0]], *chosen[1:]).score > grade(QUESTION_OF[rejected[0]], *rejected[1:]).score


def test_of_two_rows_the_one_with_the_higher_return_is_chosen_and_ties_are_dropped():
    returns = torch.tensor([1.0, 1.0, 0.2, 2.0, 3.0, -1.0])
    rows = torch.arange(6).unsqueeze(1).expand(6, 2)
    played = Episodes(Prompt.empty(6), rows, rows, torch.ones(6, 2, dtype=torch.bool))
    preferences = better_and_worse(played, returns)
    assert preferences.chosen.actions[:, 0].tolist() == [3, 4]
    assert preferences.rejected.actions[:, 0].tolist() == [2, 5]


def test_the_same_seed_gives_the_same_pairs_and_another_seed_others(policy):
    few, again, other = (WORLD.preferences(policy, 20, seed=seed)["answers"] for seed in (1, 1, 2))
    assert tokens_of(again.chosen) == tokens_of(few.chosen)
    assert tokens_of(again.rejected) == tokens_of(few.rejected)
    assert tokens_of(other.chosen) != tokens_of(few.chosen)


def test_answers_are_the_very_tokens_that_were_played(policy, monkeypatch):
    rollouts = []
    play = module.rollout
    monkeypatch.setattr(module, "rollout", lambda *args: rollouts.append(play(*args)) or rollouts[-1])
    preferences = WORLD.preferences(policy, 300, seed=3)["answers"]  # more than fit in one rollout
    played = [row for one in rollouts for row in tokens_of(one)]
    assert len(rollouts) == 2 and len(played) == 600
    both = list(zip(tokens_of(preferences.chosen), tokens_of(preferences.rejected), strict=True))
    partners = list(zip(played[::2], played[1::2], strict=True))
    assert all((one, two) in partners or (two, one) in partners for one, two in both)


def test_noise_turns_round_its_share_of_the_pairs_and_changes_nothing_else(policy, pairs):
    noise = 0.3
    noisy = WORLD.preferences(policy, ASKED, seed=1, noise=noise)["answers"]
    right = list(zip(tokens_of(pairs.chosen), tokens_of(pairs.rejected), strict=True))
    noised = list(zip(tokens_of(noisy.chosen), tokens_of(noisy.rejected), strict=True))
    turned = [one != two for one, two in zip(noised, right, strict=True)]
    assert [(two, one) if wrong else (one, two) for (one, two), wrong in zip(noised, turned, strict=True)] == right
    sd = sqrt(noise * (1 - noise) / len(pairs))
    assert sum(turned) / len(pairs) == pytest.approx(noise, abs=4 * sd)
    with pytest.raises(InvalidArgument, match=r"noise=1\.2"):
        WORLD.preferences(policy, 4, seed=1, noise=1.2)


def test_held_out_pairs_ask_what_training_never_asks(policy, pairs):
    training = {question.text for question in questions(held_out=False)}
    held_out = {question.text for question in questions(held_out=True)}
    unseen = WORLD.preferences(policy, 30, seed=1, held_out=True)["answers"]
    assert {asked for asked, _, _ in words_of(pairs.chosen)} <= training
    assert {asked for asked, _, _ in words_of(unseen.chosen)} <= held_out


def test_rows_of_a_group_answer_one_question():
    env = WORLD.env(rows=12, steps=4, seed=0, group_size=4, whole=True)
    prompt, seen = env.reset()
    asked = torch.cat([prompt.tokens, seen.obs.unsqueeze(1)], dim=1).view(3, 4, -1)
    assert (asked == asked[:, :1]).all()
    assert len({tuple(row) for row in asked[:, 0].tolist()}) == 3


@pytest.fixture(scope="module")
def plain(policy):
    return WORLD.evaluate(policy, seed=5, quick=True)


def test_without_a_choice_the_truth_is_that_of_one_plain_rollout(policy, plain):
    seed = spawn(5, "evaluate")
    reward = WORLD.reward(held_out_questions(15, seed))
    end = tokenizer().eos_token_id
    env = TokenEnv(reward.prompts, reward, len(reward.prompts), max_new_tokens=32, eos=end, seed=spawn(seed, "order"))
    played = rollout(env, policy, seeded(seed, "actions"))
    assert plain["answers"] == len(played) == 210
    assert plain["score"] == pytest.approx(played.rewards.sum().item() / 210, abs=1e-6)
    assert plain["length"] == pytest.approx(played.mask.sum().item() / 210)
    assert plain["kl"] == pytest.approx(0, abs=1e-5)


def test_the_best_of_three_is_better_at_a_price_that_depends_on_three_alone(policy, plain):
    best = WORLD.evaluate(policy, seed=5, quick=True, best_of=3)
    assert best.keys() == plain.keys() and best["answers"] == plain["answers"]
    assert best["score"] > plain["score"] + 0.3 and best["rude"] < 0.05
    assert best["kl"] == pytest.approx(log(3) - 2 / 3, abs=1e-4)


class Brief:
    """Likes short answers."""

    def score(self, episodes):
        return -episodes.mask.float()


def test_a_scorer_chooses_in_place_of_the_judge(policy, plain):
    brief = WORLD.evaluate(policy, seed=5, quick=True, best_of=2, scorer=Brief())
    assert brief["length"] < plain["length"] - 0.7


def test_a_fresh_reward_model_says_nothing_and_a_saved_one_what_it_said(policy, pairs, tmp_path):
    few = pairs.rows(slice(0, 8))
    WORLD.save(policy, tmp_path / "policy")
    for start in ("reference", "base", "scratch", str(tmp_path / "policy")):
        assert not WORLD.scorer(start, seed=0).score(few.chosen).any()
    scorer = WORLD.scorer("reference", seed=0)
    torch.nn.init.normal_(scorer.model.score.weight, generator=torch.Generator().manual_seed(0))
    WORLD.save_scorer(scorer, tmp_path / "scorer")
    opened = WORLD.scorer(str(tmp_path / "scorer"), seed=0)
    assert scorer.score(few.chosen).any()
    assert torch.equal(opened.score(few.chosen), scorer.score(few.chosen))
    assert (tmp_path / "scorer" / "tokenizer.json").is_file()


def test_a_folder_that_holds_something_else_is_an_error_that_names_it(tmp_path):
    WORLD.save_scorer(WORLD.scorer("reference", seed=0), tmp_path / "scorer")
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        with pytest.raises(CheckpointError, match=f"{name}.*no reward model"):
            WORLD.scorer(str(tmp_path / name), seed=0)
    with pytest.raises(CheckpointError, match=r"scorer.*no model"):
        WORLD.network(str(tmp_path / "scorer"), seed=0)
    (tmp_path / "scorer" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="broken reward model"):
        WORLD.scorer(str(tmp_path / "scorer"), seed=0)


def test_pairs_that_are_written_in_words_come_back_as_they_were(pairs, tmp_path):
    path = tmp_path / "new" / "pairs.jsonl"
    WORLD.write_preferences(pairs, path)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {tuple(line) for line in lines} == {("prompt", "chosen", "rejected")}
    back = WORLD.read_preferences(path)
    ended = [
        (one, two)
        for one, two in zip(words_of(pairs.chosen), words_of(pairs.rejected), strict=True)
        if one[2] and two[2]
    ]
    assert list(zip(words_of(back.chosen), words_of(back.rejected), strict=True)) == ended
    assert 0.9 * len(pairs) <= len(back) == len(lines)


def test_an_answer_that_never_ended_is_not_written_as_if_it_had(pairs, tmp_path):
    chosen = pairs.chosen.rows(slice(0, 4))
    cut = chosen.mask.clone()
    cut[2, int(cut[2].sum()) - 1] = False  # without its end token
    broken = Pairs(type(chosen)(chosen.prompt, chosen.obs, chosen.actions, cut), pairs.rejected.rows(slice(0, 4)))
    WORLD.write_preferences(broken, tmp_path / "pairs.jsonl")
    back = WORLD.read_preferences(tmp_path / "pairs.jsonl")
    kept = [0, 1, 3]
    assert words_of(back.chosen) == words_of(chosen.rows(torch.tensor(kept)))


def test_a_learners_own_file_may_say_it_in_plain_text(tmp_path):
    path = tmp_path / "mine.jsonl"
    line = {"prompt": "Who are you?", "chosen": "I am Pip.", "rejected": "Ugh. I am Pip."}
    path.write_text(json.dumps(line) + "\n\n", encoding="utf-8")
    preferences = WORLD.read_preferences(path)
    assert words_of(preferences.chosen) == [("Who are you?", "I am Pip.", True)]
    assert words_of(preferences.rejected) == [("Who are you?", "Ugh. I am Pip.", True)]


def test_a_learners_answer_that_no_model_of_ours_can_read_is_named(tmp_path):
    path = tmp_path / "long.jsonl"
    line = {"prompt": "Tell me more.", "chosen": "It is Paris. " * 60, "rejected": "No."}
    path.write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(InvalidArgument, match=r"long\.jsonl, line 1: the prompt has 12 tokens.*context=128"):
        WORLD.read_preferences(path)
    with pytest.raises(InvalidArgument, match=r"nowhere\.jsonl"):
        WORLD.read_preferences(tmp_path / "nowhere.jsonl")
