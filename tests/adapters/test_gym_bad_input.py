"""Gymnasium environments as learners write them: each fault is told by argument, value and remedy."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from rl_core.adapters.gym import CartPoleRows, GymEnv, MLPNetwork, MLPScorer
from rl_core.errors import InvalidArgument, InvalidType
from rl_core.rollout import relabel, rollout
from tests.support.worlds import seeded, token_env


class Walk(gymnasium.Env):
    """Five steps in a line, each of which pays 1."""

    observation_space, action_space = Box(-1, 1, (3,), np.float32), Discrete(2)
    reward, ended, size = 1.0, True, 1.0

    def look(self):
        return np.full(3, self.size * self.place / 10)

    def reset(self, *, seed=None, options=None):
        self.place = 0
        return self.look(), {}

    def step(self, action):
        self.place += 1
        return self.look(), self.reward, self.ended if self.place >= 5 else False, False, {}


class WithoutSeed(Walk):
    def reset(self):
        return super().reset()


class SeedlessWrapper(gymnasium.Wrapper):
    def reset(self):
        return self.env.reset()


class ObservationAlone(Walk):
    def reset(self, *, seed=None, options=None):
        return super().reset()[0]


class NumberAlone(Walk):
    observation_space = Discrete(10)

    def look(self):
        return self.place

    def reset(self, *, seed=None, options=None):
        return super().reset()[0]


class StepAlone(Walk):
    def step(self, action):
        return super().step(action)[0]


def walk(**facts):
    """Return the class of a walk with some facts changed."""
    return type("Walk", (Walk,), facts)


def play(make, rows=4):
    env = GymEnv(make, rows)
    return rollout(env, MLPNetwork.for_env(env, generator=seeded(0)), seeded(0))


def test_a_sound_one_is_played_to_its_end():
    for facts in ({}, {"reward": np.float32(1)}, {"reward": torch.tensor(1.0)}, {"reward": True}, {"ended": np.True_}):
        played = play(walk(**facts))
        assert played.mask.sum(dim=1).tolist() == [5] * 4 and played.rewards.sum(dim=1).tolist() == [5.0] * 4


ONE = Walk()
CASES = {
    "one instance": (lambda: ONE, InvalidArgument, "returned one Walk for rows 0 and 1; make a new one"),
    "one instance, wrapped": (
        lambda: gymnasium.wrappers.TimeLimit(ONE, 9), InvalidArgument, "returned one Walk for rows 0 and 1"),
    "reset without a seed": (WithoutSeed, InvalidType, "env=WithoutSeed has a reset that takes no seed; wrap it"),
    "wrapper without a seed": (lambda: SeedlessWrapper(Walk()), InvalidType, "env=SeedlessWrapper has a reset"),
    "reset gives the observation": (ObservationAlone, InvalidType, "env.reset returned array.*wrap it for Gymnasium"),
    "reset gives the number": (NumberAlone, InvalidType, "env.reset returned 0 alone; wrap it for Gymnasium >="),
    "step gives the observation": (StepAlone, InvalidType, "env.step returned 1 things; wrap it for Gymnasium >="),
    "reward in an array": (walk(reward=np.ones(1)), InvalidType, r"reward=array\(\[1\.\]\); return a number"),
    "reward in a text": (walk(reward="1.5"), InvalidType, "reward='1.5'; return a number"),
    "no reward": (walk(reward=None), InvalidType, "reward=None; return a number"),
    "end in an array": (walk(ended=np.array([True])), InvalidType, r"terminated=array.*return True or False"),
    "end in a text": (walk(ended="False"), InvalidType, "terminated='False'; return True or False"),
    "reward beyond float32": (walk(reward=1e39), InvalidArgument, "(?s)reward=.*not finite in float32; mend"),
    "observation beyond float32": (walk(size=1e40), InvalidArgument, "(?s)observation=.*float32; mend"),
}  # fmt: skip


@pytest.mark.parametrize("make, kind, words", CASES.values(), ids=CASES)
def test_a_fault_is_told(make, kind, words):
    with pytest.raises(kind, match=words):
        play(make)


def test_an_id_that_nobody_knows_is_told():
    with pytest.raises(InvalidArgument, match=r"env='CartPole-v77' cannot be made \(.*\); pass an id that gymnasium"):
        GymEnv("CartPole-v77", 2)


def test_numbers_of_numpy_are_numbers_and_seeds_have_64_bits():
    env = GymEnv("CartPole-v1", np.int64(4), group_size=np.int64(2), seed=np.int64(3))
    assert torch.equal(env.reset()[1].obs, GymEnv("CartPole-v1", 4, group_size=2, seed=3).reset()[1].obs)
    for seed in (10**20, None, 1.5, True):
        with pytest.raises(InvalidArgument, match=f"seed={seed} is no whole number of 64 bits; pass"):
            GymEnv("CartPole-v1", 2, seed=seed)


@pytest.mark.parametrize("env, words", [
    (lambda: GymEnv("Acrobot-v1", 2), r"obs of shape \(2, 6\).*no numbers of shape \(4,\)"),
    (lambda: GymEnv("FrozenLake-v1", 2), r"obs of shape \(2,\) and torch\.int64 are no numbers"),
    (lambda: token_env(2), r"obs of shape \(2,\) and torch\.int64 are no numbers"),
])  # fmt: skip
def test_a_network_of_another_environment_is_told(env, words):
    network = MLPNetwork.for_env(GymEnv(CartPoleRows(2), 2))
    with pytest.raises(InvalidArgument, match=f"{words}.*for_env"):
        rollout(env(), network, seeded(0))


def test_a_network_of_fewer_places_and_a_scorer_of_fewer_actions_are_told():
    lake, taxi = GymEnv("FrozenLake-v1", 2), GymEnv("Taxi-v4", 2)
    with pytest.raises(InvalidArgument, match="integers from 0 to 15; build the network for this"):
        rollout(taxi, MLPNetwork.for_env(lake), seeded(0))
    poles, acrobat = GymEnv(CartPoleRows(2), 2), MLPNetwork((4,), None, 2)
    played = rollout(poles, acrobat, seeded(0))
    with pytest.raises(InvalidArgument, match="actions up to 1 exceed the 1 of this scorer; build it"):
        relabel(played, MLPScorer((4,), None, 1))
