"""GRPO's loss against loops, numbers typed by hand, and what must never change it."""

import math
from functools import partial

import pytest
import torch

from rl_core.errors import InvalidArgument
from rl_core.losses.grpo import grpo_loss, mean_of_episodes
from rl_core.losses.policy_gradient import policy_gradient_loss
from tests.support.numbers import agree, exactly

TENSORS = ("logprobs", "old_logprobs", "ref_logprobs", "advantages")
plain = partial(grpo_loss, clip=0.2, beta=0.1)
both_averages = pytest.mark.parametrize("average", ["token", "episode"])


def random_inputs(seed, rows=4, steps=5):
    """Return the four tensors of a step, some ratios far outside the clip, and a mask of rows of unequal length."""
    generator = torch.Generator().manual_seed(seed)
    given = {name: torch.randn(rows, steps, generator=generator, dtype=torch.float64) for name in TENSORS}
    given["old_logprobs"] = given["logprobs"] + 0.3 * given["old_logprobs"]
    return given, torch.arange(steps) < torch.randint(1, steps + 1, (rows, 1), generator=generator)


def slopes_of(loss, given, mask):
    """Return the loss and its slope to the log-probabilities."""
    logprobs = given["logprobs"].detach().clone().requires_grad_()
    value = loss(**given | {"logprobs": logprobs}, mask=mask)[0]
    return value.detach(), torch.autograd.grad(value, logprobs)[0]


def cell_by_hand(now, old, ref, advantage, clip, beta):
    """Return the loss of one step and its slope to the log-probability, in plain numbers."""
    ratio = math.exp(now - old)
    is_clipped = clip is not None and ((ratio > 1 + clip and advantage > 0) or (ratio < 1 - clip and advantage < 0))
    near = min(max(ratio, 1 - clip), 1 + clip) if is_clipped else ratio
    k3 = math.exp(ref - now) - 1 - (ref - now)
    slope = 0.0 if is_clipped else -ratio * advantage
    return -near * advantage + beta * k3, slope + beta * (1 - math.exp(ref - now))


@both_averages
@pytest.mark.parametrize("rows, steps", [(4, 4), (3, 6), (6, 3), (1, 1)])
@pytest.mark.parametrize("clip, beta", [(0.2, 0.1), (None, 0.1), (0.2, 0.0), (0.05, 2.0)])
def test_the_loss_agrees_with_a_loop_over_cells_in_value_and_slope(average, rows, steps, clip, beta):
    given, mask = random_inputs(10 * rows + steps, rows, steps)
    lengths, cells = mask.sum(dim=1).tolist(), int(mask.sum())
    total, expected = 0.0, torch.zeros(rows, steps).double()
    for row, step in mask.nonzero().tolist():
        share = 1 / cells if average == "token" else 1 / (lengths[row] * rows)
        loss, slope = cell_by_hand(*(given[name][row, step].item() for name in TENSORS), clip, beta)
        total += share * loss
        expected[row, step] = share * slope
    value, slopes = slopes_of(partial(grpo_loss, clip=clip, beta=beta, average=average), given, mask)
    agree(value, total)
    agree(slopes, expected)


@both_averages
def test_the_clip_on_a_grid_of_advantages_and_ratios_by_hand(average):
    ratios = exactly([0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5])
    # Punished actions are clipped only once they are already rarer, rewarded ones only once already likelier.
    values = [
        [-1.6, -1.6, -1.8, -2.0, -2.2, -2.5, -3.0],
        [-0.8, -0.8, -0.9, -1.0, -1.1, -1.25, -1.5],
        [0.0] * 7,
        [0.5, 0.75, 0.9, 1.0, 1.1, 1.2, 1.2],
        [1.5, 2.25, 2.7, 3.0, 3.3, 3.6, 3.6],
    ]
    slopes = [
        [0, 0, -1.8, -2.0, -2.2, -2.5, -3.0],
        [0, 0, -0.9, -1.0, -1.1, -1.25, -1.5],
        [0.0] * 7,
        [0.5, 0.75, 0.9, 1.0, 1.1, 0, 0],
        [1.5, 2.25, 2.7, 3.0, 3.3, 0, 0],
    ]
    old = exactly([-1.5, -0.5, -3, -2, -0.25, -1, -4])
    for advantage, row_values, row_slopes in zip((-2, -1, 0, 1, 3), values, slopes, strict=True):
        for column, ratio in enumerate(ratios):  # each cell alone: no other can stand in for it
            cell = slice(column, column + 1)
            given = {"logprobs": (old + ratio.log())[None, cell], "old_logprobs": old[None, cell]}
            given |= {"ref_logprobs": torch.zeros(1, 1).double(), "advantages": exactly([[advantage]])}
            bare = partial(grpo_loss, clip=0.2, beta=0.0, average=average)
            value, slope = slopes_of(bare, given, torch.ones(1, 1).bool())
            agree(-value, row_values[column])
            agree(-slope, exactly([[row_slopes[column]]]))


def test_the_loss_and_its_metrics_by_hand_in_both_averages():
    old = exactly([[-1, -2, -1], [-0.5, 7, 7]])
    given = {
        "logprobs": old + exactly([[1.5, 0.4, 1.0], [1.1, 1, 1]]).log(),
        "old_logprobs": old,
        "advantages": exactly([[2, 2, 2], [-3, 5, 5]]),
    }
    given["ref_logprobs"] = given["logprobs"] + exactly([[0.5, 1, 2], [2, 3, 3]]).log()
    mask = torch.tensor([[True] * 3, [True, False, False]])
    ln2 = math.log(2)
    steps, gaps = [2.4, 0.8, 2.0, -3.3], [ln2 - 0.5, 0.0, 1 - ln2, 1 - ln2]  # 1.5 is clipped to 1.2; k3 = d - 1 - ln d
    for average, weights in (("token", [1 / 4] * 4), ("episode", [1 / 6] * 3 + [1 / 2])):
        policy = -sum(w * x for w, x in zip(weights, steps, strict=True))
        anchor = sum(w * x for w, x in zip(weights, gaps, strict=True))
        loss, metrics = plain(**given, mask=mask, average=average)
        agree(loss, policy + 0.1 * anchor)
        expected = {"loss": loss.item(), "policy_loss": policy, "clip_fraction": 0.5, "ratio_gap": 0.6}
        assert metrics == pytest.approx(expected, abs=1e-7)
        assert all(type(number) is float for number in metrics.values()) and loss.ndim == 0
        free = plain(**given, mask=mask, average=average, clip=None)[1]
        assert free["clip_fraction"] == 0 and free["ratio_gap"] == pytest.approx(0.6)


@both_averages
@pytest.mark.parametrize("junk", [math.nan, math.inf, 1e6, 1e4, -1e4])
def test_padding_changes_neither_the_loss_nor_its_gradient(average, junk):
    given, mask = random_inputs(1)
    loss = partial(plain, average=average)
    value, slopes = slopes_of(loss, given, mask)
    for names in (TENSORS, *((name,) for name in TENSORS)):
        filled = given | {name: given[name].masked_fill(~mask, junk) for name in names}
        again, again_slopes = slopes_of(loss, filled, mask)
        assert torch.equal(value, again) and torch.equal(slopes, again_slopes) and (slopes[~mask] == 0).all()
        assert loss(**filled, mask=mask)[1] == loss(**given, mask=mask)[1]  # no metric sees it either
        assert torch.equal(mean_of_episodes(filled[names[0]], mask), mean_of_episodes(given[names[0]], mask))


@both_averages
def test_a_row_in_which_nothing_counts_takes_no_part(average):
    given, mask = random_inputs(2, rows=5)
    mask[2] = False
    kept = torch.tensor([0, 1, 3, 4])
    value, slopes = slopes_of(partial(plain, average=average), given, mask)
    fewer = {name: tensor[kept] for name, tensor in given.items()}
    expected, expected_slopes = slopes_of(partial(plain, average=average), fewer, mask[kept])
    agree(value, expected)
    agree(slopes[kept], expected_slopes)


@both_averages
def test_micro_batches_weighted_by_what_is_averaged_equal_one_batch(average):
    given, mask = random_inputs(3, rows=6)
    assert mask.sum(dim=1).unique().numel() > 2
    value, slopes = slopes_of(partial(plain, average=average), given, mask)
    weights = (
        mask.sum(dim=1) / mask.sum().double() if average == "token" else torch.full((6,), 1 / 6, dtype=torch.float64)
    )
    parts = [
        slopes_of(partial(plain, average=average), {n: t[r : r + 1] for n, t in given.items()}, mask[r : r + 1])
        for r in range(6)
    ]
    agree(sum(w * v for w, (v, _) in zip(weights, parts, strict=True)), value)
    agree(torch.cat([w * s for w, (_, s) in zip(weights, parts, strict=True)]), slopes)


def test_where_nothing_has_moved_yet_it_is_the_policy_gradient():
    given, mask = random_inputs(4)
    given["old_logprobs"] = given["ref_logprobs"] = given["logprobs"].clone()
    _, expected = slopes_of(lambda logprobs, advantages, mask, **_: policy_gradient_loss(logprobs, advantages, mask),
                            given, mask)  # fmt: skip
    for clip in (0.2, None):  # and the anchor does not pull where policy and reference are one
        agree(slopes_of(partial(grpo_loss, clip=clip, beta=5.0, average="token"), given, mask)[1], expected)


def test_the_mean_of_episodes_by_hand():
    x, mask = (
        exactly([[1, 2, 3], [10, 99, 99], [7, 7, 7]]),
        torch.tensor([[True] * 3, [True, False, False], [False] * 3]),
    )
    assert mean_of_episodes(x, mask).item() == 6.0  # (2 + 10) / 2; a row without a live cell is no episode
    assert mean_of_episodes(x[:2], mask[:2]).item() == 6.0
    assert mean_of_episodes(x[:1], mask[:1]).item() == 2.0
    with pytest.raises(InvalidArgument, match="mask"):
        mean_of_episodes(x, torch.zeros(3, 3).bool())


@both_averages
def test_an_empty_mask_is_refused_and_never_a_silent_nan(average):
    with pytest.raises(InvalidArgument, match="mask"):
        plain(**random_inputs(0)[0], mask=torch.zeros(4, 5).bool(), average=average)


@pytest.mark.parametrize("name", [*TENSORS, "mask"])
def test_one_number_a_row_never_stands_in_silently_for_one_a_step(name):
    sound = {each: torch.ones(3, 3) for each in TENSORS} | {"mask": torch.ones(3, 3).bool()}
    plain(**sound, average="token")
    whole = sound[name]
    for misshapen in (whole[:, 0], whole[:, :1], whole[:2], whole[:, :2], whole.reshape(1, -1)):
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
            plain(**sound | {name: misshapen}, average="token")
