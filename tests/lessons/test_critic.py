"""The critic has a learning rate of its own, and turns of its own before the policy's first."""

from dataclasses import replace
from statistics import mean, pvariance

import pytest
import torch

from benchmarks import held_out
from benchmarks.critic import VARIANTS, Options, Task, agreement, measure, tasks
from benchmarks.held_out import HalfWay, held_out_explained_variance
from lessons.harness.build import schedule_of, two_rates
from lessons.harness.play_settings import PPOSettings
from lessons.side_by_side import RECIPES
from lessons.worlds import NAMES
from rl_core.adapters.language import TokenEnv
from rl_core.algorithms.ppo import PPOConfig, ppo
from rl_core.errors import InvalidArgument
from rl_core.evaluate import state_values
from rl_core.rollout import rollout
from tests.support.small_runs import begun
from tests.support.worlds import ALL_NETWORKS, CARTPOLE, ENDS, LANGUAGE, LONGEST, PROMPTS, seeded

PPO = RECIPES["ppo"]
each_run = pytest.mark.parametrize("world", NAMES)


def copies(parameters):
    """Return the parameters as they are now."""
    return [parameter.detach().clone() for parameter in parameters]


def equal(left, right):
    """Return, for each parameter, whether it is what it was to the last bit."""
    return [torch.equal(one, other) for one, other in zip(left, right, strict=True)]


def weight_of(run):
    """Return one number of what a run's network has learnt."""
    return next(run.network.parameters()).data.view(-1)[0]


def policy_of(optimizer):
    """Return the first group's parameters."""
    return optimizer.param_groups[0]["params"]


@pytest.mark.parametrize("world", ALL_NETWORKS.values(), ids=ALL_NETWORKS)
def test_the_two_groups_are_what_the_logits_and_what_only_the_values_depend_on(world):
    network = world.network()
    optimizer = two_rates(network, PPOSettings(learning_rate=0.5, critic_learning_rate=0.25))
    policy, critic = (group["params"] for group in optimizer.param_groups)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    assert len(policy) + len(critic) == len(list(network.parameters()))
    played = rollout(world.env(), network, seeded(3))
    output = network(played.prompt, played.obs)
    logits = torch.autograd.grad(output.logits.square().sum(), [*policy, *critic], allow_unused=True, retain_graph=True)
    assert [gradient is not None for gradient in logits] == [True] * len(policy) + [False] * len(critic)
    if critic:
        assert None not in torch.autograd.grad(output.values.square().sum(), critic)


@each_run
def test_in_the_warm_up_only_the_critic_learns_and_after_it_both_do(world):
    run = begun(PPO, world)
    turns = run.config.passes_before
    assert 0 < turns < run.config.iterations
    start = copies(policy_of(run.optimizer)), copies(run.network.critic_parameters())
    records = run.recipe.train(run)
    for turn in range(turns):
        record = next(records)
        assert record["iteration"] == turn + 1 and record["steps"] > 0
        assert record["ratio_gap"] < 1e-5 and record["clip_fraction"] == 0  # rounded otherwise in other minibatches
    assert all(equal(start[0], policy_of(run.optimizer)))
    assert not any(equal(start[1], run.network.critic_parameters()))
    assert all(weight.requires_grad for weight in policy_of(run.optimizer)), "it is frozen in the updates alone"
    next(records)
    assert not any(equal(start[0], policy_of(run.optimizer)))


@each_run
@pytest.mark.parametrize("epochs", [1, 3])
def test_in_the_warm_up_the_critic_takes_as_many_passes_as_it_is_told(world, epochs):
    run = begun(PPO, world)
    run.config = replace(run.config, warmup_epochs=epochs)
    records = run.recipe.train(run)
    for _ in range(run.config.passes_before):
        next(records)
    steps = epochs * run.config.update.minibatches * run.config.passes_before
    assert {int(run.optimizer.state[weight]["step"]) for weight in run.network.critic_parameters()} == {steps}
    assert not any(weight in run.optimizer.state for weight in policy_of(run.optimizer)), "no moment of another time"


@pytest.mark.parametrize(
    "iterations, warmup, turns", [(50, 0.2, 10), (34, 0.03, 1), (3, 0.2, 1), (6, 0.2, 1), (1, 0.2, 0), (5, 1.0, 4)]
)
def test_a_warm_up_is_a_share_of_a_run_of_any_length_and_leaves_the_policy_one_turn(iterations, warmup, turns):
    config = PPOSettings(iterations=iterations, warmup=warmup)
    assert (config.passes_before, config.passes_in_all) == (turns, iterations - turns)


@each_run
@pytest.mark.parametrize("rates, moved", [((0.01, 0.0), (True, False)), ((0.0, 0.01), (False, True))])
def test_each_rate_reaches_its_own_group_alone(world, rates, moved):
    run = begun(PPO, world)
    run.config = replace(run.config, warmup=0.0, learning_rate=rates[0], critic_learning_rate=rates[1])
    run.optimizer = two_rates(run.network, run.config)
    groups = [group["params"] for group in run.optimizer.param_groups]
    before = [copies(group) for group in groups]
    run.schedule = schedule_of(run.optimizer, run.config)
    next(run.recipe.train(run))
    assert tuple(not all(equal(*pair)) for pair in zip(before, groups, strict=True)) == moved


@pytest.mark.parametrize(
    "schedule, shares", [("linear", [1, 1, 1, 0.75, 0.5, 0.25, 0]), ("constant", [1, 1, 1, 1, 1, 1, 1])]
)
def test_the_warm_up_spends_nothing_of_the_schedule(schedule, shares):
    config = PPOSettings(iterations=6, warmup=0.3, learning_rate=0.1, critic_learning_rate=0.3, schedule=schedule)
    optimizer = two_rates(CARTPOLE.network(), config)
    way, rates = schedule_of(optimizer, config), []
    for _ in range(7):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        way.step()
    expected = [[0.1 * share, 0.3 * share] for share in shares]
    torch.testing.assert_close(torch.tensor(rates), torch.tensor(expected))


def test_the_rate_of_a_critic_falls_beside_a_policy_that_never_learns():
    optimizer = two_rates(CARTPOLE.network(), config := PPOSettings(iterations=2, learning_rate=0.0))
    way = schedule_of(optimizer, config)
    optimizer.step()
    way.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, config.critic_learning_rate / 2]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"warmup": -0.1}, "warmup"),
        ({"warmup": 1.1}, "warmup=1.1"),
        ({"critic_learning_rate": -1.0}, "critic_learning_rate"),
        ({"warmup": 0.2, "schedule": "one_cycle"}, "one_cycle"),
        ({"warmup": 0.2, "update": PPOConfig(value_weight=0)}, "value_weight=0"),
        ({"warmup_epochs": 0}, "warmup_epochs"),
    ],
)
def test_settings_of_a_critic_that_cannot_be_are_refused(options, words):
    with pytest.raises(InvalidArgument, match=words):
        PPOSettings(**options)


def high_tokens(prompts, answers):
    """Return how many tokens of each answer are above 5: most of it is known before the answer ends."""
    return [float(sum(token > 5 for token in answer)) for answer in answers]


@pytest.mark.parametrize("rate, learns", [(0.01, True), (0.0, False)])
@pytest.mark.parametrize(
    "world, env",
    [(CARTPOLE, CARTPOLE.env(64)), (LANGUAGE, TokenEnv(PROMPTS, high_tokens, 64, max_new_tokens=LONGEST, eos=ENDS))],
    ids=["cartpole", "language"],
)
def test_a_critic_learns_what_can_be_foreseen_and_only_with_a_rate(world, env, rate, learns):
    network, generator = world.network(), seeded(0)
    optimizer = two_rates(network, PPOSettings(learning_rate=0.0, critic_learning_rate=rate))
    config = PPOConfig(gamma=1.0, lam=1.0, value_weight=1.0, epochs=4)
    shares = [
        ppo(network, None, optimizer, rollout(env, network, generator), config, generator)["explained_variance"]
        for _ in range(20)
    ]
    assert (mean(shares[-10:]) >= 0.1) == learns, shares  # of 64 episodes each, hence the mean of many


@each_run
def test_held_out_explained_variance_is_that_of_whole_unseen_episodes_by_hand(world):
    run = begun(PPO, world, seed=3)
    for _ in run.recipe.train(run):
        pass
    share = held_out_explained_variance(run, seed=11, episodes=6)
    played = rollout(run.world.examples(6, seed=11), run.network, seeded(11))
    config, ours, theirs = run.config.update, run.network, run.reference
    returns, values = [], []
    beyond = state_values(ours, played)
    with torch.no_grad():
        now, reference = (network(played.prompt, played.obs) for network in (ours, theirs))
    for row, count in enumerate(played.mask.sum(dim=1).tolist()):
        # Beyond a row that was cut off comes the value of what it saw last; beyond one that ended, nothing.
        following = 0.0 if played.terminated[row, count - 1] else beyond[row, count].item()
        for t in reversed(range(count)):
            action = played.actions[row, t]
            logprob, ref_logprob = (o.logits[row, t].log_softmax(dim=-1)[action].item() for o in (now, reference))
            reward = played.rewards[row, t].item() - config.beta * (logprob - ref_logprob)
            following = reward + config.gamma * following
            returns.append(following)
            values.append(now.values[row, t].item())
    errors = [a - b for a, b in zip(returns, values, strict=True)]
    assert share == pytest.approx(1 - pvariance(errors) / pvariance(returns), abs=1e-4)


def test_half_way_is_where_the_result_lies_nearest_to_the_middle_of_its_climb(monkeypatch):
    run = begun(PPO, "cartpole")  # the world asks for 475
    half_way, returns = HalfWay.of(run.world, {"sampled_return": 25.0}), {"middle": 250.0}
    assert half_way.middle == returns["middle"] and half_way.explained_variance(run, seed=0) == {}
    monkeypatch.setattr(held_out, "held_out_explained_variance", lambda run, **_: weight_of(run).item())
    for returns["now"] in (30.0, 150.0, 260.0, 239.0, 480.0):
        weight_of(run).fill_(returns["now"])
        half_way.look(run, {"sampled_return": returns["now"]})
    half_way.look(run, {})  # no evaluation was due
    assert half_way.explained_variance(run, seed=0) == {"half way up": 260.0}, "of the network as it was there"
    assert weight_of(run) == 480


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_the_comparison_runs_to_its_end(variant, monkeypatch):
    monkeypatch.setitem(PPO.settings, "cartpole", replace(PPO.settings["cartpole"], warmup=0.4))  # 1 of 3 turns
    result = measure(Task("cartpole", variant, 7), quick=True)
    assert result["steps"] > 0 and set(result["explained_variance"]) == {"at first", "half way up", "at the end"}
    assert variant != "V := 0" or set(result["explained_variance"].values()) == {0}


def test_agreement_is_the_mean_cosine_of_every_two():
    right, up = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 5.0])
    assert agreement([right, right]) == pytest.approx(1)
    assert agreement([right, -right]) == pytest.approx(-1)
    assert agreement([right, 3 * right, up]) == pytest.approx(1 / 3)  # cosines 1, 0, 0


def test_every_variant_of_the_benchmark_gives_the_policy_the_same_turns_and_none_runs_twice():
    todo = tasks(Options(seeds=(7,)))
    for world in NAMES:
        configs = [task.config for task in todo if task.world == world]
        assert len({config.passes_in_all for config in configs}) == 1
        kinds = [(VARIANTS[task.variant][0].needs_critic, task.config) for task in todo if task.world == world]
        assert all(kinds.count(kind) == 1 for kind in kinds)
    assert not VARIANTS["V := 0"][0].needs_critic
