"""Rows of episodes, chosen, joined and judged anew: the best of n, relabelling, and pairs, by pencil."""

import re
from dataclasses import replace

import pytest
import torch

from rl_core.advantages import gae
from rl_core.errors import InvalidArgument
from rl_core.pairs import Pairs, ReferencedPairs
from rl_core.rollout import best_of_n, relabel, rollout
from rl_core.types import Episodes, Prompt, Rollout
from tests.support.updates import pairs_in, played_in
from tests.support.worlds import CARTPOLE, LANGUAGE, WORLDS, seeded, text_episodes, token_scorer

both_worlds = pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)


def played_for(rewards, mask=None):
    """Return a rollout of the given rewards [B, T], whose observations are the numbers of its rows."""
    rewards = torch.tensor(rewards)
    rows, steps = rewards.shape
    live = torch.ones(rows, steps, dtype=torch.bool) if mask is None else torch.tensor(mask)
    numbers = torch.arange(rows)[:, None].expand(rows, steps)
    return Rollout(Prompt.empty(rows), numbers, numbers, live, torch.arange(rows), numbers * 1.0, rewards, ~live)


class Judge:
    """Scores each step by a function of what was done in it, and remembers how many rows it was shown."""

    def __init__(self, function):
        self.function, self.seen = function, []

    def score(self, episodes):
        self.seen.append(len(episodes))
        return self.function(episodes.actions).double()


def test_the_best_of_n_by_pencil():
    played = played_for([[1.0, 2.0], [5.0, -3.0], [4.0, 0.0], [0.0, 0.0], [0.0, -1.0], [-5.0, 3.0]])  # 3 2 4, 0 -1 -2
    chosen = best_of_n(played, 3)
    assert chosen.obs[:, 0].tolist() == [2, 3]
    assert chosen.rewards.tolist() == [[4, 0], [0, 0]] and chosen.last_obs.tolist() == [2, 3]
    assert best_of_n(played, 2).obs[:, 0].tolist() == [0, 2, 4]
    assert best_of_n(played, 6).obs[:, 0].tolist() == [2]
    assert torch.equal(best_of_n(played, 1).rewards, played.rewards)


@pytest.mark.parametrize("shape", [(2, 1), (4, 1), (3,), (1, 3), (3, 2)])
def test_numbers_that_are_not_one_for_each_live_step_have_no_place_in_the_rows(shape):
    played = played_for([[1.0, 2.0], [3.0, 4.0]], [[True, True], [True, False]])
    assert played.as_rows(torch.tensor([[5.0], [6.0], [7.0]])).tolist() == [[5, 6], [7, 0]]
    with pytest.raises(InvalidArgument, match=rf"x has shape {re.escape(str(shape))}.*3 live steps; pass"):
        played.as_rows(torch.ones(shape))


def test_of_equals_the_first_is_taken():
    assert best_of_n(played_for([[1.0], [1.0], [1.0], [0.0], [2.0], [2.0]]), 3).obs[:, 0].tolist() == [0, 4]


def test_a_row_in_which_nothing_counts_is_the_best_only_where_there_is_no_other():
    mask = [[True, True], [False, False], [True, False], [False, False], [False, False], [True, True]]
    played = played_for([[-5.0, 1.0], [9.0, 9.0], [-6.0, 9.0], [3.0, 3.0], [4.0, 4.0], [-7.0, -7.0]], mask)
    assert best_of_n(played, 3).obs[:, 0].tolist() == [0, 5]  # a masked 9 is no reward either
    assert best_of_n(played.rows(torch.tensor([3, 4])), 2).obs[:, 0].tolist() == [3]


@both_worlds
def test_the_best_of_n_follows_the_scorer_after_relabelling(world, device):
    played = played_in(world, device, torch.float32, rows=12)
    rewards = world.scorer(seed=4, device=device).score(played.episodes())
    scores = [row[live].sum().item() for row, live in zip(rewards, played.mask, strict=True)]
    for judged, sign in ((played, 1), (replace(played, rewards=-played.rewards), -1)):
        chosen = best_of_n(judged, 2)
        for pair in range(6):
            left, right = (sign * scores[2 * pair + side] for side in (0, 1))
            assert torch.equal(chosen.actions[pair], played.actions[2 * pair + (right > left)])
    assert len(chosen) == 6


def test_relabelling_puts_the_scorers_rewards_in_place_and_nothing_else(device):
    played = rollout(CARTPOLE.env(device=device), CARTPOLE.network(device=device), seeded(1, device))
    judge = Judge(lambda actions: actions * 2 - 5)
    relabelled = relabel(played, judge)
    assert torch.equal(relabelled.rewards, torch.where(played.mask, played.actions * 2.0 - 5, 0.0))
    assert relabelled.rewards.dtype == played.rewards.dtype == torch.float32 and judge.seen == [8]
    for name in ("obs", "actions", "mask", "logprobs", "last_obs", "terminated"):
        assert torch.equal(getattr(relabelled, name), getattr(played, name))
    assert not torch.equal(played.rewards, relabelled.rewards)


@each_world
def test_relabelling_a_few_rows_at_a_time_is_relabelling(world, device):
    played = rollout(world.env(device=device), world.network(device=device), seeded(1, device))
    scorer = world.scorer(device=device, dtype=torch.float64)
    whole = relabel(played, scorer).rewards
    for micro_rows in (1, 3, 8, 100):
        torch.testing.assert_close(relabel(played, scorer, micro_rows=micro_rows).rewards, whole, rtol=0, atol=1e-6)
    judge = Judge(lambda actions: actions)
    relabel(played, judge, micro_rows=3)
    assert judge.seen == [3, 3, 2] and not whole.requires_grad


def test_rows_that_were_discarded_are_not_judged():
    env, network = LANGUAGE.env(16, on_cut="mask"), LANGUAGE.network()
    played = rollout(env, network, seeded(3))
    live = played.mask.any(dim=1)
    assert 0 < live.sum() < 16
    scorer, judge = token_scorer("qwen2"), Judge(lambda actions: actions + 1)
    relabelled = relabel(played, scorer)
    assert relabelled.rewards[~live].eq(0).all() and relabelled.rewards[live].ne(0).any(dim=1).all()
    torch.testing.assert_close(relabelled.rewards[live], scorer.score(played.episodes().rows(live)).detach())
    relabel(played, judge)
    assert judge.seen == [live.sum()]
    nothing = replace(played, mask=played.mask & False)
    assert relabel(nothing, scorer).rewards.eq(0).all()


def test_parts_of_unequal_size_are_joined_by_pencil():
    left = text_episodes([[1, 2, 3], [4]], [[5], [6, 7]])
    right = text_episodes([[8, 9]], [[1, 2, 3]])
    joined = Episodes.joined([left, right])
    assert joined.prompt.tokens.tolist() == [[1, 2], [0, 0], [0, 8]]
    assert joined.prompt.mask.tolist() == [[True, True], [False, False], [False, True]]
    assert joined.obs.tolist() == [[3, 5, 0], [4, 6, 0], [9, 1, 2]]
    assert joined.actions.tolist() == [[5, 0, 0], [6, 7, 0], [1, 2, 3]]
    assert joined.mask.tolist() == [[True, False, False], [True, True, False], [True] * 3]
    assert torch.equal(Episodes.joined([left]).actions, left.actions)
    pairs = Pairs.joined([Pairs(left, left.rows(torch.tensor([1, 0]))), Pairs(right, right)])
    assert torch.equal(pairs.chosen.actions, joined.actions) and torch.equal(pairs.chosen.mask, joined.mask)
    assert torch.equal(pairs.rejected.actions, joined.actions[[1, 0, 2]])


@each_world
def test_joining_what_was_taken_apart_gives_it_back(world, device):
    played = rollout(world.env(device=device), world.network(device=device), seeded(1, device))
    parts = [played.rows(slice(0, 3)), played.rows(slice(3, 4)), played.rows(slice(4, 8))]
    whole = Rollout.joined(parts)
    for name in ("obs", "actions", "mask", "logprobs", "last_obs", "rewards", "terminated"):
        assert torch.equal(getattr(whole, name), getattr(played, name))
    trimmed = Episodes.joined([part.episodes().trim() for part in parts])
    scorer = world.scorer(device=device, dtype=torch.float64)
    scores, expected = (scorer.score(episodes) for episodes in (trimmed, played.episodes()))
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-12)


def test_pairs_know_their_number_their_lengths_and_their_rows():
    chosen = text_episodes([[1], [2, 3], [4]], [[5, 6, 7], [1], [2, 2]], right=2)
    rejected = text_episodes([[1], [2, 3], [4]], [[5], [1, 2, 3, 4], [3, 3]], left=2)
    pairs = ReferencedPairs(chosen, rejected, torch.tensor([1.0, 2, 3]), torch.tensor([4.0, 5, 6]))
    assert len(pairs) == 3 and pairs.lengths().tolist() == [3, 4, 2]
    some = pairs.rows(torch.tensor([2, 0])).trim()
    assert isinstance(some, ReferencedPairs)
    assert some.ref_chosen.tolist() == [3, 1] and some.ref_rejected.tolist() == [6, 4]
    assert some.chosen.actions.tolist() == [[2, 2, 0], [5, 6, 7]] and some.rejected.actions.tolist() == [[3, 3], [5, 0]]
    assert some.rejected.prompt.tokens.shape == (2, 0)  # pads of every row are no prompt
    plain = Pairs(chosen, rejected).rows(slice(1, 2)).trim()
    assert type(plain) is Pairs and plain.rejected.actions.tolist() == [[1, 2, 3, 4]]
    assert plain.chosen.mask.tolist() == [[True]] and pairs.to("cpu").ref_chosen.tolist() == [1, 2, 3]


def test_the_pairs_of_these_tests_share_their_starts(device):
    pairs = pairs_in(played_in(LANGUAGE, device))
    assert torch.equal(pairs.chosen.prompt.tokens, pairs.rejected.prompt.tokens)
    assert torch.equal(pairs.chosen.obs[:, 0], pairs.rejected.obs[:, 0])
    assert not torch.equal(pairs.chosen.actions, pairs.rejected.actions)


def test_nothing_flows_from_one_episode_into_the_one_before_it_in_the_same_row():
    values = torch.tensor([[1.0, 2.0, 4.0, 8.0, 16.0]])
    terminated, mask = torch.tensor([[False, True, False, False]]), torch.ones(1, 4, dtype=torch.bool)
    for paid in (0.0, 1e6):  # in the second episode
        rewards = torch.tensor([[1.0, 1.0, 1.0, paid]])
        advantages, returns = gae(rewards, values, terminated, mask, gamma=0.5, lam=0.5)
        # By hand: δ₁ = 1 − 2 = −1 at the end; δ₀ = 1 + ½·2 − 1 = 1, and A₀ = 1 + ¼·(−1).
        assert advantages[0, :2].tolist() == [0.75, -1.0] and returns[0, :2].tolist() == [1.75, 1.0]
        assert advantages[0, 3].item() == paid  # δ₃ = paid + ½·16 − 8
