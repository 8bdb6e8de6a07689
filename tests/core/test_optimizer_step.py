"""The step of every update: told before it is taken when it would be none, or one to nowhere."""

import math
from dataclasses import replace

import pytest
import torch

from rl_core.adapters.language import TokenNetwork
from rl_core.algorithms.ppo import PPOConfig, played_batch, ppo
from rl_core.errors import InvalidArgument, InvalidState
from rl_core.evaluate import evaluate_actions, sample
from rl_core.losses.sft import sft_loss
from rl_core.optimize import live_cells, optimizer_step
from rl_core.rollout import relabel, rollout
from tests.support.updates import UPDATES, descend, played_in, weights
from tests.support.worlds import CARTPOLE, LANGUAGE, language_model, seeded

both_worlds = pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
each_update = pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)


class Scores:
    """A judge who gives each step one number, in float64."""

    def __init__(self, number):
        self.number = number

    def score(self, episodes):
        return torch.full(episodes.mask.shape, self.number, dtype=torch.float64)


def steep(learner):
    """Give the learner's first weight a slope that is not finite, whatever the loss."""
    parameter = next(learner.parameters())
    parameter.register_hook(lambda slope: slope * math.inf)


@both_worlds
@each_update
def test_a_gradient_that_is_not_finite_is_told_and_nothing_moves(world, update):
    learner = update.learner(world, dtype=torch.float64)
    before = weights(learner)
    steep(learner)
    with pytest.raises(InvalidArgument, match=r"grad_norm=(nan|inf) of a finite loss, and no step was taken; lower"):
        update.once(learner, world.network(seed=2, dtype=torch.float64), descend(learner), played_in(world), seeded(0))
    assert torch.equal(weights(learner), before)


def test_a_norm_that_overflows_is_told_too():
    network = CARTPOLE.network()
    for parameter in network.parameters():
        parameter.register_hook(lambda slope: torch.full_like(slope, 1e30))  # finite, and their squares are not
    before, played = weights(network), rollout(CARTPOLE.env(), network, seeded(0))
    with pytest.raises(InvalidArgument, match="grad_norm=inf"):
        ppo(network, None, descend(network), played, PPOConfig(), seeded(0))
    assert torch.equal(weights(network), before)


@both_worlds
@each_update
def test_a_frozen_learner_is_told(world, update):
    learner = update.learner(world, dtype=torch.float64)
    optimizer = descend(learner)
    learner.requires_grad_(False)
    with pytest.raises(InvalidArgument, match=r"no (weight|critic) that learns.*(pass|build)"):
        update.once(learner, world.network(seed=2, dtype=torch.float64), optimizer, played_in(world), seeded(0))


@both_worlds
@each_update
def test_an_optimizer_of_another_network_is_told(world, update):
    learner, other = (update.learner(world, dtype=torch.float64) for _ in range(2))
    before = weights(learner)
    with pytest.raises(InvalidArgument, match="optimizer holds no weight that the loss depends on; build it from"):
        update.once(learner, world.network(seed=2, dtype=torch.float64), descend(other), played_in(world), seeded(0))
    assert torch.equal(weights(learner), before) and torch.equal(weights(other), before)


@both_worlds
def test_ppo_without_a_critic_is_told_unless_it_is_meant(world):
    network = TokenNetwork(language_model("gpt2")) if world is LANGUAGE else CARTPOLE.network(critic=False)
    played = rollout(world.env(), network, seeded(0))
    with pytest.raises(InvalidArgument, match=r"value_weight=0\.5 and the network has no critic that learns; build"):
        ppo(network, None, descend(network), played, PPOConfig(), seeded(0))
    assert ppo(network, None, descend(network), played, PPOConfig(value_weight=0), seeded(0))["value_loss"] > 0


def test_a_part_in_which_nothing_counts_is_passed_over():
    network, plain = (CARTPOLE.network(dtype=torch.float64) for _ in range(2))
    shown = rollout(CARTPOLE.env(), network, seeded(0)).episodes()
    holed = replace(shown, mask=shown.mask & (torch.arange(len(shown)) != 2)[:, None])

    def loss_of(learner):
        return lambda part: sft_loss(evaluate_actions(learner, part).logprobs, part.mask)

    options = {"weight_of": live_cells, "max_grad_norm": None}
    optimizer_step(descend(network), holed, loss_of(network), micro_rows=1, **options)
    optimizer_step(descend(plain), holed, loss_of(plain), micro_rows=None, **options)
    torch.testing.assert_close(weights(network), weights(plain), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["ppo", "grpo"])
def test_the_limit_of_the_first_ratio_is_a_setting(name):
    def learn(**options):
        network = CARTPOLE.network()
        played = rollout(CARTPOLE.env(8, group_size=2), network, seeded(0))
        sound = network.forward
        network.forward = lambda prompt, obs: sound(prompt, obs + 1e-3 * torch.is_grad_enabled())
        return UPDATES[name].once(network, None, descend(network), played, seeded(0), **options)

    with pytest.raises(InvalidState, match=r"first_ratio=.* is not 1 within max_first_ratio_gap=1e-04.*larger limit"):
        learn()
    assert learn(max_first_ratio_gap=0.5)["first_ratio"] == learn(max_first_ratio_gap=None)["first_ratio"] > 1.0001


@both_worlds
def test_ppo_learns_from_what_it_finds_now_and_not_from_what_was_recorded(world):
    outcomes = []
    for shift in (0.0, 7.0):
        network, played = world.network(dtype=torch.float64), played_in(world)
        played = replace(played, logprobs=played.logprobs + shift * played.mask)
        UPDATES["ppo"].once(network, None, descend(network), played, seeded(0), max_sampler_gap=None)
        batch = played_batch(world.network(dtype=torch.float64), None, played, PPOConfig())
        outcomes.append((weights(network), batch.values * batch.mask, batch.returns, batch.logprobs * batch.mask))
    for plain, shifted in zip(*outcomes, strict=True):
        assert torch.equal(plain, shifted)
    assert outcomes[0][1].abs().max() > 0.01


@pytest.mark.parametrize("name", ["ppo", "grpo"])
def test_answers_that_were_cut_leave_fewer_minibatches_and_no_answer_is_told(name):
    network = LANGUAGE.network()
    played = rollout(LANGUAGE.env(8, group_size=2), network, seeded(3))
    few = replace(played, mask=played.mask & (torch.arange(8) < 3)[:, None])
    metrics = UPDATES[name].once(network, None, descend(network), few, seeded(0), minibatches=4)
    assert metrics["steps"] == few.mask.sum() and metrics["first_ratio"] == 1
    with pytest.raises(InvalidArgument, match=r"no live step in its 8 rows, whether cut.*play more rows"):
        UPDATES[name].once(network, None, descend(network), replace(played, mask=played.mask & False), seeded(0))


@pytest.mark.parametrize("row", [[0.0, math.nan], [0.0, math.inf], [-math.inf, -math.inf]])
@pytest.mark.parametrize("greedy", [True, False])
def test_logits_that_give_no_probabilities_are_told(row, greedy):
    with pytest.raises(InvalidArgument, match=r"logits of row 1 are not finite.*lower the learning rate"):
        sample(torch.tensor([[0.0, 0.0], row]), seeded(0), greedy=greedy)
    assert sample(torch.tensor([[0.0, -math.inf]] * 9), seeded(0), greedy=greedy)[0].eq(0).all()


def test_a_score_beyond_the_rewards_own_type_is_told():
    played = rollout(LANGUAGE.env(), LANGUAGE.network(), seeded(3))
    for score in (1e39, -1e300):
        with pytest.raises(InvalidArgument, match="finite: False; return one finite number"):
            relabel(played, Scores(score))


def test_the_norm_of_one_group_leaves_the_step_of_the_other_alone():
    small, large = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [small]}, {"params": [large]}], lr=1.0)
    played = rollout(CARTPOLE.env(), CARTPOLE.network(), seeded(3)).episodes()

    def loss_of(part):
        return (small * torch.tensor([0.3, 0.4])).sum() + (large * torch.tensor([30.0, 40.0])).sum(), {}

    metrics = optimizer_step(optimizer, played, loss_of, weight_of=live_cells, micro_rows=None, max_grad_norm=1.0)
    torch.testing.assert_close(small.detach(), -torch.tensor([0.3, 0.4]))  # a norm of 0.5 is under the limit
    torch.testing.assert_close(large.detach(), -torch.tensor([0.6, 0.8]))  # one of 50 is cut down to 1
    assert metrics["grad_norm"] == pytest.approx((0.5**2 + 50**2) ** 0.5)
