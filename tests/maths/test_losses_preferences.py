"""The losses that learn from pairs, against loops, numbers typed by hand, and what must never change them."""

import math
from functools import partial

import pytest
import torch

from rl_core.errors import InvalidArgument
from rl_core.losses.dpo import dpo_loss, ipo_loss, smoothed_dpo_loss
from rl_core.losses.reward_model import bradley_terry_loss, ranking_accuracy
from tests.support.numbers import agree, exactly

LN2, LN3 = 0.6931471805599453, 1.0986122886681098
NAMES = ("chosen", "rejected", "ref_chosen", "ref_rejected")


def random_pairs(seed, pairs):
    """Return the four log-probabilities of some pairs of episodes."""
    generator = torch.Generator().manual_seed(seed)
    return [20 * torch.randn(pairs, generator=generator, dtype=torch.float64) for _ in NAMES]


def softplus(x):
    """Return log(1 + e^x) of a number."""
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def logistic(x):
    return 1 / (1 + math.exp(-x))


# Each loss and its slope as functions of one pair's log-ratio margin h, in plain numbers.
BY_HAND = {
    "dpo": (
        partial(dpo_loss, beta=0.1),
        lambda h: softplus(-0.1 * h),
        lambda h: -0.1 * logistic(-0.1 * h),
    ),
    "smoothed dpo": (
        partial(smoothed_dpo_loss, beta=0.2, label_smoothing=0.3),
        lambda h: 0.7 * softplus(-0.2 * h) + 0.3 * softplus(0.2 * h),
        lambda h: 0.2 * (logistic(0.2 * h) - 0.7),
    ),
    "ipo": (partial(ipo_loss, beta=0.25), lambda h: (h - 2) ** 2, lambda h: 2 * (h - 2)),
}
each_loss = pytest.mark.parametrize("loss, value, slope", BY_HAND.values(), ids=BY_HAND)


@each_loss
@pytest.mark.parametrize("pairs", [1, 2, 7])
def test_each_loss_agrees_with_a_loop_over_pairs_in_value_and_slope(loss, value, slope, pairs):
    given = [tensor.requires_grad_() for tensor in random_pairs(pairs, pairs)]
    mean_loss, _ = loss(*given)
    mean_loss.backward()
    margins = [(c - rc) - (r - rr) for c, r, rc, rr in zip(*(t.tolist() for t in given), strict=True)]
    agree(mean_loss, sum(map(value, margins)) / pairs)
    agree(given[0].grad, exactly([slope(h) / pairs for h in margins]))
    agree(given[1].grad, exactly([-slope(h) / pairs for h in margins]))
    assert given[2].grad is None and given[3].grad is None  # the reference is a constant, whoever computed it


@pytest.mark.parametrize("pairs", [1, 5])
def test_bradley_terry_agrees_with_a_loop_over_pairs_in_value_and_slope(pairs):
    chosen, rejected = (tensor.requires_grad_() for tensor in random_pairs(9, pairs)[:2])
    loss, _ = bradley_terry_loss(chosen, rejected)
    loss.backward()
    margins = (chosen - rejected).tolist()
    agree(loss, sum(softplus(-m) for m in margins) / pairs)
    agree(chosen.grad, exactly([-logistic(-m) / pairs for m in margins]))
    agree(rejected.grad, exactly([logistic(-m) / pairs for m in margins]))


def test_bradley_terry_by_hand_with_its_metrics():
    chosen, rejected = exactly([LN3, 5, -1], requires_grad=True), exactly([0, 5, -1 + LN3])
    loss, metrics = bradley_terry_loss(chosen, rejected)  # it gave the truth 3/4, 1/2, 1/4
    agree(loss, (math.log(4 / 3) + LN2 + math.log(4)) / 3)
    agree(torch.autograd.grad(loss, chosen)[0], exactly([-0.25, -0.5, -0.75]) / 3)
    assert metrics == pytest.approx({"loss": loss.item(), "accuracy": 0.5, "margin": 0.0}, abs=1e-7)
    assert all(type(number) is float for number in metrics.values()) and loss.ndim == 0


def test_dpo_by_hand_with_its_metrics():
    ref_chosen, ref_rejected = exactly([-10, -20]), exactly([-12, -3])
    chosen, rejected = ref_chosen + exactly([2 * LN3, 1]), ref_rejected + exactly([0, 3])
    loss, metrics = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=0.5)
    margins = (LN3, -1.0)
    agree(loss, (math.log(4 / 3) + math.log(1 + math.e)) / 2)
    expected = {"margin": sum(margins) / 2, "chosen_reward": (LN3 + 0.5) / 2, "rejected_reward": 0.75, "accuracy": 0.5}
    assert metrics == pytest.approx(expected | {"loss": loss.item()}, abs=1e-12)


def test_smoothing_is_content_where_the_policy_doubts_as_much_as_it_was_told_to():
    ratio = exactly([2 * LN3], requires_grad=True)  # with beta 1/2 it gives the label a chance of 3/4
    nothing = torch.zeros(1).double()
    loss, _ = smoothed_dpo_loss(ratio, nothing, nothing, nothing, beta=0.5, label_smoothing=0.25)
    agree(loss, 0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    agree(torch.autograd.grad(loss, ratio)[0], [0.0])
    given = random_pairs(3, 6)
    agree(smoothed_dpo_loss(*given, beta=0.3, label_smoothing=0.0)[0], dpo_loss(*given, beta=0.3)[0])


def test_ipo_is_content_at_half_the_inverse_of_beta_and_pulls_back_from_beyond():
    ratios = exactly([2, 5, 1], requires_grad=True)  # beta 1/4: the target is 2
    nothing = torch.zeros(3).double()
    loss, metrics = ipo_loss(ratios, nothing, nothing, nothing, beta=0.25)
    agree(loss, (0 + 9 + 1) / 3)
    agree(torch.autograd.grad(loss, ratios)[0], exactly([0, 2, -2 / 3]))
    assert metrics["chosen_reward"] == pytest.approx(2 / 3) and metrics["rejected_reward"] == 0


def test_dpo_is_bradley_terry_of_the_policys_own_rewards():
    chosen, rejected, ref_chosen, ref_rejected = random_pairs(4, 8)
    rewards = 0.3 * (chosen - ref_chosen), 0.3 * (rejected - ref_rejected)
    expected, metrics = bradley_terry_loss(*rewards)
    loss, dpo_metrics = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=0.3)
    agree(loss, expected)
    assert {name: dpo_metrics[name] for name in metrics} == pytest.approx(metrics, abs=1e-12)


@pytest.mark.parametrize("loss", [dpo_loss, partial(smoothed_dpo_loss, label_smoothing=0.2)])
@pytest.mark.parametrize("beta", [0.01, 0.1, 2.0])
def test_a_policy_that_is_its_reference_starts_at_log_two(loss, beta):
    chosen, rejected, *_ = random_pairs(5, 4)
    mean_loss, metrics = loss(chosen, rejected, chosen.clone(), rejected.clone(), beta=beta)
    agree(mean_loss, LN2)
    assert metrics["margin"] == 0 and metrics["accuracy"] == 0.5


@each_loss
def test_a_pair_of_equals_teaches_nothing(loss, value, slope):
    logprobs, ref, *_ = random_pairs(6, 3)
    logprobs.requires_grad_()
    mean_loss, metrics = loss(logprobs, logprobs, ref, ref)
    assert torch.autograd.grad(mean_loss, logprobs)[0].eq(0).all()
    agree(mean_loss, value(0.0))
    assert metrics["accuracy"] == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_margin_is_too_large(dtype):
    far = torch.tensor([1e4, -1e4, 0.0], dtype=dtype, requires_grad=True)
    nothing = torch.zeros(3, dtype=dtype)
    losses = {
        "terry": bradley_terry_loss(far, nothing)[0],
        "dpo": dpo_loss(far, nothing, nothing, nothing, beta=1.0)[0],
        "mirrored": dpo_loss(nothing, far, nothing, nothing, beta=1.0)[0],
    }
    for name, loss in losses.items():
        slopes = torch.autograd.grad(loss, far)[0] * 3
        assert loss.item() == pytest.approx((1e4 + LN2) / 3, rel=1e-6)
        assert slopes.tolist() == pytest.approx([1, 0, 0.5] if name == "mirrored" else [0, -1, -0.5], abs=1e-6)


@pytest.mark.parametrize("constant", [3.0, -1e3])
def test_a_constant_for_each_pair_changes_nothing(constant):
    chosen, rejected, ref_chosen, ref_rejected = random_pairs(7, 5)
    shift = constant * torch.arange(5)  # another one for each pair
    for loss in (
        lambda a, b: bradley_terry_loss(a, b),
        lambda a, b: dpo_loss(a, b, ref_chosen, ref_rejected, beta=0.1),
        lambda a, b: dpo_loss(a, b, ref_chosen + shift, ref_rejected + shift, beta=0.1),
        lambda a, b: ipo_loss(a, b, ref_chosen, ref_rejected, beta=0.1),
    ):
        results = []
        for offset in (0, shift):
            scores = (chosen + offset).requires_grad_()
            mean_loss, metrics = loss(scores, rejected + offset)
            results.append((mean_loss, torch.autograd.grad(mean_loss, scores)[0], exactly(metrics["margin"])))
        for before, after in zip(*results, strict=True):
            agree(after, before, 1e-10)


def test_accuracy_counts_a_tie_as_half_a_hit():
    chosen, rejected = exactly([1, 2, 3, 4]), exactly([0, 2, 5, 4])
    assert ranking_accuracy(chosen, rejected) == 0.5  # a hit, a tie, a miss, a tie
    assert ranking_accuracy(rejected, chosen) == 0.5
    assert ranking_accuracy(chosen[:2], rejected[:2]) == 0.75
    assert ranking_accuracy(torch.zeros(3), torch.zeros(3)) == 0.5


SHAPES = [(3, 1), (1,), (), (2,), (3, 3)]


@each_loss
@pytest.mark.parametrize("name", NAMES)
def test_a_misshapen_argument_is_never_broadcast(loss, value, slope, name):
    sound = dict(zip(NAMES, random_pairs(8, 3), strict=True))
    for shape in SHAPES:
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
            loss(**sound | {name: torch.zeros(shape).double()})


@pytest.mark.parametrize("score", [bradley_terry_loss, ranking_accuracy])
def test_misshapen_scores_are_never_broadcast(score):
    for shape in SHAPES:
        for pair in ((torch.zeros(3), torch.zeros(shape)), (torch.zeros(shape), torch.zeros(3))):
            with pytest.raises(InvalidArgument, match="scores"):
                score(*pair)
