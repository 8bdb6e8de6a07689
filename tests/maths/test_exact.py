"""Group baselines, the KL in the loss and direct preference optimisation, against sums over a whole toy world."""

import math
from functools import partial
from itertools import combinations, product

import pytest
import torch

from rl_core.advantages import group_advantages, leave_one_out_advantages, on_every_step
from rl_core.losses.dpo import dpo_loss
from rl_core.losses.grpo import grpo_loss
from rl_core.losses.policy_gradient import policy_gradient_loss
from rl_core.losses.reward_model import bradley_terry_loss
from tests.support import numbers, toy_mdp

agree = partial(numbers.agree, tolerance=1e-14)
unscaled = partial(group_advantages, scale=False)


def expected_step(logits, returns, size, advantages_of, average):
    """Return the exact mean, over every group of so many trajectories, of the step that the group's loss asks for.

    The advantages are multiplied by what the loss divides by, so that "token" has a constant divisor (as Dr. GRPO has
    it), and "episode" each row's own length (as the paper has it). Divisors that a minibatch decides: see
    test_exact_averages.
    """
    groups = torch.tensor(list(product(range(len(toy_mdp.TRAJECTORIES)), repeat=size)))  # all of them, in every order
    chances = toy_mdp.probabilities(logits).detach()[groups].prod(dim=1).repeat_interleave(size)
    rows = groups.flatten()
    mask = toy_mdp.MASK[rows]
    divisor = mask.sum() if average == "token" else len(rows)  # of the loss, which is a mean over everything
    advantages = on_every_step(advantages_of(returns[rows], size) * chances / size * divisor, mask)
    logprobs = toy_mdp.step_logprobs(logits)[rows]
    old = logprobs.detach()
    loss, _ = grpo_loss(logprobs, old, old, advantages, mask, clip=0.2, beta=0.0, average=average)
    return -torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_groups_own_mean_gives_all_but_one_of_the_group_of_the_exact_gradient(seed, size):
    logits, rewards = toy_mdp.random_logits(seed), toy_mdp.random_step_rewards(seed)
    exact, returns = toy_mdp.exact_gradient(logits, rewards), toy_mdp.pack(rewards).sum(dim=1)
    agree(expected_step(logits, returns, size, unscaled, "token"), (size - 1) / size * exact)
    agree(expected_step(logits, returns, size, leave_one_out_advantages, "token"), exact)
    # Negative controls: dividing by the group's deviation, or by each answer's length, is another direction.
    for advantages_of, average in ((group_advantages, "token"), (unscaled, "episode"), (group_advantages, "episode")):
        step = expected_step(logits, returns, size, advantages_of, average)
        assert (step - step.mul(exact).sum() / exact.square().sum() * exact).norm() > 0.02 * step.norm()


def test_scaled_and_averaged_within_each_answer_the_direction_is_far_off():
    logits, rewards = toy_mdp.random_logits(0), toy_mdp.random_step_rewards(0)
    returns = toy_mdp.pack(rewards).sum(dim=1)
    for size in (2, 3):
        step = expected_step(logits, returns, size, group_advantages, "episode")
        assert 0.75 < toy_mdp.cosine(step, toy_mdp.exact_gradient(logits, rewards)) < 0.87


def test_averaged_within_each_answer_a_wrong_answer_is_punished_less_for_being_long():
    mask = torch.tensor([[True, False, False], [True, True, True]])
    wrong = on_every_step(torch.tensor([-1.0, -1.0]), mask)
    for average, expected in (("episode", [0.5, 0.5 / 3]), ("token", [0.25, 0.25])):
        logprobs = torch.full((2, 3), -1.0, requires_grad=True)
        old = logprobs.detach()
        loss, _ = grpo_loss(logprobs, old, old, wrong, mask, clip=None, beta=0.0, average=average)
        assert torch.autograd.grad(loss, logprobs)[0][:, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_reinforce_with_the_others_as_its_baseline_has_the_exact_gradient(seed):
    logits, rewards = toy_mdp.random_logits(seed), toy_mdp.random_step_rewards(seed)
    pairs = torch.tensor(list(product(range(15), repeat=2)))
    chances, rows = toy_mdp.probabilities(logits).detach()[pairs].prod(dim=1).repeat_interleave(2), pairs.flatten()
    mask, returns = toy_mdp.MASK[rows], toy_mdp.pack(rewards).sum(dim=1)[rows]
    advantages = leave_one_out_advantages(returns, 2) * chances / 2 * mask.sum()
    loss, _ = policy_gradient_loss(toy_mdp.step_logprobs(logits)[rows], on_every_step(advantages, mask), mask)
    agree(-torch.autograd.grad(loss, logits)[0], toy_mdp.exact_gradient(logits, rewards))


def sample_without_luck():
    """Return a policy's logits beside 64 trajectories in which each stands exactly as often as it is likely."""
    chances = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    logits = torch.tensor([chances[state % 3] for state in range(7)], dtype=torch.float64).log().requires_grad_()
    counts = (64 * toy_mdp.probabilities(logits).detach()).round().long()
    assert counts.sum() == 64 and counts.min() >= 1
    return logits, torch.arange(15).repeat_interleave(counts)


def kl_at_each_state(left, right):
    """Return KL(left || right) of the next token at each of the 7 states, from two tables of logits."""
    return (left.softmax(dim=1) * (left.log_softmax(dim=1) - right.log_softmax(dim=1))).sum(dim=1)


def test_the_kl_in_the_loss_is_that_of_the_reference_to_the_policy_where_the_policy_goes():
    logits, rows = sample_without_luck()
    ref_logits, mask = 2 * toy_mdp.random_logits(5).detach(), toy_mdp.MASK[rows]
    now, ref = toy_mdp.step_logprobs(logits)[rows], toy_mdp.step_logprobs(ref_logits)[rows]
    loss, _ = grpo_loss(now, now.detach(), ref, torch.zeros_like(ref), mask, clip=0.2, beta=0.5, average="token")
    step = torch.autograd.grad(loss, logits)[0]
    visits = torch.zeros(7).double().index_add(0, toy_mdp.STATES[rows][mask], torch.ones(mask.sum()).double())
    visits = visits / mask.sum()
    backward = torch.autograd.grad((visits * kl_at_each_state(ref_logits, logits)).sum(), logits)[0]
    forward = torch.autograd.grad((visits * kl_at_each_state(logits, ref_logits)).sum(), logits)[0]
    agree(step, 0.5 * backward)
    assert (step - 0.5 * forward).norm() > 0.2 * step.norm()
    agree(loss, 0.5 * (visits * kl_at_each_state(logits, ref_logits)).sum())  # as a value it is the other one


WORTH = torch.tensor([1, 2, 4])[torch.arange(15) % 3].double()  # e to the reward of each trajectory


def true_preferences():
    """Return (chosen, rejected): 30 verdicts on every two trajectories, as many for each as its true chance says."""
    chosen, rejected = [], []
    for left, right in combinations(range(15), 2):
        wins = 30 * WORTH[left] / (WORTH[left] + WORTH[right])  # 1/2, 2/3 or 4/5 of them
        assert wins == wins.round()
        chosen += [left] * int(wins) + [right] * (30 - int(wins))
        rejected += [right] * int(wins) + [left] * (30 - int(wins))
    return torch.tensor(chosen), torch.tensor(rejected)


def minimised(loss_of, start):
    """Return the tensor, from the start on, at which a loss is least."""
    table = start.detach().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [table], max_iter=200, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = loss_of(table)
        loss.backward()
        return loss

    optimizer.step(closure)
    return table.detach()


@pytest.mark.parametrize("beta", [0.2, 0.5, 2.0])
def test_dpo_on_true_preferences_ends_at_the_best_policy_that_pays_for_its_kl(beta):
    chosen, rejected = true_preferences()
    ref_logits = toy_mdp.random_logits(3).detach()
    ref = toy_mdp.step_logprobs(ref_logits).sum(dim=1)

    def loss_of(table):
        now = toy_mdp.step_logprobs(table).sum(dim=1)
        return dpo_loss(now[chosen], now[rejected], ref[chosen], ref[rejected], beta=beta)[0]

    logits, rewards = minimised(loss_of, ref_logits), WORTH.log()
    weights = toy_mdp.probabilities(ref_logits) * (rewards / beta).exp()
    best, probabilities = weights / weights.sum(), toy_mdp.probabilities(logits)
    assert (best * (best / probabilities).log()).sum().item() == pytest.approx(0, abs=1e-12)
    assert (best - toy_mdp.probabilities(ref_logits)).abs().max() > 0.01

    def worth(table):
        return toy_mdp.expected_return_of(table, rewards) - beta * toy_mdp.sequence_kl(table, ref_logits)

    optimum = beta * math.log(weights.sum().item())
    assert worth(logits).item() == pytest.approx(optimum, abs=1e-8)
    for other in (ref_logits, logits * 1.1, toy_mdp.random_logits(4).detach()):
        assert worth(other) < optimum - 1e-4


def test_bradley_terry_on_true_preferences_finds_the_rewards_up_to_a_constant():
    chosen, rejected = true_preferences()
    scores = minimised(lambda s: bradley_terry_loss(s[chosen], s[rejected])[0], torch.zeros(15).double())
    gaps = scores - WORTH.log()
    assert (gaps - gaps.mean()).abs().max() < 1e-7
