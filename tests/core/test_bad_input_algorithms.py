"""Bad input to what learns from groups and pairs is refused by a typed error: argument, value and remedy."""

import math
from dataclasses import replace

import pytest
import torch

from rl_core.adapters.language import TokenNetwork
from rl_core.algorithms.dpo import DPOConfig, dpo, with_reference
from rl_core.algorithms.grpo import GRPOConfig
from rl_core.algorithms.reinforce import ReinforceConfig, episode_advantages
from rl_core.algorithms.reward_model import RewardModelConfig, accuracy, typical_reward
from rl_core.errors import InvalidArgument, InvalidState, RLCoreError
from rl_core.losses.dpo import dpo_loss, ipo_loss, smoothed_dpo_loss
from rl_core.losses.grpo import grpo_loss
from rl_core.losses.reward_model import bradley_terry_loss
from rl_core.pairs import Pairs
from rl_core.rollout import best_of_n, relabel, rollout
from rl_core.types import Episodes
from tests.support.updates import UPDATES, descend, pairs_in
from tests.support.worlds import CARTPOLE, LANGUAGE, seeded

NAN = math.nan
A, S = InvalidArgument, InvalidState
ONE, CELL, LIVE = torch.zeros(2), torch.zeros(2, 3), torch.ones(2, 3).bool()
NONE = torch.zeros(0)


def play(rows=8, group_size=2):
    return rollout(LANGUAGE.env(rows, group_size=group_size), LANGUAGE.network(), seeded(3))


def learn(name, change=lambda played: played, **options):
    network = LANGUAGE.network()
    UPDATES[name].once(network, LANGUAGE.network(seed=2), descend(network), change(play()), seeded(0), **options)


def learn_pairs(name, change, **options):
    pairs = change(pairs_in(play()))
    update = replace(UPDATES[name], data_of=lambda played: pairs)
    update.once(update.learner(LANGUAGE), LANGUAGE.network(seed=2), None, None, seeded(0), **options)


class Judge:
    """Says what it is told of whatever it is shown."""

    def __init__(self, scores_of):
        self.scores_of = scores_of

    def score(self, episodes):
        return self.scores_of(episodes)


def judged(scores_of, **options):
    relabel(play(), Judge(scores_of), **options)


def with_an_empty_row(side):
    def change(pairs):
        getattr(pairs, side).mask[1] = False
        return pairs

    return change


def of_other_questions(pairs):
    return Pairs(pairs.chosen, pairs.rejected.rows(torch.arange(len(pairs)).roll(1)))


def unequal(pairs):
    return Pairs(pairs.chosen, pairs.rejected.rows(slice(0, 2)))


def of_another_policy(played):
    return replace(played, logprobs=played.logprobs - 0.5)


def without_a_live_step(played):
    return replace(played, mask=played.mask & False)


def with_nan(played):
    return replace(played, rewards=torch.full_like(played.rewards, NAN))


def grpo_with(**options):
    return grpo_loss(CELL, CELL, CELL, CELL, LIVE, **{"clip": 0.2, "beta": 0.1, "average": "token"} | options)


CASES = {
    "group of one": (lambda: GRPOConfig(group_size=1), A, ["group_size=1", "pass 2 or more"]),
    "group of a half": (lambda: GRPOConfig(group_size=2.5), A, ["group_size=2.5", "whole number"]),
    "average": (lambda: GRPOConfig(average="tokens"), A, ["average='tokens'", "'token'?"]),
    "average, far off": (lambda: GRPOConfig(average="xyz"), A, ["average='xyz'", "'token', 'episode'"]),
    "average of the loss": (lambda: grpo_with(average="episodes"), A, ["average='episodes'", "'episode'?"]),
    "kl_in of grpo": (lambda: GRPOConfig(kl_in="los"), A, ["kl_in='los'", "loss"]),
    "beta of grpo": (lambda: GRPOConfig(beta=-0.1), A, ["beta=-0.1", "0 or more"]),
    "beta of its loss": (lambda: grpo_with(beta=-0.1), A, ["beta=-0.1", "0 or more"]),
    "clip of grpo": (lambda: GRPOConfig(clip=0.0), A, ["clip=0.0", "above 0"]),
    "clip of its loss": (lambda: grpo_with(clip=-0.2), A, ["clip=-0.2", "above 0"]),
    "epochs of grpo": (lambda: GRPOConfig(epochs=0), A, ["epochs=0", "1 or more"]),
    "minibatches of grpo": (lambda: GRPOConfig(minibatches=0), A, ["minibatches=0", "1 or more"]),
    "micro rows of grpo": (lambda: GRPOConfig(micro_rows=0), A, ["micro_rows=0", "1 or more"]),
    "gradient norm of grpo": (lambda: GRPOConfig(max_grad_norm=0.0), A, ["max_grad_norm=0.0", "above 0"]),
    "sampler gap of grpo": (lambda: GRPOConfig(max_sampler_gap=0.0), A, ["max_sampler_gap=0.0", "above 0"]),
    "baseline": (lambda: ReinforceConfig(baseline="leave_one"), A, ["baseline='leave_one'", "'leave_one_out'?"]),
    "others of one": (lambda: ReinforceConfig(group_size=1), A, ["group_size=1", "pass 2 or more"]),
    "group of none": (lambda: ReinforceConfig("mean", 0), A, ["group_size=0", "pass 1 or more"]),
    "beta of reinforce": (lambda: ReinforceConfig(beta=NAN), A, ["beta=nan", "0 or more"]),
    "micro rows of reinforce": (lambda: ReinforceConfig(micro_rows=-1), A, ["micro_rows=-1", "1 or more"]),
    "gradient norm of reinforce": (lambda: ReinforceConfig(max_grad_norm=0), A, ["max_grad_norm=0", "above 0"]),
    "sampler gap of reinforce": (lambda: ReinforceConfig(max_sampler_gap=0), A, ["max_sampler_gap=0", "above 0"]),
    "loss": (lambda: DPOConfig(loss="ip"), A, ["loss='ip'", "'ipo'?"]),
    "beta of dpo": (lambda: DPOConfig(beta=0.0), A, ["beta=0.0", "above 0"]),
    "smoothing": (lambda: DPOConfig(label_smoothing=0.5), A, ["label_smoothing=0.5", "[0, 0.5)", "pass"]),
    "smoothing below": (lambda: DPOConfig(label_smoothing=-0.1), A, ["label_smoothing=-0.1", "[0, 0.5)", "pass"]),
    "smoothing of ipo": (
        lambda: DPOConfig(loss="ipo", label_smoothing=0.1), A, ["label_smoothing=0.1", "loss='ipo'", "only dpo"]),
    "minibatch of dpo": (lambda: DPOConfig(minibatch_rows=0), A, ["minibatch_rows=0", "1 or more"]),
    "micro rows of dpo": (lambda: DPOConfig(micro_rows=0), A, ["micro_rows=0", "2 or more"]),
    "gradient norm of dpo": (lambda: DPOConfig(max_grad_norm=-1), A, ["max_grad_norm=-1", "above 0"]),
    "minibatch of reward models": (lambda: RewardModelConfig(minibatch_rows=0), A, ["minibatch_rows=0", "1 or more"]),
    "half a pair at a time": (lambda: DPOConfig(micro_rows=1), A, ["micro_rows=1", "2 or more"]),
    "micro rows of reward models": (lambda: RewardModelConfig(micro_rows=1), A, ["micro_rows=1", "2 or more"]),
    "gradient norm of reward models": (lambda: RewardModelConfig(max_grad_norm=0), A, ["max_grad_norm=0", "above 0"]),
    "beta of dpo's loss": (lambda: dpo_loss(ONE, ONE, ONE, ONE, beta=0.0), A, ["beta=0.0", "above 0"]),
    "beta of ipo's loss": (lambda: ipo_loss(ONE, ONE, ONE, ONE, beta=-1.0), A, ["beta=-1.0", "above 0"]),
    "beta that is no number": (lambda: dpo_loss(ONE, ONE, ONE, ONE, beta=NAN), A, ["beta=nan", "above 0"]),
    "smoothing of the loss": (
        lambda: smoothed_dpo_loss(ONE, ONE, ONE, ONE, beta=1.0, label_smoothing=0.5), A,
        ["label_smoothing=0.5", "[0, 0.5)", "pass"]),
    "negative smoothing of the loss": (
        lambda: smoothed_dpo_loss(ONE, ONE, ONE, ONE, beta=1.0, label_smoothing=-0.01), A, ["label_smoothing=-0.01"]),
    "no pair in the loss": (lambda: dpo_loss(NONE, NONE, NONE, NONE, beta=1.0), A, ["chosen", "empty", "one pair"]),
    "no scores": (lambda: bradley_terry_loss(NONE, NONE), A, ["chosen_scores", "empty", "one pair"]),
    "steps that were not added up": (
        lambda: dpo_loss(CELL, CELL, CELL, CELL, beta=1.0), A, ["chosen", "(2, 3)", "sum over the steps"]),
    "scores that were not added up": (
        lambda: bradley_terry_loss(CELL, CELL), A, ["chosen_scores", "(2, 3)", "sum over the steps"]),
    "groups from several starts": (
        lambda: learn("grpo", group_size=4), A, ["rows 0 and 2", "began differently", "group_size=4"]),
    "groups from several starts, reinforce": (
        lambda: learn("reinforce", group_size=4), A, ["rows 0 and 2", "began differently", "group_size=4"]),
    "pairs from several starts": (
        lambda: learn_pairs("dpo", of_other_questions), A, ["pairs", "different starts in row 0", "from one"]),
    "the accuracy on no pair": (
        lambda: accuracy(LANGUAGE.scorer(), pairs_in(play()).rows(slice(0, 0))), A, ["pairs is empty", "pass"]),
    "the typical reward of no pair": (
        lambda: typical_reward(LANGUAGE.scorer(), pairs_in(play()).rows(slice(0, 0))), A, ["pairs is empty", "pass"]),
    "no pair at a time": (
        lambda: accuracy(LANGUAGE.scorer(), pairs_in(play()), rows=0), A, ["rows=0", "pass 1 or more"]),
    "rows that are no groups": (lambda: learn("grpo", group_size=3), A, ["8 rows", "group_size=3", "play groups"]),
    "rows that are no groups, reinforce": (
        lambda: learn("reinforce", group_size=3), A, ["8 rows", "group_size=3", "play groups"]),
    "more minibatches than rows": (
        lambda: learn("grpo", minibatches=9), A, ["minibatches=9", "8 rows", "8 or fewer"]),
    "rewards that are NaN": (lambda: learn("grpo", change=with_nan), A, ["nan", "rewards"]),
    "rewards that are NaN, reinforce": (lambda: learn("reinforce", change=with_nan), A, ["nan", "rewards"]),
    "no pairs": (lambda: learn_pairs("dpo", lambda p: p.rows(slice(0, 0))), A, ["pairs is empty", "pass"]),
    "no pairs for a scorer": (
        lambda: learn_pairs("reward model", lambda p: p.rows(slice(0, 0))), A, ["pairs is empty", "pass"]),
    "unequal pairs": (lambda: learn_pairs("dpo", unequal), A, ["4 chosen and 2 rejected", "pair them"]),
    "unequal pairs for a scorer": (lambda: learn_pairs("reward model", unequal), A, ["4 chosen and 2 rejected"]),
    "an empty answer": (lambda: learn_pairs("dpo", with_an_empty_row("chosen")), A, ["pairs.chosen", "row 1", "leave"]),
    "an empty worse answer": (
        lambda: learn_pairs("reward model", with_an_empty_row("rejected")), A, ["pairs.rejected", "row 1", "leave"]),
    "reference with a memory": (
        lambda: dpo(CARTPOLE.network(), LANGUAGE.network(), None, pairs_in(play()), DPOConfig(), seeded(0)), A,
        ["reference", "memory"]),
    "no reference": (
        lambda: dpo(LANGUAGE.network(), None, None, pairs_in(play()), DPOConfig(), seeded(0)), A,
        ["reference is None", "frozen copy"]),
    "nothing to join": (lambda: Episodes.joined([]), A, ["parts is empty", "pass"]),
    "the mean of one episode": (
        lambda: episode_advantages(torch.ones(1), torch.ones(1, dtype=torch.bool), ReinforceConfig("mean", 1)), A,
        ["rollout's rows=1", "2 or more"]),
    "none of the best": (lambda: best_of_n(play(), 0), A, ["n=0", "pass 1 or more"]),
    "a half of the best": (lambda: best_of_n(play(), 1.5), A, ["n=1.5", "whole number"]),
    "the best of no group": (lambda: best_of_n(play(), 3), A, ["8 rows", "n=3", "play groups"]),
    "one score a row": (lambda: judged(lambda e: e.mask.sum(1).float()), A, ["scorer", "(8,)", "(8, 8)", "return"]),
    "scores of too few rows": (lambda: judged(lambda e: e.mask[1:].float()), A, ["scorer", "(7, 8)", "return"]),
    "scores with a hole": (
        lambda: judged(lambda e: torch.where(e.mask, -math.inf, 0.0)), A, ["scorer", "finite: False", "return"]),
    "no row at a time": (lambda: judged(lambda e: e.mask.float(), micro_rows=0), A, ["micro_rows=0", "1 or more"]),
    "fewer than no row at a time": (lambda: judged(lambda e: e.mask.float(), micro_rows=-2), A, ["micro_rows=-2"]),
    "another policy played": (
        lambda: learn("grpo", change=of_another_policy), S, ["sampler_gap=5.00e-01", "max_sampler_gap=1e-04"]),
    "another policy played, reinforce": (
        lambda: learn("reinforce", change=of_another_policy), S, ["sampler_gap=5.00e-01", "max_sampler_gap=1e-04"]),
    "nothing to learn from": (lambda: learn("grpo", change=without_a_live_step), A, ["no live step", "play"]),
    "nothing to learn from, reinforce": (
        lambda: learn("reinforce", change=without_a_live_step), A, ["no live step", "play"]),
}  # fmt: skip
BUILT_IN = {A: ValueError, S: RuntimeError}


@pytest.mark.parametrize("call, kind, words", CASES.values(), ids=CASES)
def test_bad_input_is_refused_in_words_that_help(call, kind, words):
    with pytest.raises(RLCoreError) as caught:
        call()
    assert isinstance(caught.value, kind) and isinstance(caught.value, BUILT_IN[kind])
    message = str(caught.value)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("name", ["dpo", "grpo", "reinforce"])
def test_a_policy_is_never_its_own_reference(name):
    network = LANGUAGE.network()
    with pytest.raises(InvalidArgument, match=r"reference is the network itself.*frozen copy"):
        UPDATES[name].once(network, network, descend(network), play(), seeded(0))


@pytest.mark.parametrize("name", ["ppo", "dpo", "grpo", "reinforce"])
def test_a_reference_that_would_learn_along_is_refused(name):
    network = LANGUAGE.network()
    disguised = TokenNetwork(network.model)  # another wrapper, the same weights
    with pytest.raises(InvalidArgument, match=r"reference shares weights that learn.*frozen copy"):
        UPDATES[name].once(network, disguised, descend(network), play(), seeded(0))


def test_scores_of_cells_that_do_not_count_may_be_anything():
    played = play()
    relabelled = relabel(played, Judge(lambda episodes: torch.where(episodes.mask, 1.0, NAN)))
    assert torch.equal(relabelled.rewards, played.mask.float())


def test_a_network_that_answers_otherwise_with_gradient_is_caught_by_the_first_ratio_of_grpo():
    network = CARTPOLE.network()
    played = rollout(CARTPOLE.env(8, group_size=2), network, seeded(0))
    sound = network.forward
    network.forward = lambda prompt, obs: sound(prompt, obs + 0.5 * torch.is_grad_enabled())
    with pytest.raises(InvalidState, match=r"first_ratio=.* is not 1.*look for dropout"):
        UPDATES["grpo"].once(network, None, descend(network), played, seeded(0))


def test_anchors_are_kept_as_they_are_whatever_the_reference_says_later():
    pairs, reference = pairs_in(play()), LANGUAGE.network(seed=2)
    known = with_reference(reference, pairs)
    for parameter in reference.parameters():
        parameter.data.zero_()
    assert not torch.equal(with_reference(reference, pairs).ref_chosen, known.ref_chosen)
