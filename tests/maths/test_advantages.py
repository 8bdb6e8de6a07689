"""Advantages against pencil sums, the forward view, another library, and exact expectations on a toy world."""

import math
from itertools import pairwise

import numpy
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.buffers import RolloutBuffer

from rl_core.advantages import gae, kl_shaped_rewards, normalize
from rl_core.errors import InvalidArgument, RLCoreError
from tests.support import toy_mdp
from tests.support.numbers import agree, exactly


def random_rows(seed, rows, steps):
    """Return rewards, values, terminated and mask of rows of every length, about half of them terminated."""
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(rows, steps, generator=generator, dtype=torch.float64)
    values = torch.randn(rows, steps + 1, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, steps + 1, (rows,), generator=generator)
    mask = torch.arange(steps) < lengths[:, None]
    ends = torch.rand(rows, generator=generator) < 0.5
    return rewards, values, (torch.arange(steps) == lengths[:, None] - 1) & ends[:, None], mask


def mean_of_n_step_returns(rewards, values, terminated, gamma, lam):
    """Return one row's lambda-returns as their definition has them: a weighted mean of n-step returns."""
    length, result = len(rewards), []
    for start in range(length):
        targets = []
        for n in range(1, length - start + 1):
            ended = terminated and start + n == length
            following = 0.0 if ended else gamma**n * values[start + n]
            targets.append(sum(gamma**k * rewards[start + k] for k in range(n)) + following)
        weights = [(1 - lam) * lam**n for n in range(len(targets) - 1)] + [lam ** (len(targets) - 1)]
        result.append(sum(weight * target for weight, target in zip(weights, targets, strict=True)))
    return result


def test_three_rows_agree_with_pencil_and_paper():
    rewards = exactly([[1, 2, 3], [1, 2, 3], [1, 2, 777]])
    values = exactly([[0.5, 1, 1.5, 2]] * 3)
    terminated = torch.tensor([[False] * 3, [False, False, True], [False] * 3])
    mask = torch.tensor([[True] * 3, [True] * 3, [True, True, False]])
    advantages, returns = gae(rewards, values, terminated, mask, gamma=0.5, lam=0.5)
    # Row 0: TD errors 1, 1.75, 2.5. Row 1: the last one is 3 - 1.5. Row 2: two steps, then 1.5 is to come.
    assert advantages.tolist() == [[1.59375, 2.375, 2.5], [1.53125, 2.125, 1.5], [1.4375, 1.75, 0]]
    assert returns.tolist() == [[2.09375, 3.375, 4.0], [2.03125, 3.125, 3.0], [1.9375, 2.75, 0]]


@pytest.mark.parametrize("rows, steps", [(4, 4), (3, 5), (5, 3), (1, 1), (1, 6), (6, 1)])
@pytest.mark.parametrize("gamma, lam", [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0), (0.0, 0.5), (1.0, 0.3)])
def test_gae_is_the_weighted_mean_of_n_step_returns(rows, steps, gamma, lam):
    rewards, values, terminated, mask = random_rows(rows * 10 + steps, rows, steps)
    advantages, returns = gae(rewards, values, terminated, mask, gamma=gamma, lam=lam)
    assert advantages.shape == returns.shape == (rows, steps) and returns.dtype == torch.float64
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        told = rewards[row, :length].tolist(), values[row].tolist(), terminated[row].any().item()
        expected = exactly(mean_of_n_step_returns(*told, gamma, lam))
        agree(returns[row, :length], expected)
        agree(advantages[row, :length], expected - values[row, :length])
        assert (advantages[row, length:] == 0).all() and (returns[row, length:] == 0).all()


def test_gae_agrees_with_stable_baselines_on_a_hundred_random_rollouts():
    for seed in range(120):
        random = numpy.random.default_rng(seed)
        steps, gamma, lam = int(random.integers(2, 30)), random.uniform(0, 1), random.uniform(0, 1)
        rewards, values = random.normal(size=steps), random.normal(size=steps + 1)
        ended = random.random(steps) < 0.2
        buffer = RolloutBuffer(steps, Box(-1, 1, (1,)), Discrete(2), "cpu", lam, gamma)
        buffer.rewards, buffer.values = rewards[:, None], values[:-1, None]
        buffer.episode_starts = numpy.concatenate([[1.0], ended[:-1]]).astype(float)[:, None]
        buffer.advantages = numpy.zeros((steps, 1))
        buffer.compute_returns_and_advantage(torch.tensor(values[-1:]), ended[-1:])
        cuts = sorted({0, steps, *(numpy.flatnonzero(ended) + 1).tolist()})
        pieces = list(pairwise(cuts))
        ours = torch.full((len(pieces), steps), 1e3, dtype=torch.float64)
        state_values = torch.full((len(pieces), steps + 1), -1e3, dtype=torch.float64)
        mask, terminated = torch.zeros(len(pieces), steps).bool(), torch.zeros(len(pieces), steps).bool()
        for row, (start, stop) in enumerate(pieces):
            ours[row, : stop - start] = torch.tensor(rewards[start:stop])
            state_values[row, : stop - start + 1] = torch.tensor(values[start : stop + 1])
            mask[row, : stop - start], terminated[row, stop - start - 1] = True, bool(ended[stop - 1])
        advantages, returns = gae(ours, state_values, terminated, mask, gamma=gamma, lam=lam)
        agree(advantages[mask], buffer.advantages[:, 0])
        agree(returns[mask], buffer.returns[:, 0])


def test_with_lambda_one_the_advantage_is_the_discounted_return_less_the_value():
    rewards, values, _, mask = random_rows(3, 5, 7)
    terminated = mask & (mask.cumsum(dim=1) == mask.sum(dim=1, keepdim=True))
    advantages, _ = gae(rewards, values, terminated, mask, gamma=0.9, lam=1.0)
    for row, step in mask.nonzero().tolist():
        left = rewards[row, step : int(mask[row].sum())]
        agree(advantages[row, step], (left * 0.9 ** torch.arange(len(left)).double()).sum() - values[row, step])


def test_with_lambda_zero_the_advantage_is_the_temporal_difference_error():
    rewards, values, terminated, mask = random_rows(4, 5, 7)
    advantages, returns = gae(rewards, values, terminated, mask, gamma=0.9, lam=0.0)
    target = rewards + 0.9 * torch.where(terminated, 0, values[:, 1:])
    agree(advantages[mask], (target - values[:, :-1])[mask])
    agree(returns[mask], target[mask])


def test_a_truncated_row_bootstraps_from_its_own_last_state_and_a_terminated_one_does_not():
    values = torch.arange(20, dtype=torch.float64).reshape(4, 5)  # each state is worth its own number
    mask = torch.arange(4) < torch.tensor([[2], [4], [1], [4]])
    terminated = torch.zeros(4, 4, dtype=torch.bool)
    terminated[2, 0] = terminated[3, 3] = True
    _, returns = gae(torch.zeros(4, 4).double(), values, terminated, mask, gamma=1.0, lam=1.0)
    assert returns.tolist() == [[2, 2, 0, 0], [9, 9, 9, 9], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_an_endless_task_seen_through_eight_step_windows_is_worth_fifty():
    mask, never = torch.ones(1, 8).bool(), torch.zeros(1, 8).bool()
    for lam in (0.0, 0.9, 1.0):
        value = 0.0
        for _ in range(1500):
            values = torch.full((1, 9), value, dtype=torch.float64)
            value = gae(torch.ones(1, 8).double(), values, never, mask, gamma=0.98, lam=lam)[1].mean().item()
        assert value == pytest.approx(50.0, abs=1e-6)


def test_changing_the_rewards_of_another_row_changes_nothing():
    rewards, values, terminated, mask = random_rows(5, 4, 6)
    before = gae(rewards, values, terminated, mask, gamma=0.9, lam=0.8)
    rewards[1] += 100.0
    values[1] -= 50.0
    for old, new in zip(before, gae(rewards, values, terminated, mask, gamma=0.9, lam=0.8), strict=True):
        assert torch.equal(old[[0, 2, 3]], new[[0, 2, 3]]) and not torch.equal(old[1], new[1])


@pytest.mark.parametrize("junk", [1e6, float("nan"), float("inf")])
def test_what_stands_after_the_end_of_a_row_changes_nothing(junk):
    rewards, values, terminated, mask = random_rows(6, 6, 5)
    lengths = mask.sum(dim=1, keepdim=True)
    ended = terminated.any(dim=1, keepdim=True)
    clean = gae(rewards, values, terminated, mask, gamma=0.9, lam=0.8)
    beyond = (torch.arange(6) > lengths) | ((torch.arange(6) == lengths) & ended)
    dirty = rewards.masked_fill(~mask, junk), values.masked_fill(beyond, junk), terminated | ~mask
    for expected, result in zip(clean, gae(*dirty, mask, gamma=0.9, lam=0.8), strict=True):
        assert torch.equal(expected, result)
    assert torch.equal(normalize(rewards, mask), normalize(dirty[0], mask))
    shaped = kl_shaped_rewards(dirty[0], dirty[0], dirty[0], mask, beta=0.1)
    assert (shaped[~mask] == 0).all() and shaped[mask].isfinite().all()


def test_a_final_score_with_nothing_expected_is_every_tokens_advantage():
    rewards = exactly([[0, 0, 5, 0], [-2, 0, 0, 0], [0, 0, 0, 3]])
    mask = torch.arange(4) < torch.tensor([[3], [1], [4]])
    terminated = torch.arange(4) == torch.tensor([[2], [0], [3]])
    advantages, _ = gae(rewards, torch.zeros(3, 5).double(), terminated, mask, gamma=1.0, lam=1.0)
    assert advantages.tolist() == [[5, 5, 5, 0], [-2, 0, 0, 0], [3, 3, 3, 3]]


@pytest.mark.parametrize("seed", range(5))
def test_on_the_toy_world_the_true_values_give_the_exact_gradient_for_every_lambda(seed):
    logits, rewards = toy_mdp.random_logits(seed), toy_mdp.random_step_rewards(seed)
    exact = toy_mdp.exact_gradient(logits, rewards)

    def gradient(values, lam):
        told = toy_mdp.pack(rewards), toy_mdp.pack_values(values), toy_mdp.TERMINATED, toy_mdp.MASK
        return toy_mdp.score_function_gradient(logits, gae(*told, gamma=1.0, lam=lam)[0])

    true, nothing = toy_mdp.exact_values(logits, rewards), torch.zeros(7).double()
    assert toy_mdp.probabilities(logits).sum().item() == pytest.approx(1, abs=1e-15)
    assert toy_mdp.expected_return(logits, rewards).item() == pytest.approx(true[0].item(), abs=1e-14)
    for lam in (0.0, 0.5, 0.95, 1.0):
        agree(gradient(true, lam), exact, 1e-14)
    for wrong in (nothing, true * 3 + 1, toy_mdp.random_logits(seed + 50)[:, 0].detach()):
        agree(gradient(wrong, 1.0), exact, 1e-14)
    # Negative controls: without the true values, a lambda below 1 is biased, and the more the smaller it is.
    slightly, badly = ((gradient(nothing, lam) - exact).norm() / exact.norm() for lam in (0.95, 0.0))
    assert 1e-3 < slightly < badly and toy_mdp.cosine(gradient(nothing, 0.0), exact) < 0.99


@pytest.mark.parametrize("dtype, offset, tolerance", [(torch.float64, 3, 1e-6), (torch.float32, 1000, 1e-3)])
def test_normalized_cells_have_mean_zero_and_population_deviation_one(dtype, offset, tolerance):
    for rows, steps in ((4, 4), (3, 7)):
        rewards, _, _, mask = random_rows(7, rows, steps)
        result = normalize((rewards + offset).to(dtype), mask)
        live = result[mask].tolist()
        assert result.dtype == dtype and (result[~mask] == 0).all()
        assert math.fsum(live) / len(live) == pytest.approx(0, abs=tolerance)
        assert math.fsum(cell**2 for cell in live) / len(live) == pytest.approx(1, abs=tolerance)
        assert torch.equal(result[mask].argsort(), rewards[mask].argsort())
    # Mean 3, population variance (4 + 0 + 4) / 3; the masked 99 has no say.
    mask = torch.tensor([[True, True], [False, True]])
    agree(normalize(exactly([[1, 3], [99, 5]]), mask), exactly([[-(1.5**0.5), 0], [0, 1.5**0.5]]), 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cells", [1, 8, 10, 1000])
def test_equal_cells_and_a_single_cell_are_normalized_to_zero(dtype, cells):
    for number in (0.1, 0.0, 1e4 / 3):
        mask = torch.arange(cells + 1)[None] < cells
        assert (normalize(torch.full((1, cells + 1), number, dtype=dtype), mask) == 0).all()


def test_shaped_rewards_pay_beta_for_every_nat_the_policy_moved_from_the_reference():
    logprobs, ref_logprobs = exactly([[-1, -2, -0.5], [-3, -1, 7]]), exactly([[-2, -1, -0.5], [-1, -1.5, 9]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    shaped = kl_shaped_rewards(exactly([[0, 0, 1], [0, 2, 5]]), logprobs, ref_logprobs, mask, beta=0.5)
    assert shaped.tolist() == [[-0.5, 0.5, 1.0], [1.0, 1.75, 0.0]]


def test_only_k1_in_the_reward_gives_the_exact_gradient_of_the_sequence_kl():
    logits, ref_logits = toy_mdp.random_logits(7), toy_mdp.random_logits(8)
    now, ref, mask = toy_mdp.step_logprobs(logits).detach(), toy_mdp.step_logprobs(ref_logits).detach(), toy_mdp.MASK
    exact = torch.autograd.grad(toy_mdp.sequence_kl(logits, ref_logits), logits)[0]
    nothing, unexpected = torch.zeros(15, 3).double(), torch.zeros(15, 4).double()
    shaped = kl_shaped_rewards(nothing, now, ref, mask, beta=0.5)
    to_go, _ = gae(shaped, unexpected, toy_mdp.TERMINATED, mask, gamma=1.0, lam=1.0)
    agree(toy_mdp.score_function_gradient(logits, to_go), -0.5 * exact, 1e-14)
    # Negative controls: k2 of each token in the loss (its slope is now - ref), and k3 in the reward.
    assert toy_mdp.cosine(toy_mdp.score_function_gradient(logits, now - ref), exact) < 0.99
    k3 = torch.where(mask, (ref - now).exp() - 1 - (ref - now), 0.0)
    to_go, _ = gae(-k3, unexpected, toy_mdp.TERMINATED, mask, gamma=1.0, lam=1.0)
    assert toy_mdp.cosine(toy_mdp.score_function_gradient(logits, to_go), -exact) < 0.99


BAD = [(gae, name, value) for name in ("gamma", "lam") for value in (1.01, -0.1, 2, float("nan"))]


@pytest.mark.parametrize("function, name, value", [*BAD, (kl_shaped_rewards, "beta", -0.25)])
def test_a_number_out_of_range_is_refused_by_name_and_value(function, name, value):
    ones, mask = torch.ones(2, 2), torch.ones(2, 2).bool()
    good = {gae: {"gamma": 1, "lam": 1}, kl_shaped_rewards: {"beta": 0}}[function]
    inputs = {gae: (ones, torch.ones(2, 3), mask, mask), kl_shaped_rewards: (ones, ones, ones, mask)}[function]
    function(*inputs, **good)
    with pytest.raises(InvalidArgument, match=rf"\b{name}\b") as caught:
        function(*inputs, **{**good, name: value})
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, RLCoreError)
    assert str(value) in str(caught.value)
