"""Supervised fine-tuning: what was shown becomes as likely as it was shown, and nothing else matters."""

from dataclasses import replace

import pytest
import torch

from rl_core.adapters.gym import MLPNetwork
from rl_core.algorithms.sft import SFTConfig, sft
from rl_core.evaluate import evaluate_actions
from rl_core.losses.sft import sft_loss
from rl_core.rollout import rollout
from rl_core.types import Episodes, Prompt
from tests.support.worlds import CARTPOLE, LANGUAGE, WORLDS, seeded, token_network

each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)


def shown_by(actions, obs=None, mask=None):
    """Return episodes of the given actions [B, T], without a prompt, that look at one thing only."""
    obs = torch.zeros_like(actions) if obs is None else obs
    mask = torch.ones_like(actions, dtype=torch.bool) if mask is None else mask
    return Episodes(Prompt.empty(len(actions)), obs, actions, mask)


NETWORKS = {
    "perceptron": lambda: MLPNetwork((), 2, 2, hidden=8, generator=seeded(1)),
    "language model": lambda: token_network("llama", None),
}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_the_policy_reaches_the_frequencies_it_was_shown(build):
    network = build()
    actions = torch.tensor([[1]] * 7 + [[0]] * 3 + [[0]] * 9 + [[1]] * 1)
    obs = torch.tensor([[0]] * 10 + [[1]] * 10)  # 7 in 10 go right at 0, 1 in 10 at 1
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(100):
        metrics = sft(network, optimizer, shown_by(actions, obs), SFTConfig(minibatch_rows=20), seeded(0))
    chances = network(Prompt.empty(2), torch.tensor([[0], [1]])).logits.softmax(dim=-1)[:, 0]
    assert chances[:, 1].tolist() == pytest.approx([0.7, 0.1], abs=0.01)
    # the entropy of what was shown, below which no policy comes: (H(0.7) + H(0.1)) / 2
    assert metrics["loss"] == pytest.approx(0.467973, abs=2e-3)


@each_world
def test_actions_that_do_not_count_have_no_gradient(world, device):
    network = world.network(device=device, dtype=torch.float64)
    played = rollout(world.env(device=device), network, seeded(3, device)).episodes()
    holes = played.mask & (torch.arange(played.mask.shape[1], device=device) % 3 != 1)  # as in a chat of several turns
    gradients = []
    for actions in (played.actions, torch.where(holes, played.actions, (played.actions + 1) % 2)):
        shown = Episodes(played.prompt, played.obs, actions, holes)
        loss, _ = sft_loss(evaluate_actions(network, shown).logprobs, shown.mask)
        slopes = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
        gradients.append(torch.cat([slope.flatten() for slope in slopes if slope is not None]))
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0


@each_world
def test_the_logits_of_masked_steps_get_exactly_nothing(world, device):
    network = world.network(device=device)
    played = rollout(world.env(device=device), network, seeded(3, device)).episodes()
    logits = []

    def listening(prompt, obs):
        output = network(prompt, obs)
        output.logits.retain_grad()
        logits.append(output.logits)
        return output

    holes = played.mask & (torch.arange(played.mask.shape[1], device=device) % 2 == 0)
    loss, _ = sft_loss(
        evaluate_actions(listening, Episodes(played.prompt, played.obs, played.actions, holes)).logprobs, holes
    )
    loss.backward()
    slopes = logits[0].grad.abs().sum(dim=-1)
    assert (slopes[~holes] == 0).all() and (slopes[holes] > 0).all()


@pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
def test_rows_in_which_nothing_counts_change_nothing(world, device):
    results = []
    played = rollout(world.env(device=device), world.network(device=device), seeded(3, device)).episodes()
    counting = torch.tensor([True, False, True, False, False, True, True, False], device=device)
    silenced = replace(played, mask=played.mask & counting[:, None])
    for shown in (silenced, silenced.rows(counting)):
        network = world.network(device=device, dtype=torch.float64)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        config = SFTConfig(minibatch_rows=4 if not network.memoryless else 1000)
        metrics = sft(network, optimizer, shown, config, seeded(0, device))
        results.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
        assert metrics["steps"] == silenced.mask.sum() and metrics["loss"] > 0
    torch.testing.assert_close(*results, rtol=0, atol=1e-12)


def test_every_row_is_shown_once_a_pass(device):
    network, seen = token_network("llama", None, device=device), []
    forward = network.forward
    network.forward = lambda prompt, obs: seen.append(obs[:, 0].tolist()) or forward(prompt, obs)
    actions = torch.arange(10, device=device)[:, None].expand(10, 3)
    obs = actions.clone()
    mask = torch.arange(3, device=device) < torch.tensor([1, 2, 3, 1, 2, 3, 1, 2, 3, 1], device=device)[:, None]
    shown = Episodes(Prompt.empty(10, device), obs, actions, mask)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    sft(network, optimizer, shown, SFTConfig(minibatch_rows=4, micro_rows=3), seeded(0, device))
    assert sorted(row for rows in seen for row in rows) == list(range(10))
    assert sorted(map(len, seen)) == [1, 1, 2, 3, 3]  # 4, 4 and 2 rows, three at a time


def test_every_token_weighs_the_same_whatever_the_length_of_its_neighbours():
    # Short rows say 1, long ones 0, and rows of like length come together. Small steps of a pass add up to one step
    # down the mean over all tokens; were each minibatch divided by its own tokens, the short rows would win.
    lengths = torch.tensor([1, 1, 1, 1, 5, 5, 5, 5])[:, None]
    actions, mask = (lengths == 1).long().expand(8, 5), torch.arange(5) < lengths
    shown = shown_by(actions, torch.zeros_like(actions), mask)
    network = token_network("llama", None, dtype=torch.float64)
    weights = list(network.parameters())
    loss, _ = sft_loss(evaluate_actions(network, shown).logprobs, mask)
    slope = torch.cat([x.flatten() for x in torch.autograd.grad(loss, weights)])
    before = torch.cat([x.detach().flatten() for x in weights])
    sft(network, torch.optim.SGD(weights, lr=1e-7), shown, SFTConfig(minibatch_rows=4, max_grad_norm=None), seeded(0))
    moved = torch.cat([x.detach().flatten() for x in weights]) - before
    torch.testing.assert_close(moved / 1e-7, -2 * slope, rtol=0, atol=1e-4)  # two steps
