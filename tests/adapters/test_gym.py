"""The Gymnasium adapter against Gymnasium stepped by hand, and against environments whose every move is known."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from rl_core.adapters.gym import CartPoleRows, GymEnv, MLPNetwork
from rl_core.rollout import rollout
from tests.support.scripted import Echo, scripted
from tests.support.worlds import mlp_network, seeded


@pytest.mark.parametrize("name", ["Acrobot-v1", "Taxi-v4", "FrozenLake-v1", "CartPole-v1", "MountainCar-v0"])
def test_transitions_are_those_of_gymnasium_stepped_by_hand(name):
    env = GymEnv(lambda: gymnasium.make(name, max_episode_steps=30), 3, seed=4)
    for _ in range(2):
        _, first = env.reset()
        seeds = env.state_dict()["engine"]["starts"]
        plain = [gymnasium.make(name, max_episode_steps=30) for _ in seeds]
        for row, (each, start) in enumerate(zip(plain, seeds, strict=True)):
            assert np.array_equal(np.float32(each.reset(seed=start)[0]), first.obs[row].float().numpy())
        live = [True] * 3
        for actions in torch.randint(0, env.action_count, (30, 3), generator=seeded(2)):
            step = env.step(actions)
            for row in range(3):
                if live[row]:
                    obs, reward, terminated, truncated, _ = plain[row].step(int(actions[row]))
                    assert np.array_equal(np.float32(obs), step.obs[row].float().numpy())
                    assert np.float32(reward) == step.reward[row].item()
                    assert (terminated, truncated) == (step.terminated[row].item(), step.truncated[row].item())
                    live[row] = not (terminated or truncated)
            if not any(live):
                break
        assert not any(live)


def balance(obs):
    """Return a push that keeps a pole up."""
    return (3 * obs[:, 2] + obs[:, 3] + 0.1 * obs[:, 0] + 0.2 * obs[:, 1] > 0).long()


@pytest.mark.parametrize("skill", [balance, lambda obs: (obs[:, 2] > 0).long()], ids=["balances", "falls"])
def test_our_poles_move_as_single_ones_do_up_to_the_fall_or_the_limit(skill):
    rows = 4
    env = GymEnv(CartPoleRows(rows), rows, seed=1)
    _, seen = env.reset()
    plain = [gymnasium.make("CartPole-v1") for _ in range(rows)]
    for row, each in enumerate(plain):
        each.reset(seed=0)
        each.unwrapped.state = env.state_dict()["engine"]["state"][:, row].numpy()
    live, steps = [True] * rows, 0
    while any(live):
        actions, steps = skill(seen.obs), steps + 1
        seen = env.step(actions)
        for row in range(rows):
            if live[row]:
                obs, reward, terminated, truncated, _ = plain[row].step(int(actions[row]))
                assert np.abs(obs - seen.obs[row].numpy()).max() < 1e-6 and reward == seen.reward[row].item() == 1
                assert (terminated, truncated) == (seen.terminated[row].item(), seen.truncated[row].item())
                live[row] = not (terminated or truncated)
    lengths = [length for _, length in env.finished()]
    assert lengths == [500] * rows if skill is balance else len(set(lengths)) > 1 and max(lengths) < 500
    assert seen.truncated.all() == (skill is balance)


@pytest.mark.parametrize("make", [lambda: CartPoleRows(2), lambda: "Acrobot-v1", lambda: "CartPole-v1"])
def test_twenty_resets_are_twenty_starts(make):
    env = GymEnv(make(), 2)
    starts = {tuple(row.tolist()) for _ in range(20) for row in env.reset()[1].obs}
    assert len(starts) == 40
    again = GymEnv(make(), 2)
    assert {tuple(row.tolist()) for _ in range(20) for row in again.reset()[1].obs} == starts


def test_a_row_ends_with_its_own_last_observation_in_all_four_ways():
    env = scripted((3, True, False), (3, False, True), (3, True, True), (9, True, False), window=5)
    played = rollout(env, Echo(), seeded(0))
    assert played.mask.sum(dim=1).tolist() == [3, 3, 3, 5]
    assert played.obs[..., 0][played.mask].tolist() == [
        *(100, 101, 102), *(1100, 1101, 1102), *(2100, 2101, 2102), *(3100, 3101, 3102, 3103, 3104)
    ]  # fmt: skip
    assert played.rewards[played.mask].tolist() == [
        *(101, 102, 103), *(1101, 1102, 1103), *(2101, 2102, 2103), *(3101, 3102, 3103, 3104, 3105)
    ]  # fmt: skip
    assert played.last_obs[:, 0].tolist() == [103, 1103, 2103, 3105]  # not 200, ...: what the next episodes begin with
    assert played.terminated.nonzero().tolist() == [[0, 2], [2, 2]]


def test_a_window_goes_on_where_it_stopped_and_restarts_only_what_ended():
    env = scripted((3, True, False), (5, False, True), (12, True, False), window=5)
    expected = [
        ([100, 101, 102], [1100, 1101, 1102, 1103, 1104], [2100, 2101, 2102, 2103, 2104]),
        ([200, 201, 202], [1200, 1201, 1202, 1203, 1204], [2105, 2106, 2107, 2108, 2109]),
        ([300, 301, 302], [1300, 1301, 1302, 1303, 1304], [2110, 2111]),
        ([400, 401, 402], [1400, 1401, 1402, 1403, 1404], [2200, 2201, 2202, 2203, 2204]),
    ]
    for rows in expected:
        played = rollout(env, Echo(), seeded(0))
        for row, seen in enumerate(rows):
            assert played.obs[row, played.mask[row], 0].tolist() == seen


def test_every_episode_is_told_once_with_its_whole_return_and_length():
    env = scripted((3, True, False), (5, False, True), (7, True, True), window=4)
    told = []
    for _ in range(4):
        rollout(env, Echo(), seeded(0))
        told.append(env.finished())
        assert env.finished() == []
    assert told == [
        [(101.0 + 102 + 103, 3)],
        [(1101.0 + 1102 + 1103 + 1104 + 1105, 5), (201.0 + 202 + 203, 3), (7 * 2104.0, 7)],
        [(301.0 + 302 + 303, 3)],
        [(1201.0 + 1202 + 1203 + 1204 + 1205, 5), (401.0 + 402 + 403, 3), (7 * 2204.0, 7)],
    ]


def test_a_pole_that_stood_at_the_end_of_a_window_stands_there_at_the_start_of_the_next():
    env, network = GymEnv(CartPoleRows(8), 8, window=12), Echo()
    stood = fell = 0
    for _ in range(10):
        played = rollout(env, network, seeded(stood))
        last = env.state_dict()
        _, first = env.reset()
        over = played.terminated.any(dim=1)
        assert torch.equal(first.obs[~over], last["obs"][~over])
        assert (first.obs[over].abs() <= 0.05).all()
        stood, fell = stood + int((~over).sum()), fell + int(over.sum())
    assert stood > 8 and fell > 8


def test_rows_cut_off_by_their_own_limit_restart_in_the_next_window():
    env = scripted((4, False, True), (9, False, True), window=4)
    played = rollout(env, Echo(), seeded(0))
    assert not played.terminated.any() and env.finished() == [(4 * 102.5, 4)]
    assert rollout(env, Echo(), seeded(0)).obs[:, 0, 0].tolist() == [200, 1104]


class Shifted(gymnasium.Env):
    """Walks from 7 to 9 and back; observations and actions are integers that do not begin at 0."""

    observation_space, action_space = Discrete(3, start=7), Discrete(2, start=-1)

    def reset(self, *, seed=None, options=None):
        self.place, self.count = 7, 0
        return self.place, {}

    def step(self, action):
        assert action in (-1, 0)
        self.count += 1
        self.place = 7 + (self.place - 7 + (1 if action == 0 else 2)) % 3
        return self.place, float(action), False, self.count == 4, {}


def test_integers_that_begin_elsewhere_are_counted_from_nothing():
    env = GymEnv(Shifted, 2)
    assert (env.obs_count, env.action_count) == (3, 2)
    assert env.reset()[1].obs.tolist() == [0, 0] and env.reset()[1].obs.dtype == torch.int64
    seen = [env.step(torch.tensor(actions)) for actions in ([1, 0], [1, 0], [1, 0], [0, 1])]
    assert [step.obs.tolist() for step in seen] == [[1, 2], [2, 1], [0, 0], [2, 1]]
    assert [step.reward.tolist() for step in seen] == [[0, -1], [0, -1], [0, -1], [-1, 0]]
    assert seen[-1].truncated.all() and not seen[-1].terminated.any()
    played = rollout(env, MLPNetwork.for_env(env), seeded(0))
    assert played.obs.shape == (2, 4) and set(played.obs.flatten().tolist()) <= {0, 1, 2}


def test_temperature_divides_the_logits_and_leaves_the_values():
    env = GymEnv(CartPoleRows(3), 3)
    prompt, seen = env.reset()
    warm, plain = (MLPNetwork.for_env(env, temperature=t, generator=seeded(1)) for t in (2.0, 1.0))
    torch.testing.assert_close(warm.step(seen.obs, ())[0] * 2, plain.step(seen.obs, ())[0])
    hot, cold = (network(prompt, seen.obs[:, None]) for network in (warm, plain))
    torch.testing.assert_close(hot.logits * 2, cold.logits)
    assert torch.equal(hot.values, cold.values)


def test_a_value_scale_multiplies_the_values_and_leaves_the_policy_alone():
    plain, scaled = (mlp_network(lambda rows: lambda: gymnasium.make("CartPole-v1"), value_scale=s) for s in (1.0, 8.0))
    obs = torch.randn(3, 5, 4, generator=seeded(1))
    one, eight = (network(None, obs) for network in (plain, scaled))
    torch.testing.assert_close(eight.values, 8 * one.values)
    assert torch.equal(one.logits, eight.logits)
