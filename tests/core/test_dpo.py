"""Learning from pairs as a whole: where it starts, what it is blind to, and where it ends."""

import math
from dataclasses import replace

import pytest
import torch

from rl_core.adapters.gym import MLPNetwork, MLPScorer
from rl_core.algorithms.dpo import DPOConfig, dpo, episode_logprobs, implicit_accuracy, with_reference
from rl_core.algorithms.reward_model import RewardModelConfig, accuracy, episode_scores, reward_model
from rl_core.pairs import Pairs, ReferencedPairs
from rl_core.types import Episodes, Prompt
from tests.support.updates import descend, pairs_in, played_in, weights
from tests.support.worlds import CARTPOLE, LANGUAGE, WORLDS, seeded, token_network

each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
both_worlds = pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
PLAIN = DPOConfig(minibatch_rows=4, max_grad_norm=None)


def two(world, device, dtype=torch.float64):
    """Return a network beside another as its reference."""
    return (world.network(seed=seed, device=device, dtype=dtype) for seed in (1, 2))


@each_world
def test_it_starts_at_log_two_whatever_the_lengths_and_moves_after_one_step(world, device):
    pairs = pairs_in(played_in(world, device))
    network, reference = world.network(device=device, dtype=torch.float64), world.network(device=device).double()
    config = replace(PLAIN, minibatch_rows=5)
    first = dpo(network, reference, descend(network), pairs, config, seeded(0, device))
    # The reference is asked in other minibatches, and a sum in another order may differ in its last bit.
    assert first["loss"] == pytest.approx(0.693147, abs=1e-6) and first["margin"] == pytest.approx(0, abs=1e-12)
    second = dpo(network, reference, descend(network), pairs, config, seeded(0, device))
    assert second["loss"] < first["loss"] - 1e-6 and second["margin"] > 0
    assert first["pairs"] == 5 and first["steps"] == pairs.chosen.mask.sum() + pairs.rejected.mask.sum()


@each_world
def test_an_episodes_log_probability_is_the_sum_over_its_live_steps(world, device):
    network, played = world.network(device=device, dtype=torch.float64), played_in(world, device)
    sums = episode_logprobs(network, played.episodes())
    recorded = [math.fsum(row[live].tolist()) for row, live in zip(played.logprobs, played.mask, strict=True)]
    assert sums.tolist() == pytest.approx(recorded, abs=1e-10) and sums.requires_grad


@each_world
def test_what_the_reference_says_may_be_computed_once_for_all_passes(world, device):
    pairs, results = pairs_in(played_in(world, device)), []
    for known in (False, True):
        network, reference = two(world, device)
        shown = with_reference(reference, pairs, rows=2) if known else pairs
        generator, optimizer = seeded(0, device), descend(network)
        metrics = [dpo(network, reference, optimizer, shown, PLAIN, generator) for _ in range(3)]
        results.append((weights(network), metrics[-1]["loss"], metrics[-1]["accuracy"]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-12)
    assert results[0][1:] == pytest.approx(results[1][1:], abs=1e-12)


def test_the_reference_is_not_asked_again_when_it_has_spoken(device):
    network, reference = two(LANGUAGE, device)
    pairs = with_reference(reference, pairs_in(played_in(LANGUAGE, device)))
    reference.forward = None  # whoever calls it fails
    dpo(network, reference, descend(network), pairs, PLAIN, seeded(0, device))
    assert not pairs.ref_chosen.requires_grad


@both_worlds
def test_what_is_anchored_does_not_depend_on_how_many_rows_at_a_time(world, device):
    pairs, reference = pairs_in(played_in(world, device)), world.network(seed=2, device=device, dtype=torch.float64)
    whole = with_reference(reference, pairs)
    for rows in (1, 2, 3, 5):
        parts = with_reference(reference, pairs, rows=rows)
        torch.testing.assert_close(parts.ref_chosen, whole.ref_chosen, rtol=0, atol=1e-12)
        torch.testing.assert_close(parts.ref_rejected, whole.ref_rejected, rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.ref_chosen, episode_logprobs(reference, pairs.chosen).detach())
    torch.testing.assert_close(whole.ref_rejected, episode_logprobs(reference, pairs.rejected).detach())


@both_worlds
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}])
def test_pairs_of_equals_teach_nothing(world, options, device):
    chosen = pairs_in(played_in(world, device)).chosen
    network, reference = two(world, device)
    before = weights(network)
    metrics = dpo(network, reference, descend(network), Pairs(chosen, chosen), replace(PLAIN, **options), seeded(0))
    torch.testing.assert_close(weights(network), before, rtol=0, atol=1e-15)
    assert metrics["margin"] == 0 and metrics["accuracy"] == 0.5


@both_worlds
def test_metrics_are_what_can_be_counted_from_the_two_networks(world, device):
    pairs = pairs_in(played_in(world, device))
    network, reference = two(world, device)
    rewards = {}
    for name, episodes in (("chosen", pairs.chosen), ("rejected", pairs.rejected)):
        says = [n(episodes.prompt, episodes.obs).logits.log_softmax(dim=-1) for n in (network, reference)]
        gap = (says[0] - says[1]).gather(-1, episodes.actions[..., None])[..., 0]
        rewards[name] = 0.2 * torch.where(episodes.mask, gap, 0.0).sum(dim=1)
    config = replace(PLAIN, beta=0.2, minibatch_rows=5)
    metrics = dpo(network, reference, descend(network, 0.0), pairs, config, seeded(0, device))
    margins = rewards["chosen"] - rewards["rejected"]
    expected = {
        "loss": torch.log1p(torch.exp(-margins)).mean().item(),
        "accuracy": (margins > 0).double().mean().item(),
        "margin": margins.mean().item(),
        "chosen_reward": rewards["chosen"].mean().item(),
        "rejected_reward": rewards["rejected"].mean().item(),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert implicit_accuracy(network, with_reference(reference, pairs), rows=2) == pytest.approx(expected["accuracy"])


def choices(rows):
    """Return pairs of one step each: 1 was preferred to 0 in so many rows, and 0 to 1 in so many others."""
    ones, zeros = torch.ones(rows[0], 1).long(), torch.zeros(rows[1], 1).long()
    chosen = torch.cat([ones, zeros])
    seen = torch.zeros_like(chosen)
    mask = torch.ones_like(chosen).bool()
    sides = [Episodes(Prompt.empty(len(chosen)), seen, actions, mask) for actions in (chosen, 1 - chosen)]
    return Pairs(*sides)


NETWORKS = {
    "perceptron": lambda: MLPNetwork((), 2, 2, hidden=8, generator=seeded(1)),
    "language model": lambda: token_network("llama", None),
}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("options, pairs, target", [
    ({"beta": 0.5}, (3, 1), math.log(3) / 0.5),  # preferred in 3 of 4: the reward gap is ln 3, and a nat is worth beta
    ({"beta": 0.5, "label_smoothing": 0.25}, (4, 0), math.log(3) / 0.5),  # as if a quarter had been flipped
    ({"beta": 0.5, "loss": "ipo"}, (4, 0), 1.0),  # 1 / (2 beta), however often it won
], ids=["dpo", "smoothed", "ipo"])  # fmt: skip
def test_the_log_ratio_ends_where_the_preferences_put_it(build, options, pairs, target):
    network, reference = build(), build()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, 80)
    shown = with_reference(reference, choices(pairs))
    for _ in range(80):
        dpo(network, reference, optimizer, shown, DPOConfig(max_grad_norm=None, **options), seeded(0))
        schedule.step()
    logits = [n(Prompt.empty(1), torch.tensor([[0]])).logits[0, 0].detach() for n in (network, reference)]
    gaps = [one[1] - one[0] for one in logits]
    assert (gaps[0] - gaps[1]).item() == pytest.approx(target, abs=0.03)


def test_a_reward_model_ends_at_the_odds_of_the_preferences():
    scorer, pairs = MLPScorer((), 2, 2, hidden=8, generator=seeded(1)), choices((3, 1))
    optimizer = torch.optim.Adam(scorer.parameters(), lr=0.03)
    for _ in range(150):
        metrics = reward_model(scorer, optimizer, pairs, RewardModelConfig(), seeded(0))
    scores = episode_scores(scorer, pairs.chosen)
    assert (scores[0] - scores[3]).item() == pytest.approx(math.log(3), abs=0.01)
    assert metrics["loss"] == pytest.approx(0.562335, abs=1e-3)  # the entropy of 3 in 4
    assert metrics["accuracy"] == 0.75 and metrics["steps"] == 8
    assert [accuracy(scorer, pairs, rows=rows) for rows in (1, 2, 3, 64)] == [0.75] * 4


@both_worlds
def test_every_pair_is_shown_once_a_pass_and_like_lengths_together(world, device):
    pairs, seen = pairs_in(played_in(world, device)), []
    network, reference = two(world, device)
    known = with_reference(reference, pairs)
    forward = network.forward
    network.forward = lambda prompt, obs: seen.append(obs.shape[:2]) or forward(prompt, obs)
    dpo(network, reference, descend(network), known, replace(PLAIN, minibatch_rows=2, micro_rows=2), seeded(0, device))
    assert len(seen) == 10 and {shape[0] for shape in seen} == {1}
    steps = sum(shape[1] for shape in seen)
    live = int(pairs.chosen.mask.sum() + pairs.rejected.mask.sum())
    assert live <= steps < 10 * pairs.chosen.mask.shape[1]  # padded to a minibatch's longest, not to that of all


def test_pairs_that_are_anchored_keep_their_anchors_when_taken_apart(device):
    reference = LANGUAGE.network(seed=2, device=device, dtype=torch.float64)
    known = with_reference(reference, pairs_in(played_in(LANGUAGE, device)))
    assert isinstance(known, ReferencedPairs)
    order = torch.tensor([3, 0, 4], device=device)
    some = known.rows(order).trim()
    torch.testing.assert_close(some.ref_rejected, episode_logprobs(reference, some.rejected).detach())
    torch.testing.assert_close(some.ref_chosen, known.ref_chosen[order], rtol=0, atol=0)
