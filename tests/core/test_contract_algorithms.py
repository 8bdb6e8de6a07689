"""What holds of every algorithm in every world: memory, padding and the reference are none of its business."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch

import rl_core.types
from rl_core.algorithms.grpo import grpo
from rl_core.algorithms.ppo import ppo
from tests.support.updates import UPDATES, descend, padded, played_in, weights
from tests.support.worlds import CARTPOLE, LANGUAGE, WORLDS, seeded

each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
each_update = pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
KNOWN = set(re.findall(r"\w+", Path(rl_core.types.__file__).read_text().split('"""')[3]))


@cache
def played_once(world, device, dtype=torch.float64):
    """Return what the world's network played; the same for every test, which must not change it."""
    return played_in(world, device, dtype)


def learnt(world, update, device, played, rate=0.05, **options):
    """Return the parameters after one update from the same start, the reference's, and the metrics."""
    learner = update.learner(world, device=device, dtype=torch.float64)
    reference = world.network(seed=2, device=device, dtype=torch.float64)
    metrics = update.once(learner, reference, descend(learner, rate), played, seeded(0, device), **options)
    assert all(parameter.grad is None for parameter in reference.parameters())
    return weights(learner), weights(reference), metrics


@cache
def learnt_once(world, update, device):
    """Return what `learnt` does, of the update as it is; the same for every test, which must not change it."""
    return learnt(world, update, device, played_once(world, device))


@each_world
@each_update
def test_an_update_moves_its_learner_and_leaves_the_reference_alone(world, update, device):
    played = played_once(world, device)
    before = weights(update.learner(world, device=device, dtype=torch.float64))
    after, reference, metrics = learnt_once(world, update, device)
    assert (after - before).abs().max() > 1e-4
    assert torch.equal(reference, weights(world.network(seed=2, device=device, dtype=torch.float64)))
    assert metrics["grad_norm"] > 0 and metrics["steps"] == played.mask.sum()
    assert all(type(number) is float and abs(number) < 1e6 for number in metrics.values())
    assert set(metrics) <= KNOWN  # every name is written down


@each_world
@each_update
def test_a_learning_rate_of_nothing_changes_no_parameter(world, update, device):
    after, _, metrics = learnt(world, update, device, played_once(world, device), rate=0.0)
    assert torch.equal(after, weights(update.learner(world, device=device, dtype=torch.float64)))
    assert metrics.get("ratio_gap", 0) < 1e-12


@each_world
@each_update
def test_memory_saved_by_micro_batches_costs_nothing(world, update, device):
    played = played_once(world, device)
    whole, _, metrics = learnt_once(world, update, device)
    for micro_rows in (2, 3):
        parts, _, part_metrics = learnt(world, update, device, played, micro_rows=micro_rows)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
        assert part_metrics == pytest.approx(metrics, abs=1e-6)


@each_world
@each_update
def test_padding_more_columns_changes_no_update(world, update, device):
    played = played_once(world, device)
    longer = padded(played)
    assert longer.mask.shape[1] == played.mask.shape[1] + 2
    whole, _, metrics = learnt_once(world, update, device)
    again, _, again_metrics = learnt(world, update, device, longer)
    torch.testing.assert_close(again, whole, rtol=0, atol=1e-12)
    assert again_metrics == pytest.approx(metrics, abs=1e-6)


@each_world
@pytest.mark.parametrize("micro_rows", [None, 1, 3])
def test_the_first_ratio_of_grpo_is_exactly_one(world, micro_rows, device):
    update, played = UPDATES["grpo"], played_once(world, device, torch.float32)
    network, reference = world.network(device=device), world.network(seed=2, device=device)
    metrics = update.once(network, reference, descend(network), played, seeded(0, device), micro_rows=micro_rows)
    assert metrics["first_ratio"] == 1.0 and metrics["ratio_gap"] > 0 and metrics["sampler_gap"] < 1e-4
    assert update.run is grpo


@pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
@each_update
def test_no_more_rows_than_allowed_wait_for_their_gradient(world, update, device, monkeypatch):
    learner, waiting, seen = update.learner(world, device=device), [], []
    name = "score" if update.learns_a_scorer else "forward"
    sound, backward = getattr(learner, name), torch.Tensor.backward

    def listen(*given):
        rows = len(given[-1])
        assert rows <= 2
        waiting.append(rows if torch.is_grad_enabled() else 0)
        return sound(*given)

    def free(loss):
        seen.append(sum(waiting))
        waiting.clear()
        backward(loss)

    setattr(learner, name, listen)
    monkeypatch.setattr(torch.Tensor, "backward", free)
    played = played_once(world, device, torch.float32)
    reference = world.network(seed=2, device=device)
    update.once(learner, reference, descend(learner), played, seeded(0, device), micro_rows=2)
    assert max(seen) == 2


@pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
@each_update
def test_no_step_is_longer_than_the_largest_norm_allows(world, update, device):
    before = weights(update.learner(world, device=device, dtype=torch.float64))
    after, _, metrics = learnt(world, update, device, played_once(world, device), rate=1.0, max_grad_norm=1e-4)
    steps = 4 if update.run in (ppo, grpo) else 1 + (metrics["steps"] + 5) // 6  # at most, and each of one unit
    assert 0 < (after - before).norm() <= 1.001e-4 * steps and metrics["grad_norm"] > 1e-3
