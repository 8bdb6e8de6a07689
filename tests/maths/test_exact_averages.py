"""What each average of a loss does to the expected step, over every minibatch that the toy world can deal."""

from collections import Counter
from functools import partial
from itertools import combinations_with_replacement
from math import factorial, prod

import pytest
import torch

from rl_core.advantages import group_advantages, leave_one_out_advantages, on_every_step
from rl_core.losses.grpo import grpo_loss
from rl_core.losses.policy_gradient import policy_gradient_loss
from tests.support import toy_mdp

unscaled = partial(group_advantages, scale=False)


def unordered(items, size):
    """Return every choice of so many items, order aside, beside in how many orders it comes."""
    choices = combinations_with_replacement(items, size)
    return [(choice, factorial(size) // prod(map(factorial, Counter(choice).values()))) for choice in choices]


def grpo_step(average):
    """Return the loss of one minibatch, with its own divisor."""

    def loss_of(logprobs, advantages, mask):
        old = logprobs.detach()
        return grpo_loss(logprobs, old, old, advantages, mask, clip=0.2, beta=0.0, average=average)[0]

    return loss_of


def reinforce_step(logprobs, advantages, mask):
    return policy_gradient_loss(logprobs, advantages, mask)[0]


def expected_step(logits, rewards, size, groups, loss_of, advantages_of=unscaled):
    """Return the exact mean step over every minibatch of so many groups of so many trajectories."""
    chances, logprobs = toy_mdp.probabilities(logits).tolist(), toy_mdp.step_logprobs(logits)
    returns, total = toy_mdp.pack(rewards).sum(dim=1), 0.0
    for minibatch, orders in unordered(unordered(range(len(chances)), size), groups):
        rows = [row for group, _ in minibatch for row in group]
        chance = orders * prod(orders_within for _, orders_within in minibatch) * prod(chances[row] for row in rows)
        mask = toy_mdp.MASK[rows]
        advantages = on_every_step(advantages_of(returns[rows], size), mask)
        total = total + chance * loss_of(logprobs[rows], advantages, mask)
    return -torch.autograd.grad(total, logits)[0]


def off(step, expected):
    """Return how far a step is from another, as a share of that one's length."""
    return ((step - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("size, groups", [(2, 1), (3, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_averaged_by_episode_each_trajectory_counts_by_one_over_its_length(seed, size, groups):
    logits, rewards = toy_mdp.random_logits(seed), toy_mdp.random_step_rewards(seed)
    chances, returns = toy_mdp.probabilities(logits), toy_mdp.pack(rewards).sum(dim=1)
    weights = (chances * (returns - (chances * returns).sum()) / toy_mdp.LENGTHS).detach()
    slopes = torch.autograd.grad((weights * chances.log()).sum(), logits)[0]
    step = expected_step(logits, rewards, size, groups, grpo_step("episode"))
    torch.testing.assert_close(step, (size - 1) / size * slopes, rtol=1e-12, atol=1e-14)


# From the sum of chance x advantage x slope / tokens over all groups, with no function of the core.
BIAS = {(0, 2): 0.2010, (1, 2): 0.0982, (2, 2): 0.1269, (0, 3): 0.1256, (1, 3): 0.0818, (2, 3): 0.0800}


@pytest.mark.parametrize("seed, size", BIAS)
def test_averaged_by_token_a_lone_group_is_off_by_what_its_lengths_have_to_do_with_its_rewards(seed, size):
    logits, rewards = toy_mdp.random_logits(seed), toy_mdp.random_step_rewards(seed)
    mean_length = (toy_mdp.probabilities(logits).detach() * toy_mdp.LENGTHS).sum()
    unbiased = toy_mdp.exact_gradient(logits, rewards) / mean_length
    step = expected_step(logits, rewards, size, 1, grpo_step("token"))
    assert off(step, (size - 1) / size * unbiased) == pytest.approx(BIAS[seed, size], abs=1e-4)
    if size == 2:  # the loss of REINFORCE has the same divisor
        step = expected_step(logits, rewards, size, 1, reinforce_step, leave_one_out_advantages)
        assert off(step, unbiased) == pytest.approx(BIAS[seed, size], abs=1e-4)


def test_averaged_by_token_two_groups_in_a_minibatch_halve_the_bias_and_more():
    logits, rewards = toy_mdp.random_logits(0), toy_mdp.random_step_rewards(0)
    mean_length = (toy_mdp.probabilities(logits).detach() * toy_mdp.LENGTHS).sum()
    unbiased = toy_mdp.exact_gradient(logits, rewards) / mean_length
    step = expected_step(logits, rewards, 2, 2, grpo_step("token"))
    assert off(step, unbiased / 2) == pytest.approx(0.0908, abs=1e-4)
