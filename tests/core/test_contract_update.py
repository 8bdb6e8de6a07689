"""What an update by PPO does in every world: its first ratio and gradient, cutting, and who is learnt from."""

from dataclasses import replace

import pytest
import torch

from rl_core.algorithms.ppo import PPOConfig, played_batch, ppo
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions
from rl_core.losses.ppo import ppo_loss
from rl_core.losses.sft import sft_loss
from rl_core.rollout import rollout
from tests.support.updates import descend, fitting, weights
from tests.support.worlds import CARTPOLE, LANGUAGE, WORLDS, seeded

each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
MEMORYLESS = {name: world for name, world in WORLDS.items() if world.network().memoryless}
PLAIN = PPOConfig(beta=0.1, entropy_weight=0.01, epochs=2, minibatches=2, max_grad_norm=None)


def play(world, device, dtype=torch.float64, **options):
    """Return a network, another as its reference, and what it played."""
    network = world.network(device=device, dtype=dtype)
    played = rollout(world.env(device=device, **options), network, seeded(3, device))
    return network, world.network(seed=2, device=device, dtype=dtype), played


@each_world
@pytest.mark.parametrize("micro_rows", [None, 1, 3])
def test_the_first_ratio_is_exactly_one(world, micro_rows, device):
    network, reference, played = play(world, device, torch.float32, rows=6)
    config = fitting(PPOConfig(epochs=2, minibatches=3, micro_rows=micro_rows), network)
    for _ in range(2):
        metrics = ppo(network, reference, descend(network), played, config, seeded(0, device))
        assert metrics["first_ratio"] == 1.0
        assert metrics["ratio_gap"] > 0 and metrics["sampler_gap"] < 1e-4
        played = rollout(world.env(6, device=device, seed=9), network, seeded(4, device))


@each_world
def test_the_first_gradient_is_that_of_the_old_log_probabilities_themselves(world, device):
    network, _, played = play(world, device)
    config = replace(PLAIN, beta=0.0, entropy_weight=0.0, value_weight=0.0, epochs=1, minibatches=1)
    before = weights(network)
    batch = played_batch(network, None, played, config)
    surrogate = (evaluate_actions(network, played.episodes()).logprobs * batch.advantages)[played.mask].mean()
    slopes = torch.autograd.grad(surrogate, list(network.parameters()), allow_unused=True)
    flat = [torch.zeros_like(p) if s is None else s for p, s in zip(network.parameters(), slopes, strict=True)]
    expected = before + 0.05 * torch.cat([slope.flatten() for slope in flat])
    ppo(network, None, descend(network), played, config, seeded(0, device))
    torch.testing.assert_close(weights(network), expected, rtol=0, atol=1e-11)
    assert (weights(network) - before).abs().max() > 1e-6


def test_a_rollout_is_not_cut_into_steps(device):
    _network, _reference, played = play(CARTPOLE, device)
    with pytest.raises(InvalidArgument, match=r"last_obs of a Rollout belongs to whole rows; take its episodes\(\)"):
        played.as_steps()


@pytest.mark.parametrize("world", MEMORYLESS.values(), ids=MEMORYLESS)
def test_cutting_rows_into_steps_keeps_every_loss(world, device):
    network, reference, played = play(world, device)
    rows = played.episodes().as_steps()
    assert rows.mask.shape == (int(played.mask.sum()), 1)
    batch = played_batch(network, reference, played, PLAIN)
    moved = world.network(seed=3, device=device, dtype=torch.float64)
    weigh = {"clip": 0.2, "value_clip": 0.3, "value_weight": 0.5, "entropy_weight": 0.1}
    losses = []
    for part in (batch, batch.as_steps()):
        now = evaluate_actions(moved, part)
        old = (part.logprobs, part.values, part.advantages, part.returns, part.mask)
        whole = ppo_loss(now.logprobs, now.values, now.entropy, *old, **weigh)
        losses.append((whole, sft_loss(now.logprobs, part.mask)))
    for whole, cut in zip(*losses, strict=True):
        assert whole[0].item() == pytest.approx(cut[0].item(), abs=1e-12)
        assert whole[1] == pytest.approx(cut[1], abs=1e-12)
    assert torch.equal(played.as_rows(played.actions[played.mask].unsqueeze(1)), played.actions * played.mask)


@each_world
def test_without_a_reference_there_is_no_kl(world, device):
    network, reference, played = play(world, device)
    config = fitting(PLAIN, network)
    assert ppo(network, reference, descend(network), played, config, seeded(0, device))["kl"] != 0
    played = rollout(world.env(device=device), network, seeded(3, device))
    assert ppo(network, None, descend(network), played, config, seeded(0, device))["kl"] == 0


@pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
def test_every_live_step_is_learnt_from_once_a_pass(world, device):
    network, _, played = play(world, device)
    seen = []
    forward = network.forward

    def count(prompt, obs):
        output = forward(prompt, obs)
        if output.logits.requires_grad:
            seen.append(obs.shape[:2])
        return output

    network.forward = count
    metrics = ppo(network, None, descend(network), played, replace(PLAIN, epochs=3, minibatches=4), seeded(0, device))
    rows = int(played.mask.sum()) if network.memoryless else len(played)
    assert len(seen) == 12 and sum(shape[0] for shape in seen) == 3 * rows
    assert metrics["steps"] == played.mask.sum()


@each_world
def test_old_and_new_are_computed_on_rows_that_lie_alike_in_memory(world, device):
    network, reference, played = play(world, device, torch.float32, rows=6)
    forward, places = network.forward, {True: [], False: []}

    def note(prompt, obs):
        places[torch.is_grad_enabled()].append((obs.shape, obs.stride(), obs.storage_offset(), obs.data_ptr() % 64))
        return forward(prompt, obs)

    network.forward = note
    config = replace(fitting(PLAIN, network), epochs=1, micro_rows=3)
    ppo(network, reference, descend(network), played, config, seeded(0, device))
    # Without gradient the rows that were cut off are asked once more, for the value of what they saw last.
    assert len(places[True]) > 1 and places[True] == places[False][: len(places[True])]
