"""Group-relative updates as a whole: what decides them, what they are blind to, and that they learn."""

import statistics
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from rl_core.algorithms.grpo import GRPOConfig, grpo
from rl_core.algorithms.reinforce import ReinforceConfig, reinforce
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions
from rl_core.rollout import relabel, rollout
from tests.support.bandits import bandit_of_poles, bandit_of_tokens
from tests.support.updates import UPDATES, descend, played_in, weights
from tests.support.worlds import CARTPOLE, LANGUAGE, WORLDS, seeded, token_scorer

each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
both_worlds = pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
in_groups = pytest.mark.parametrize("name", ["grpo", "reinforce"])


class Shifted:
    """A judge who adds to each episode's score what depends on its start alone, on the first step."""

    def __init__(self, scorer, shift):
        self.scorer, self.shift = scorer, shift

    def score(self, episodes):
        start = episodes.obs[:, 0].double().flatten(1).sum(dim=1) if episodes.obs.dim() > 2 else episodes.obs[:, 0]
        first = torch.arange(episodes.mask.shape[1], device=episodes.mask.device) == 0
        return self.scorer.score(episodes) + self.shift * (start + 3)[:, None] * first


def updated(world, name, played, device, rate=0.05, **options):
    network = world.network(device=device, dtype=torch.float64)
    reference = world.network(seed=2, device=device, dtype=torch.float64)
    metrics = UPDATES[name].once(network, reference, descend(network, rate), played, seeded(0, device), **options)
    return weights(network), metrics


@each_world
@in_groups
def test_what_is_paid_for_the_question_alone_changes_no_update(world, name, device):
    played = played_in(world, device)
    scorer = world.scorer(seed=4, device=device, dtype=torch.float64)
    results = []
    for shift in (0.0, 2.0, -30.0):
        paid = relabel(played, Shifted(scorer, shift))
        assert paid.rewards.dtype == torch.float64
        results.append(updated(world, name, paid, device)[0])
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(results[2], results[0], rtol=0, atol=1e-11)
    if name == "reinforce":  # negative control: without a baseline it does
        shifted = updated(world, name, paid, device, baseline="none")[0]
        assert (shifted - results[0]).abs().max() > 1e-6


@both_worlds
def test_the_kl_in_the_reward_is_a_reward_less_the_kl(world, device):
    played = played_in(world, device)
    reference = world.network(seed=2, device=device, dtype=torch.float64)
    with torch.no_grad():
        now = evaluate_actions(world.network(device=device, dtype=torch.float64), played.episodes()).logprobs
        then = evaluate_actions(reference, played.episodes()).logprobs
    paid = replace(played, rewards=played.rewards - 0.3 * torch.where(played.mask, now - then, 0.0))
    expected = updated(world, "grpo", paid, device, beta=0.0)[0]
    parameters = updated(world, "grpo", played, device, beta=0.3, kl_in="reward")[0]
    torch.testing.assert_close(parameters, expected, rtol=0, atol=1e-12)
    assert (
        updated(world, "grpo", played, device, beta=0.3)[0] - parameters
    ).abs().max() > 1e-6  # the control: in the loss


@both_worlds
@in_groups
def test_equal_rewards_in_every_group_change_nothing(world, name, device):
    played = played_in(world, device)
    prompt = torch.arange(10, device=device).div(2, rounding_mode="floor").double()
    first = torch.arange(played.mask.shape[1], device=device) == 0
    played = replace(played, rewards=10 * prompt[:, None] * first)
    before = weights(world.network(device=device, dtype=torch.float64))
    after, metrics = updated(world, name, played, device, beta=0.0)
    assert torch.equal(after, before) and metrics["policy_loss"] == 0


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("average", ["token", "episode"])
@both_worlds
def test_the_first_step_goes_along_the_advantages_of_the_groups(world, average, scale, device):
    played = played_in(world, device)
    network = world.network(device=device, dtype=torch.float64)
    before = weights(network)
    returns = torch.tensor([sum(row) for row in played.rewards.tolist()], dtype=torch.float64, device=device)
    mean = returns.view(-1, 2).mean(dim=1).repeat_interleave(2)
    advantage = returns - mean
    if scale:
        advantage = advantage.sign() / 2**0.5  # of two, each is so many deviations from their mean
    steps = evaluate_actions(network, played.episodes()).logprobs * advantage[:, None]
    lengths = played.mask.sum(dim=1)
    objective = steps.sum() / lengths.sum() if average == "token" else (steps.sum(dim=1) / lengths).mean()
    slopes = torch.autograd.grad(objective, list(network.parameters()), allow_unused=True)
    flat = [torch.zeros_like(p) if s is None else s for p, s in zip(network.parameters(), slopes, strict=True)]
    config = GRPOConfig(
        group_size=2, scale=scale, average=average, beta=0.0, epochs=1, minibatches=1, max_grad_norm=None
    )
    metrics = grpo(network, None, descend(network), played, config, seeded(0, device))
    torch.testing.assert_close(
        weights(network), before + 0.05 * torch.cat([s.flatten() for s in flat]), rtol=0, atol=1e-11
    )
    assert metrics["kl"] == 0 and metrics["clip_fraction"] == 0


def played_with_cuts(device):
    """Return what was played in groups of four of which some answers were cut off and are not to be learnt from."""
    network = LANGUAGE.network(device=device, dtype=torch.float64)
    env = LANGUAGE.env(20, device=device, group_size=4, on_cut="mask")
    played = relabel(rollout(env, network, seeded(3, device)), token_scorer("qwen2", 4).to(device))
    sizes = played.mask.any(dim=1).view(-1, 4).sum(dim=1)
    assert 0 < sizes.min() < 4 and sizes.max() > 1
    return played


@pytest.mark.parametrize(
    "name, options", [("grpo", {"epochs": 1, "minibatches": 1, "beta": 0.0}), ("reinforce", {"beta": 0.0})]
)
def test_discarded_answers_take_no_part_in_their_group(name, options, device):
    played = played_with_cuts(device)
    live, returns = played.mask.any(dim=1), played.rewards.double().sum(dim=1)
    total = 0.0
    for group in range(5):
        rows = [row for row in range(4 * group, 4 * group + 4) if live[row]]
        numbers = [returns[row].item() for row in rows]
        for row, number in zip(rows if len(rows) > 1 else [], numbers, strict=False):
            scaled = (number - statistics.mean(numbers)) / statistics.stdev(numbers)
            others = number - (sum(numbers) - number) / (len(rows) - 1)
            steps = played.mask[row].sum().item() if name == "grpo" else played.logprobs[row][played.mask[row]].sum()
            total += (scaled if name == "grpo" else others) * float(steps)
    results = []
    for junk in (0.0, 1e4):  # whatever they were paid
        paid = replace(played, rewards=played.rewards + junk * ~live[:, None])
        results.append(updated(LANGUAGE, name, paid, device, group_size=4, **options))
    (left, metrics), (right, _) = results
    assert torch.equal(left, right) and metrics["steps"] == played.mask.sum()
    assert metrics["policy_loss"] == pytest.approx(-total / int(played.mask.sum()), abs=1e-5)


def test_the_kl_in_the_reward_is_that_of_the_rows_to_learn_from(device):
    played = played_with_cuts(device)
    reference = LANGUAGE.network(seed=2, device=device, dtype=torch.float64)
    with torch.no_grad():
        now = evaluate_actions(LANGUAGE.network(device=device, dtype=torch.float64), played.episodes()).logprobs
        then = evaluate_actions(reference, played.episodes()).logprobs
    rewards = played.rewards.double()
    paid = replace(played, rewards=rewards - 0.3 * torch.where(played.mask, now - then, 0.0))
    options = {"group_size": 4, "scale": False, "minibatches": 1}
    expected = updated(LANGUAGE, "grpo", paid, device, beta=0.0, **options)[0]
    parameters = updated(
        LANGUAGE, "grpo", replace(played, rewards=rewards), device, beta=0.3, kl_in="reward", **options
    )[0]
    torch.testing.assert_close(parameters, expected, rtol=0, atol=1e-12)


def test_only_rows_to_learn_from_are_dealt_into_minibatches(device):
    played = played_with_cuts(device)
    live = int(played.mask.any(dim=1).sum())
    _, metrics = updated(LANGUAGE, "grpo", played, device, group_size=4, minibatches=live)
    assert metrics["first_ratio"] == pytest.approx(1, abs=1e-12)
    # Cuts are chance: fewer rows to learn from than minibatches must not end a run.
    fewer, _ = updated(LANGUAGE, "grpo", played, device, group_size=4, minibatches=live)
    assert torch.equal(updated(LANGUAGE, "grpo", played, device, group_size=4, minibatches=20)[0], fewer)
    with pytest.raises(InvalidArgument, match="minibatches=21 exceeds the 20 rows"):
        updated(LANGUAGE, "grpo", played, device, group_size=4, minibatches=21)


@pytest.mark.parametrize("build", [bandit_of_poles, bandit_of_tokens])
@pytest.mark.parametrize("learn, config", [
    (grpo, GRPOConfig(group_size=8, beta=0.0, minibatches=2)),
    (grpo, GRPOConfig(group_size=8, beta=0.0, minibatches=2, scale=False, average="episode")),
    (reinforce, ReinforceConfig(group_size=8)),
    (reinforce, ReinforceConfig(group_size=8, baseline="mean")),
], ids=["grpo", "dr grpo", "leave one out", "mean"])  # fmt: skip
def test_what_pays_becomes_likelier(build, learn, config):
    env, network = build()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    generator = seeded(2)
    for _ in range(20):
        learn(network, None, optimizer, rollout(env, network, generator), config, generator)
    means = [rollout(env, network, generator).rewards.mean().item() for _ in range(4)]
    assert sum(means) / 4 > 0.9


@both_worlds
@in_groups
def test_metrics_are_what_can_be_counted_from_the_rollout(world, name, device):
    played = played_in(world, device)
    _, metrics = updated(world, name, played, device, rate=0.0)
    reference = world.network(seed=2, device=device, dtype=torch.float64)
    ref_logprobs = (
        reference(played.prompt, played.obs).logits.log_softmax(dim=-1).gather(-1, played.actions[..., None])[..., 0]
    )
    live = played.mask
    assert metrics["steps"] == live.sum() and metrics["sampler_gap"] < 1e-12
    assert metrics["reward"] == pytest.approx(played.rewards[live].mean().item(), abs=1e-9)
    assert metrics["kl"] == pytest.approx((played.logprobs - ref_logprobs)[live].mean().item(), abs=1e-9)
    logits = world.network(device=device, dtype=torch.float64)(played.prompt, played.obs).logits
    entropy = torch.distributions.Categorical(logits=logits).entropy()[live].mean().item()
    if name == "reinforce":  # one step over everything
        assert metrics["entropy"] == pytest.approx(entropy, abs=1e-9)
    network = world.network(device=device, dtype=torch.float64)
    without = UPDATES[name].once(network, None, descend(network), played, seeded(0, device))
    assert without["kl"] == 0


@both_worlds
def test_micro_batches_cost_nothing_when_every_episode_weighs_the_same(world, device):
    played = played_in(world, device)
    whole, _ = updated(world, "grpo", played, device, average="episode", scale=False)
    for micro_rows in (1, 3):
        parts, _ = updated(world, "grpo", played, device, average="episode", scale=False, micro_rows=micro_rows)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    assert (whole - updated(world, "grpo", played, device, scale=False)[0]).abs().max() > 1e-6


@both_worlds
@pytest.mark.parametrize("name, options", [("grpo", {}), ("grpo", {"kl_in": "reward"}), ("reinforce", {})])
def test_without_a_reference_nothing_is_paid_for_going_far(world, name, options, device):
    results = []
    for beta in (0.0, 5.0):
        network, played = world.network(device=device, dtype=torch.float64), played_in(world, device)
        UPDATES[name].once(network, None, descend(network), played, seeded(0, device), beta=beta, **options)
        results.append(weights(network))
    assert torch.equal(*results)


@both_worlds
def test_every_row_is_learnt_from_once_a_pass_and_each_pass_is_dealt_anew(world, device):
    played, seen = played_in(world, device), []
    played = replace(played, mask=torch.ones_like(played.mask))  # no padding is cut, and every row is known by its obs
    numbered = {str(row.tolist()): number for number, row in enumerate(played.obs)}
    assert len(numbered) == 10
    network = world.network(device=device, dtype=torch.float64)
    forward = network.forward

    def count(prompt, obs):
        output = forward(prompt, obs)
        if output.logits.requires_grad:
            seen.append(frozenset(numbered[str(row.tolist())] for row in obs))
        return output

    network.forward = count
    sizes = {"epochs": 3, "minibatches": 4, "max_sampler_gap": None}
    UPDATES["grpo"].once(network, None, descend(network), played, seeded(0, device), **sizes)
    passes = [seen[start : start + 4] for start in (0, 4, 8)]
    assert len(seen) == 12 and all(sorted(row for part in one for row in part) == list(range(10)) for one in passes)
    assert len({frozenset(one) for one in passes}) == 3


@both_worlds
def test_a_tighter_clip_clips_more_and_none_clips_nothing(world, device):
    played = played_in(world, device)
    by_clip = [updated(world, "grpo", played, device, epochs=3, clip=clip)[1] for clip in (None, 0.5, 0.2, 1e-6)]
    shares = [metrics["clip_fraction"] for metrics in by_clip]
    assert shares[0] == 0 and shares == sorted(shares) and shares[3] > 0.5 and shares[1] < shares[3]


def test_reinforce_pays_for_each_nat_in_the_return(device):
    played = played_in(LANGUAGE, device)
    network = LANGUAGE.network(device=device, dtype=torch.float64)
    reference = LANGUAGE.network(seed=2, device=device, dtype=torch.float64)
    with torch.no_grad():
        nats = (
            evaluate_actions(network, played.episodes()).logprobs
            - evaluate_actions(reference, played.episodes()).logprobs
        )
    charged = replace(played, rewards=played.rewards - 0.3 * nats)
    expected, _ = updated(LANGUAGE, "reinforce", charged, device, beta=0.0)
    parameters, _ = updated(LANGUAGE, "reinforce", played, device, beta=0.3)
    torch.testing.assert_close(parameters, expected, rtol=0, atol=1e-12)


@both_worlds
def test_the_anchor_pulls_back_to_the_reference_alone(world, device):
    played = replace(played_in(world, device), rewards=torch.zeros_like(played_in(world, device).rewards))
    network, reference = (world.network(seed=seed, device=device, dtype=torch.float64) for seed in (1, 2))
    config = GRPOConfig(group_size=2, beta=1.0, epochs=1, minibatches=1, max_grad_norm=None, max_sampler_gap=None)
    kls = [grpo(network, reference, descend(network, 0.05), played, config, seeded(0, device)) for _ in range(8)]
    assert all(after["loss"] < before["loss"] for before, after in pairwise(kls))
    assert kls[0]["policy_loss"] == pytest.approx(0, abs=1e-12)
