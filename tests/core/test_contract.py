"""What the core believes of every network: a row at once equals its steps, and only what it should see is seen."""

from dataclasses import replace

import pytest
import torch

from rl_core.errors import InvalidState
from rl_core.evaluate import evaluate_actions, last_values, state_values
from rl_core.rollout import rollout
from rl_core.types import Prompt
from tests.support.worlds import ALL_NETWORKS, LONGEST, WORLDS, language_model, language_world, seeded, token_network

each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
each_network = pytest.mark.parametrize("world", ALL_NETWORKS.values(), ids=ALL_NETWORKS)
EXACT = {"rtol": 0, "atol": 1e-11}


def play(world, device="cpu", **options):
    """Return a network in float64 beside a rollout that it played."""
    network = world.network(device=device, dtype=torch.float64)
    return network, rollout(world.env(device=device, **options), network, seeded(3, device))


def other_tokens(obs, network):
    """Return observations of the same kind that have nothing to do with these."""
    if obs.is_floating_point():
        return obs + 100
    return (obs + 1) % (network.vocabulary if hasattr(network, "vocabulary") else network.obs_count)


@each_network
def test_a_row_at_once_says_what_its_steps_say(world, device):
    network, played = play(world, device)
    with torch.no_grad():
        whole = network(played.prompt, played.obs)
        state, steps = network.start(played.prompt), []
        for t in range(played.obs.shape[1]):
            logits, state = network.step(played.obs[:, t], state)
            steps.append(logits)
    assert len(steps) > 3
    torch.testing.assert_close(whole.logits, torch.stack(steps, dim=1), **EXACT)
    assert whole.logits.std() > 0.01


@each_network
def test_what_was_recorded_while_playing_is_what_evaluation_finds(world, device):
    network, played = play(world, device)
    now = evaluate_actions(network, played.episodes()).logprobs
    torch.testing.assert_close(played.logprobs[played.mask], now[played.mask].detach(), **EXACT)


@each_world
def test_the_value_of_what_a_row_saw_last_is_that_of_the_row_with_one_more_column(world, device):
    network, played = play(world, device)
    cut = replace(played, terminated=torch.zeros_like(played.terminated))  # as if each had only been cut off
    values, lengths = state_values(network, cut), cut.mask.sum(dim=1)
    assert values.shape == (8, played.mask.shape[1] + 1)
    for row, length in enumerate(lengths.tolist()):
        seen = torch.cat([played.obs[row, :length], played.last_obs[row : row + 1]]).unsqueeze(0)
        expected = network(played.prompt.rows(slice(row, row + 1)), seen).values[0].detach()
        torch.testing.assert_close(values[row, : length + 1], expected, **EXACT)
        assert not values[row, length + 1 :].any()
    assert (values.std() > 0) == bool(network.critic_parameters())
    torch.testing.assert_close(last_values(network, cut, micro_rows=3), last_values(network, cut), **EXACT)


@each_world
def test_beyond_a_row_that_ended_for_good_or_was_discarded_nothing_is_worth_anything(world, device):
    network, played = play(world, device)
    ended = played.terminated.any(dim=1)
    assert not last_values(network, played)[ended].any()
    assert (last_values(network, played)[~ended] != 0).all() or not network.critic_parameters()
    discarded = replace(played, mask=torch.zeros_like(played.mask))
    assert not state_values(network, discarded).any()


@each_world
def test_left_padding_changes_nothing_whatever_it_holds(world, device):
    network, played = play(world, device)
    before = evaluate_actions(network, played.episodes())
    for pads in range(7):
        junk = torch.full((len(played), pads), 7, device=device)
        tokens = torch.where(played.prompt.mask, played.prompt.tokens, 9)
        mask = torch.cat([torch.zeros_like(junk, dtype=torch.bool), played.prompt.mask], dim=1)
        padded = replace(played.episodes(), prompt=Prompt(torch.cat([junk, tokens], dim=1), mask))
        after = evaluate_actions(network, padded)
        for name in ("logprobs", "entropy", "values"):
            torch.testing.assert_close(getattr(after, name), getattr(before, name), **EXACT)


@each_world
def test_a_row_alone_and_without_padding_says_the_same(world, device):
    network, played = play(world, device)
    together = evaluate_actions(network, played.episodes())
    for row in range(len(played)):
        alone = evaluate_actions(network, played.episodes().rows(slice(row, row + 1)).trim())
        steps = alone.logprobs.shape[1]
        assert steps == played.mask[row].sum()
        torch.testing.assert_close(alone.logprobs[0], together.logprobs[row, :steps], **EXACT)
        torch.testing.assert_close(alone.values[0], together.values[row, :steps], **EXACT)


@each_world
def test_what_the_dead_cells_hold_changes_nothing(world, device):
    network, played = play(world, device)
    assert world.lengths_vary is bool((~played.mask).any())
    dead = ~played.mask.reshape(*played.mask.shape, *[1] * (played.obs.dim() - 2))
    obs = torch.where(dead, other_tokens(played.obs, network), played.obs)
    actions = torch.where(played.mask, played.actions, (played.actions + 1) % 2)
    before = evaluate_actions(network, played.episodes())
    after = evaluate_actions(network, replace(played.episodes(), obs=obs, actions=actions))
    for name in ("logprobs", "entropy", "values"):
        assert torch.equal(getattr(after, name), getattr(before, name))


@each_world
def test_neither_the_value_nor_the_policy_of_a_state_sees_the_action_taken_in_it(world, device):
    network, played = play(world, device)
    before = network(played.prompt, played.obs)
    for t in range(played.obs.shape[1] - 1):
        obs = played.obs.clone()
        obs[:, t + 1] = other_tokens(obs[:, t + 1], network)  # in the language world that is the action of column t
        after = network(played.prompt, obs)
        torch.testing.assert_close(after.values[:, : t + 1], before.values[:, : t + 1], **EXACT)
        torch.testing.assert_close(after.logits[:, : t + 1], before.logits[:, : t + 1], **EXACT)
        assert not torch.allclose(after.logits[:, t + 1], before.logits[:, t + 1])


@pytest.mark.parametrize("critic", ["shared", "separate"])
@pytest.mark.parametrize("kind", ["qwen2", "llama", "gpt2", "neox"])
def test_the_value_has_no_gradient_to_the_token_that_answers_it(kind, critic, device):
    network = token_network(kind, critic, device=device, dtype=torch.float64)
    trunk = network.model if critic == "shared" else network.trunk
    seen = []
    trunk.get_input_embeddings().register_forward_hook(lambda module, inputs, output: seen.append(output))
    prompt = Prompt(torch.tensor([[4, 6]], device=device), torch.ones(1, 2, dtype=torch.bool, device=device))
    values = network(prompt, torch.tensor([[1, 5, 2, 8]], device=device)).values
    for t in range(4):
        slopes = torch.autograd.grad(values[0, t], seen[0], retain_graph=True)[0][0].abs().sum(dim=1)
        # Positions 0 and 1 are the prompt, 2 + t is the observation of column t, 3 + t its action.
        assert (slopes[: 3 + t] > 0).all() and (slopes[3 + t :] == 0).all()


@pytest.mark.parametrize(
    "world", [*ALL_NETWORKS.values(), language_world("bloom", "separate")], ids=[*ALL_NETWORKS, "bloom, separate"]
)
def test_train_mode_is_evaluation_mode_to_the_bit(world, device):
    network = world.network(device=device).train()
    played = rollout(world.env(device=device), network, seeded(3, device))
    first, again = (evaluate_actions(network, played.episodes()).logprobs for _ in range(2))
    assert torch.equal(first, again)
    network.eval()
    assert torch.equal(first, evaluate_actions(network, played.episodes()).logprobs)


@pytest.mark.parametrize("kind", ["gpt2", "neox", "llama", "bloom", "opt"])
def test_the_models_of_these_tests_do_drop_out_until_they_are_wrapped(kind):
    model, tokens = language_model(kind), torch.tensor([[4, 5, 6, 7, 8]])
    assert not torch.equal(model(tokens).logits, model(tokens).logits)


@each_world
def test_every_parameter_that_decides_learns_from_log_probabilities_or_values(world, device):
    network, played = play(world, device)
    evaluation = evaluate_actions(network, played.episodes())
    (evaluation.logprobs.sum() + evaluation.values.square().sum() + evaluation.entropy.sum()).backward()
    unused = {name for name, p in network.named_parameters() if p.grad is None}
    assert not unused
    assert any(p.grad.abs().max() > 0 for p in network.parameters())


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_a_memory_serves_once(kind, device):
    network = token_network(kind, "separate", device=device)
    prompt = Prompt(torch.tensor([[4, 6]], device=device), torch.ones(1, 2, dtype=torch.bool, device=device))
    obs, state = torch.tensor([5], device=device), network.start(prompt)
    _, following = network.step(obs, state)
    network.step(obs, following)
    for spent in (state, following):
        with pytest.raises(InvalidState, match="state was used before"):
            network.step(obs, spent)


@each_world
def test_a_network_without_a_critic_values_everything_at_exactly_nothing(world, device):
    network = world.network(device=device)
    if hasattr(network, "value_head"):
        network = token_network("gpt2", None, device=device)
    else:
        network.critic = None
    played = rollout(world.env(device=device), network, seeded(3, device))
    assert state_values(network, played).eq(0).all()
    assert played.mask.shape[1] >= min(4, LONGEST)
