"""Advantages within a group against pencil sums, the standard library, and returns that say nothing."""

import math
import statistics

import pytest
import torch

from rl_core.advantages import group_advantages, leave_one_out_advantages, on_every_step
from rl_core.algorithms.reinforce import ReinforceConfig, episode_advantages
from rl_core.errors import InvalidArgument
from tests.support.numbers import agree, exactly

BOTH = (group_advantages, leave_one_out_advantages)
both = pytest.mark.parametrize("advantages_of", BOTH)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def random_returns(seed, episodes):
    return 10 * torch.randn(episodes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 3


def test_groups_of_two_and_of_four_agree_with_pencil_and_paper():
    returns = exactly([1, 2, 3, 6])
    assert group_advantages(returns, 2, scale=False).tolist() == [-0.5, 0.5, -1.5, 1.5]
    agree(group_advantages(returns, 2), exactly([-(0.5**0.5), 0.5**0.5] * 2))  # the sample's deviation, over N - 1
    assert group_advantages(returns, 4, scale=False).tolist() == [-2, -1, 0, 3]
    agree(group_advantages(returns, 4), exactly([-2, -1, 0, 3]) / (14 / 3) ** 0.5)
    agree(leave_one_out_advantages(returns, 4), exactly([-8 / 3, -4 / 3, 0, 4]))
    assert leave_one_out_advantages(returns, 2).tolist() == [-1, 1, -3, 3]


@pytest.mark.parametrize("groups, size", [(1, 2), (3, 3), (4, 2), (2, 8), (8, 5)])
def test_every_group_agrees_with_the_standard_library(groups, size):
    returns = random_returns(size, groups * size)
    plain, scaled, others = [], [], []
    for start in range(0, groups * size, size):
        group = returns[start : start + size].tolist()
        mean, deviation = statistics.mean(group), statistics.stdev(group)
        plain += [one - mean for one in group]
        scaled += [(one - mean) / deviation for one in group]
        others += [one - statistics.mean(group[:i] + group[i + 1 :]) for i, one in enumerate(group)]
    agree(group_advantages(returns, size, scale=False), exactly(plain))
    agree(group_advantages(returns, size), exactly(scaled))
    agree(leave_one_out_advantages(returns, size), exactly(others))


@both
@pytest.mark.parametrize("junk", [0.0, 1e6, math.nan, math.inf])
def test_an_episode_that_does_not_count_takes_no_part_and_gets_nothing(advantages_of, junk):
    returns = exactly([1, 2, junk, 6, 5, junk, 8, 9, junk, junk, 4, junk, junk, junk, junk, junk])
    counts = torch.tensor(
        [True, True, False, True, True, False, True, True] + [False, False, True, False] + [False] * 4
    )
    advantages = advantages_of(returns, 4, counts=counts)
    agree(advantages[[0, 1, 3]], advantages_of(exactly([1, 2, 6]), 3))
    agree(advantages[[4, 6, 7]], advantages_of(exactly([5, 8, 9]), 3))
    assert advantages[~counts].eq(0).all() and advantages[8:].eq(0).all()  # one alone has nobody to be compared with
    everyone = random_returns(1, 8)
    assert torch.equal(advantages_of(everyone, 4, counts=torch.ones(8).bool()), advantages_of(everyone, 4))


@each_dtype
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("number", [0.0, 0.1, -1 / 3, 1e4 / 3, 1e-6])
@pytest.mark.parametrize("size", [2, 3, 7, 8, 10])
def test_a_group_of_equals_says_exactly_nothing(dtype, scale, number, size):
    assert group_advantages(torch.full((3 * size,), number, dtype=dtype), size, scale=scale).eq(0).all()


@pytest.mark.parametrize("scale", [True, False])
def test_groups_of_equals_say_nothing_whatever_the_others_say(scale):
    returns = 10 * torch.arange(4).repeat_interleave(3).double()  # the reward is the number of the prompt
    assert group_advantages(returns, 3, scale=scale).eq(0).all() and leave_one_out_advantages(returns, 3).eq(0).all()
    returns[3:6] = exactly([1, 2, 3])
    advantages = group_advantages(returns, 3, scale=scale)
    assert advantages.tolist() == [0, 0, 0, -1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert group_advantages(returns, 12).ne(0).all()  # one group of all would have compared them


@each_dtype
def test_small_differences_between_large_returns_are_still_differences(dtype):
    gap = 1000 * (1e-3 if dtype == torch.float32 else 1e-10)
    returns = torch.tensor([1000, 1000 + gap, 5, 7], dtype=dtype)
    agree(group_advantages(returns, 2).double(), exactly([-(0.5**0.5), 0.5**0.5] * 2), 1e-3)
    assert group_advantages(returns, 2, scale=False)[1].item() == pytest.approx(gap / 2, rel=1e-3)


@both
def test_what_is_added_to_a_whole_group_changes_nothing(advantages_of):
    returns, shift = random_returns(2, 12), exactly([3, -50, 700]).repeat_interleave(4)
    agree(advantages_of(returns + shift, 4), advantages_of(returns, 4), 1e-11)


def test_scaling_a_groups_returns_changes_scaled_advantages_in_nothing_and_the_others_in_proportion():
    returns, factor = random_returns(3, 8), exactly([0.01, 100]).repeat_interleave(4)
    agree(group_advantages(returns * factor, 4), group_advantages(returns, 4), 1e-11)
    agree(group_advantages(returns * factor, 4, scale=False), group_advantages(returns, 4, scale=False) * factor)
    agree(leave_one_out_advantages(returns * factor, 4), leave_one_out_advantages(returns, 4) * factor)


def test_leaving_oneself_out_is_the_groups_mean_by_a_factor_and_sums_to_nothing():
    returns = random_returns(4, 15)
    agree(leave_one_out_advantages(returns, 5), group_advantages(returns, 5, scale=False) * 5 / 4)
    agree(leave_one_out_advantages(returns, 5).view(3, 5).sum(dim=1), torch.zeros(3).double(), 1e-11)


def test_an_episodes_advantage_stands_on_each_of_its_live_steps():
    mask = torch.tensor([[True, True, False], [True, False, False], [True, False, True]])  # as many rows as steps
    assert on_every_step(exactly([2, -1, 3]), mask).tolist() == [[2, 2, 0], [-1, 0, 0], [3, 0, 3]]
    assert on_every_step(exactly([math.nan, 4]), torch.tensor([[False], [True]])).tolist() == [[0], [4]]
    for misshapen in (torch.zeros(2), torch.zeros(3, 1), torch.zeros(3, 3), torch.zeros(())):
        with pytest.raises(InvalidArgument, match="advantages"):
            on_every_step(misshapen, mask)


def test_each_baseline_of_reinforce_by_hand():
    returns, counts = exactly([1, 2, 3, 6, 100, 100]), torch.tensor([True] * 4 + [False] * 2)
    expected = {"none": [1, 2, 3, 6], "mean": [-2, -1, 0, 3], "leave_one_out": [-1, 1, -3, 3]}
    for baseline, numbers in expected.items():
        advantages = episode_advantages(returns, counts, ReinforceConfig(baseline=baseline, group_size=2))
        assert advantages.tolist() == [*numbers, 0, 0]


BAD = [
    ((6,), 1, "group_size=1"),
    ((6,), 0, "group_size=0"),
    ((6,), -2, "group_size=-2"),
    ((6,), 2.0, "group_size=2.0"),
    ((6,), 4, "group_size=4"),
    ((6, 2), 2, "(6, 2)"),
    ((), 2, "()"),
]


@both
@pytest.mark.parametrize("shape, size, word", BAD)
def test_what_is_no_whole_number_of_groups_is_refused(advantages_of, shape, size, word):
    with pytest.raises(InvalidArgument) as caught:
        advantages_of(torch.zeros(shape), size)
    assert word in str(caught.value) and ("pass" in str(caught.value) or "compare" in str(caught.value))


@both
def test_counts_of_another_shape_are_refused(advantages_of):
    for misshapen in (torch.ones(2).bool(), torch.ones(4, 1).bool(), torch.ones(()).bool()):
        with pytest.raises(InvalidArgument, match="episode_returns"):
            advantages_of(torch.zeros(4), 2, counts=misshapen)


@both
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_return_that_is_no_number_is_refused_and_never_a_silent_nothing(advantages_of, number):
    with pytest.raises(InvalidArgument, match=rf"episode_returns\[2\]={number}; look"):
        advantages_of(exactly([1, 2, number, 4]), 2)
