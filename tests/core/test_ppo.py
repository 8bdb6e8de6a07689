"""Proximal policy optimisation as a whole: it learns, and it learns the right thing."""

import copy
from dataclasses import replace

import pytest
import torch

from rl_core.algorithms.ppo import PPOConfig, explained_variance, played_batch, ppo
from rl_core.rollout import rollout
from rl_core.types import Episodes, Output, Prompt, Rollout, ValuedBatch
from tests.support.bandits import bandit_of_poles, bandit_of_tokens
from tests.support.scripted import Echo, scripted
from tests.support.worlds import CARTPOLE, LANGUAGE, seeded

both_worlds = pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])


def test_a_row_cut_off_early_is_worth_what_it_saw_last_and_not_nothing():
    env = scripted((3, True, False), (3, False, True), (3, True, True), (9, True, False), window=5)
    network = Echo()
    played = rollout(env, network, seeded(0))
    played = replace(played, rewards=torch.zeros_like(played.rewards))
    batch = played_batch(network, None, played, PPOConfig(gamma=1.0, lam=1.0))
    # Without rewards, discount or shortcuts a step's return is what lies beyond the row's end.
    expected = [[0, 0, 0], [1103, 1103, 1103], [0, 0, 0], [3105, 3105, 3105, 3105, 3105]]
    for row, returns in enumerate(expected):
        assert batch.returns[row, played.mask[row]].tolist() == returns


class OneState(torch.nn.Module):
    """A policy and a critic of a world with one state: three numbers."""

    memoryless = True

    def __init__(self):
        super().__init__()
        self.logits, self.value = (torch.nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in (2, 1))

    def forward(self, prompt, obs):
        return Output(self.logits.expand(*obs.shape, 2), self.value.expand(obs.shape))


def test_an_endless_reward_of_one_is_worth_fifty_although_rows_are_cut_off():
    mask = torch.arange(8) < torch.tensor([8, 5, 1, 8])[:, None]  # cut off at different times
    empty, obs = Prompt.empty(4), torch.zeros(4, 8, dtype=torch.int64)
    network = OneState()
    # The critic's loss is half a square, so that a step of 1 puts the value on the mean return exactly.
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    config = PPOConfig(gamma=0.98, value_weight=1.0, max_grad_norm=None, max_sampler_gap=None, epochs=1, minibatches=1)
    for _ in range(200):
        played = Rollout(empty, obs, obs, mask, obs[:, 0], obs * 0.0, mask.double(), torch.zeros_like(mask))
        ppo(network, None, optimizer, played, config, seeded(0))
    assert network.value.item() == pytest.approx(1 / (1 - 0.98), abs=1)


@pytest.mark.parametrize("build", [bandit_of_poles, bandit_of_tokens])
def test_what_pays_becomes_likelier_and_only_where_there_is_a_learning_rate(build):
    for rate, low, high in ((0.05, 0.9, 1.0), (0.0, 0.0, 0.75)):
        env, network = build()
        optimizer = torch.optim.Adam(network.parameters(), lr=rate)
        generator, config = seeded(2), PPOConfig(minibatches=2, lam=1.0, gamma=1.0)
        before = rollout(env, network, seeded(9)).rewards.sum()
        for _ in range(15):
            ppo(network, None, optimizer, rollout(env, network, generator), config, generator)
        means = [rollout(env, network, generator).rewards.mean().item() for _ in range(4)]
        assert low <= sum(means) / 4 <= high
        assert rate or rollout(env, network, seeded(9)).rewards.sum() == before


@pytest.mark.parametrize("build", [bandit_of_poles, bandit_of_tokens])
def test_a_policy_that_pays_for_its_kl_stops_where_the_price_is_the_gain(build):
    env, network = build(256)
    reference = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, 25)
    config = PPOConfig(beta=1.0, gamma=1.0, lam=1.0, minibatches=2)
    for _ in range(25):
        played = rollout(env, network, seeded(schedule.last_epoch))
        ppo(network, reference, optimizer, played, config, seeded(schedule.last_epoch))
        schedule.step()
    prompt, first = env.reset()
    now, then = (n(prompt, first.obs[:, None]).logits[0, 0].softmax(dim=-1) for n in (network, reference))
    weights = then * torch.exp((torch.arange(len(then)) == 1).float())  # the reference x exp(reward / beta)
    assert then[1] < 0.65
    assert now[1].item() == pytest.approx((weights / weights.sum())[1].item(), abs=0.05)


@both_worlds
def test_metrics_are_what_can_be_counted_from_the_rollout(world):
    network, reference = world.network(dtype=torch.float64), world.network(seed=2, dtype=torch.float64)
    played = rollout(world.env(), network, seeded(3))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    metrics = ppo(network, reference, optimizer, played, PPOConfig(minibatches=2), seeded(0))
    live = played.mask
    assert metrics["steps"] == live.sum()
    assert metrics["reward"] == pytest.approx(played.rewards[live].mean().item(), abs=1e-6)
    ref_logprobs = reference(played.prompt, played.obs).logits.log_softmax(dim=-1)
    ref_logprobs = ref_logprobs.gather(-1, played.actions[..., None])[..., 0]
    assert metrics["kl"] == pytest.approx((played.logprobs - ref_logprobs)[live].mean().item(), abs=1e-9)
    assert metrics["clip_fraction"] == 0 and metrics["ratio_gap"] < 1e-12 and metrics["sampler_gap"] < 1e-12


@pytest.mark.parametrize(
    "returns, values, share",
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0, 2.0], 2 / 3),  # errors 0, 0, 1: variance 2/9 of 6/9
        ([1.0, 2.0, 3.0], [11.0, 12.0, 13.0], 1.0),  # a constant is no error of this kind
        ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], 0.0),
        ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0], -3.0),  # worse than saying nothing
        ([4.0, 4.0, 4.0], [1.0, 2.0, 3.0], 0.0),  # nothing to explain
        ([0.7, 0.7, 0.7], [0.1, 0.2, 0.3], 0.0),  # nor here, although their mean is rounded
        ([33.3, 33.3, 33.3], [1.0, 2.0, 3.0], 0.0),
        ([0.7, 0.7, 0.70003], [1000.0, 2000.0, 3000.0], 0.0),  # rounded as the values are that were added up again
    ],
)
def test_explained_variance_by_hand(returns, values, share):
    junk = torch.tensor([[99.0]])
    mask = torch.tensor([[True, True, True, False]])
    returns, values = (
        torch.cat([torch.tensor([row]), sign * junk], dim=1) for row, sign in ((returns, 1), (values, -1))
    )
    zeros = torch.zeros(1, 4)
    batch = ValuedBatch.of(
        Episodes(Prompt.empty(1), zeros, zeros.long(), mask),
        logprobs=zeros,
        ref_logprobs=zeros,
        advantages=zeros,
        raw_advantages=zeros,
        values=values,
        returns=returns,
    )
    assert explained_variance(batch) == pytest.approx(share, abs=1e-6)
