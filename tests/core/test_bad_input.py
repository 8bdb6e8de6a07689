"""Bad input is refused by a typed error that names the argument, its value and the remedy."""

import math
from dataclasses import replace
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
import transformers
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from rl_core.adapters.gym import CartPoleRows, GymEnv, MLPNetwork, MLPScorer
from rl_core.adapters.language import TokenEnv, TokenNetwork
from rl_core.advantages import gae
from rl_core.algorithms.ppo import PPOConfig, ppo
from rl_core.algorithms.sft import SFTConfig, sft
from rl_core.errors import InvalidArgument, InvalidState, InvalidType, RLCoreError
from rl_core.masked import masked_mean
from rl_core.minibatches import grouped_by_length, shuffled
from rl_core.rollout import relabel, rollout
from tests.support.worlds import (
    CARTPOLE,
    LANGUAGE,
    VOCABULARY,
    language_model,
    score_tokens,
    seeded,
    token_env,
    token_network,
)

NAN, INF = math.nan, math.inf


class Faulty(gymnasium.Env):
    """An environment with one fault."""

    action_space = Discrete(2)

    def __init__(self, obs=0.0, reward=0.0, shape=(2,), first=0.0, answers=5, observation_space=None):
        self.obs, self.reward, self.shape, self.first, self.answers = obs, reward, shape, first, answers
        self.observation_space = observation_space or Box(-1.0, 1.0, (2,), np.float32)

    def __str__(self):
        return "Faulty"

    def reset(self, *, seed=None, options=None):
        return np.full((2,), self.first, dtype=np.float32), {}

    def step(self, action):
        return (np.full(self.shape, self.obs, dtype=np.float32), self.reward, False, False, {})[: self.answers]


def two_steps(**fault):
    env = GymEnv(partial(Faulty, **fault), 2)
    env.reset()
    for _ in range(2):
        env.step(torch.tensor([0, 1]))


def tokens(prompts=((1, 2),), reward=score_tokens, rows=2, **options):
    """Return an environment of tokens with sound arguments but for the given ones."""
    return TokenEnv(prompts, reward, rows, **{"max_new_tokens": 4, "eos": 0} | options)


def scored(reward):
    """Write two answers of which row 1's ends, under a given reward function."""
    env = tokens(reward=reward)
    env.reset()
    env.step(torch.tensor([3, 0]))


def learn(world, *, change=lambda played: played, reference=None, **options):
    network = world.network()
    played = change(rollout(world.env(), network, seeded(0)))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    options = {"minibatches": 2} | options
    ppo(network, reference(network) if reference else None, optimizer, played, PPOConfig(**options), seeded(0))


def show(episodes_of):
    network = CARTPOLE.network()
    shown = episodes_of(rollout(CARTPOLE.env(), network, seeded(0)).episodes())
    sft(network, torch.optim.SGD(network.parameters(), lr=0.1), shown, SFTConfig(), seeded(0))


def read_tokens(prompt, obs):
    network = token_network("llama", None)
    env = tokens(prompts=[prompt])
    network(env.reset()[0], torch.tensor([obs, obs]))


class Judge:
    """Scores with what it is given."""

    def __init__(self, number, columns=0):
        self.number, self.columns = number, columns

    def score(self, episodes):
        return torch.full((len(episodes), episodes.mask.shape[1] + self.columns), self.number)


def judged(*arguments):
    relabel(rollout(token_env(), token_network("llama", None), seeded(0)), Judge(*arguments))


def headless():
    return transformers.LlamaModel(language_model("llama").config)


def vectorised(mode):
    return gymnasium.make_vec("Acrobot-v1", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})


def with_nan_advantages(played):
    return replace(played, rewards=torch.full_like(played.rewards, NAN))


def of_another_policy(played):
    return replace(played, logprobs=played.logprobs - 0.5)


def pushing(actions):
    env = GymEnv(CartPoleRows(2), 2)
    env.reset()
    env.step(torch.tensor(actions))


CELL, LIVE = torch.zeros(2, 3), torch.ones(2, 3).bool()
A, T, S = InvalidArgument, InvalidType, InvalidState
CASES = {
    "gamma above 1": (lambda: PPOConfig(gamma=1.1), A, ["gamma=1.1", "[0, 1]", "pass"]),
    "gamma below 0": (lambda: PPOConfig(gamma=-0.1), A, ["gamma=-0.1", "[0, 1]", "pass"]),
    "gamma no number": (lambda: PPOConfig(gamma=NAN), A, ["gamma=nan", "pass"]),
    "lambda": (lambda: PPOConfig(lam=2.0), A, ["lam=2.0", "[0, 1]", "pass"]),
    "gamma of gae": (
        lambda: gae(CELL, torch.zeros(2, 4), ~LIVE, LIVE, gamma=1.5, lam=1.0), A, ["gamma=1.5", "pass"]),
    "clip": (lambda: PPOConfig(clip=0.0), A, ["clip=0.0", "above 0"]),
    "value clip": (lambda: PPOConfig(value_clip=-1.0), A, ["value_clip=-1.0", "above 0"]),
    "beta": (lambda: PPOConfig(beta=-0.1), A, ["beta=-0.1", "0 or more"]),
    "epochs": (lambda: PPOConfig(epochs=0), A, ["epochs=0", "1 or more"]),
    "micro rows": (lambda: PPOConfig(micro_rows=0), A, ["micro_rows=0", "1 or more"]),
    "gradient norm": (lambda: SFTConfig(max_grad_norm=0.0), A, ["max_grad_norm=0.0", "above 0"]),
    "micro rows of sft": (lambda: SFTConfig(micro_rows=0), A, ["micro_rows=0", "1 or more"]),
    "minibatch rows": (lambda: SFTConfig(minibatch_rows=0), A, ["minibatch_rows=0", "1 or more"]),
    "more minibatches than rows": (
        lambda: learn(LANGUAGE, minibatches=9), A, ["minibatches=9", "8 rows", "8 or fewer"]),
    "no minibatch": (lambda: shuffled(3, 0, seeded(0)), A, ["minibatches=0", "1 or more"]),
    "minibatches of nothing": (
        lambda: grouped_by_length(torch.ones(3), 0, seeded(0)), A, ["minibatch_rows=0", "1 or more"]),
    "nothing counts": (lambda: masked_mean(CELL, ~LIVE), A, ["mask", "(2, 3)", "pass"]),
    "temperature of a perceptron": (
        lambda: MLPNetwork((4,), None, 2, temperature=0.0), A, ["temperature=0.0", "above 0"]),
    "temperature of a model": (
        lambda: TokenNetwork(language_model("gpt2"), temperature=-1.0), A, ["temperature=-1.0", "above 0"]),
    "critic": (lambda: TokenNetwork(language_model("gpt2"), critic="share"), A, ["critic='share'", "'shared'?"]),
    **{f"hidden of {kind.__name__}, {hidden!r}": (
        lambda kind=kind, hidden=hidden: kind((4,), None, 2, hidden=hidden), A, [f"hidden={hidden!r}", "1 or more"])
       for kind in (MLPNetwork, MLPScorer) for hidden in (-1, 0, 2.5, "a", None)},
    "device of poles": (lambda: GymEnv("CartPole-v1", 2, device="nonsense"), A, ["device='nonsense'", "pass cpu"]),
    "device of texts": (lambda: tokens(device="nonsense"), A, ["device='nonsense'", "pass cpu"]),
    "device that is none": (lambda: tokens(device=1.5), A, ["device=1.5", "pass cpu"]),
    "context that is text": (lambda: tokens(context="a"), A, ["context='a'", "1 or more"]),
    **{f"seed of texts, {seed!r}": (lambda seed=seed: tokens(seed=seed), A, [f"seed={seed!r}", "64 bits", "pass"])
       for seed in (2**64, 10**20, None, 0.5, True)},
    "no head": (lambda: TokenNetwork(headless()), T, ["model=LlamaModel", "use AutoModelForCausalLM"]),
    "no rows": (lambda: GymEnv("CartPole-v1", 0), A, ["rows=0", "1 or more"]),
    "rows of poles and groups": (
        lambda: GymEnv("CartPole-v1", 4, group_size=3), A, ["rows=4", "group_size=3", "pass"]),
    "rows of tokens and groups": (lambda: tokens(rows=4, group_size=3), A, ["rows=4", "group_size=3", "pass"]),
    "window with groups": (
        lambda: GymEnv("CartPole-v1", 4, group_size=2, window=5), A, ["window=5", "group_size=2", "window=None"]),
    "window": (lambda: GymEnv("CartPole-v1", 4, window=0), A, ["window=0", "1 or more"]),
    "rows of a ready env": (lambda: GymEnv(CartPoleRows(3), 4), A, ["rows=4", "has 3", "pass"]),
    "continuous actions": (lambda: GymEnv("Pendulum-v1", 1), T, ["action_space=Box", "not Discrete"]),
    "observations of several kinds": (
        lambda: GymEnv(partial(Faulty, observation_space=MultiDiscrete([2, 3])), 1), T,
        ["observation_space=MultiDiscrete", "flatten"]),
    "not gymnasium": (lambda: GymEnv(object, 1), T, ["env=object", "Gymnasium >= 1.1"]),
    "not an env": (lambda: GymEnv(3, 1), T, ["env=3", "pass 'CartPole-v1'"]),
    "old gym": (lambda: two_steps(answers=4), T, ["env.step", "4", "Gymnasium >= 1.1"]),
    "next-step autoreset": (lambda: GymEnv(vectorised("NextStep"), 2), T, ["SyncVectorEnv", "autoreset_mode", "pass"]),
    "disabled autoreset": (lambda: GymEnv(vectorised("Disabled"), 2), T, ["SyncVectorEnv", "autoreset_mode", "pass"]),
    "observation NaN": (lambda: two_steps(obs=NAN), A, ["observation", "nan", "step 1", "Faulty", "mend"]),
    "first observation inf": (lambda: two_steps(first=INF), A, ["observation", "inf", "step 0", "Faulty", "mend"]),
    "reward NaN": (lambda: two_steps(reward=NAN), A, ["reward", "nan", "step 1", "Faulty", "mend"]),
    "reward inf": (lambda: two_steps(reward=-INF), A, ["reward", "inf", "step 1", "Faulty", "mend"]),
    "observation shape": (lambda: two_steps(shape=(3,)), A, ["observation", "(3,)", "(2,)", "mend"]),
    "actions beyond the space": (lambda: pushing([0, 2]), A, ["actions", "2", "from 0 to 1"]),
    "actions below the space": (lambda: pushing([0, -1]), A, ["actions", "-1", "from 0 to 1"]),
    "one action for two rows": (lambda: pushing([0]), A, ["actions", "2 integers"]),
    "pole stepped before reset": (lambda: GymEnv("CartPole-v1", 1).step(torch.tensor([0])), S, ["step", "call reset"]),
    "text stepped before reset": (lambda: tokens().step(torch.tensor([1, 1])), S, ["step", "call reset"]),
    "one token for two rows": (lambda: (lambda env: (env.reset(), env.step(torch.tensor([1]))))(tokens()), A,
                               ["actions", "(1,)", "2 rows"]),
    "reward None": (lambda: scored(lambda p, a: None), T, ["reward", "None", "return one number"]),
    "reward of another length": (
        lambda: scored(lambda p, a: [1.0, 2.0]), A, ["reward", "(2,)", "1 answers", "one number"]),
    "reward with gradient": (
        lambda: scored(lambda p, a: torch.ones(1, requires_grad=True)), A, ["reward", "gradient", "detach"]),
    "reward text": (lambda: scored(lambda p, a: ["good"]), T, ["reward", "good", "return one number"]),
    "reward of None inside": (lambda: scored(lambda p, a: [None]), T, ["reward", "None", "return one number"]),
    "reward no number": (lambda: scored(lambda p, a: [NAN]), A, ["reward=nan", "row 1", "return a finite"]),
    "reward beyond any float": (lambda: scored(lambda p, a: [10**400]), A, ["reward", "too large", "finite"]),
    "reward of many digits": (lambda: scored(lambda p, a: [10**40]), A, ["reward=inf", "row 1", "return a finite"]),
    "reward infinite": (lambda: scored(lambda p, a: [INF]), A, ["reward=inf", "row 1", "return a finite"]),
    "no prompts": (lambda: tokens(prompts=[]), A, ["prompts is empty", "pass"]),
    "an empty prompt": (lambda: tokens(prompts=[[1], []]), A, ["prompts[1]", "empty", "needs"]),
    "no end": (lambda: tokens(eos=None), T, ["eos=None", "pass"]),
    "no end at all": (lambda: tokens(eos=[]), A, ["eos is empty", "pass"]),
    "half a token": (lambda: tokens(max_new_tokens=2.5), A, ["max_new_tokens=2.5", "whole number"]),
    "no answer": (lambda: tokens(max_new_tokens=0), A, ["max_new_tokens=0", "1 or more"]),
    "on cut": (lambda: tokens(on_cut="bootstrp"), A, ["on_cut='bootstrp'", "'bootstrap'?"]),
    "on cut, far off": (lambda: tokens(on_cut="xyz"), A, ["on_cut='xyz'", "'terminate', 'bootstrap', 'mask'"]),
    "prompt and answer beyond the context": (
        lambda: tokens(prompts=[[1], [1, 2, 3]], context=6), A,
        ["prompts[1]", "3 tokens", "max_new_tokens=4", "context=6", "shorten"]),
    "text beyond the context": (lambda: read_tokens([1] * 60, [1] * 6), A, ["65", "64", "shorten"]),
    "token without an embedding": (
        lambda: read_tokens([1, 2], [1, VOCABULARY]), A, [f"token {VOCABULARY}", f"{VOCABULARY} embeddings", "resize"]),
    "prompt without an embedding": (lambda: read_tokens([99, 2], [1]), A, ["token 99", "embeddings", "resize"]),
    "negative token": (lambda: read_tokens([1, 2], [-1]), A, ["token -1", "embeddings"]),
    "reference is the policy": (
        lambda: learn(LANGUAGE, reference=lambda network: network), A, ["reference", "itself", "frozen copy"]),
    "reference with a memory": (
        lambda: learn(CARTPOLE, reference=lambda network: LANGUAGE.network()), A, ["reference", "memory", "pass"]),
    "another policy played": (
        lambda: learn(CARTPOLE, change=of_another_policy), S, ["sampler_gap=5.00e-01", "max_sampler_gap=1e-04"]),
    "a reward that is NaN": (lambda: learn(CARTPOLE, change=with_nan_advantages), A, ["nan", "rewards"]),
    "nothing to learn from": (
        lambda: learn(CARTPOLE, change=lambda x: replace(x, mask=x.mask & False)), A,
        ["rollout", "no live step", "play"]),
    "nothing shown": (lambda: show(lambda x: replace(x, mask=x.mask & False)), A, ["episodes", "8 rows", "show"]),
    "an empty data set": (lambda: show(lambda x: x.rows(slice(0, 0))), A, ["episodes", "0 rows", "show"]),
    "scores of another shape": (lambda: judged(1.0, 1), A, ["scorer", "(8, 9)", "(8, 8)", "return"]),
    "scores that are NaN": (lambda: judged(NAN), A, ["scorer", "finite: False", "return"]),
    "a pole's state of other rows": (
        lambda: GymEnv("CartPole-v1", 2).load_state_dict(GymEnv("CartPole-v1", 3).state_dict()), A,
        ["(3, 4)", "(2, 4)"]),
    "a text's state of other rows": (
        lambda: tokens(rows=2).load_state_dict(tokens(rows=3).state_dict()), A, ["3", "2"]),
}  # fmt: skip
BUILT_IN = {A: ValueError, T: TypeError, S: RuntimeError}


@pytest.mark.parametrize("call, kind, words", CASES.values(), ids=CASES)
def test_bad_input_is_refused_in_words_that_help(call, kind, words):
    with pytest.raises(RLCoreError) as caught:
        call()
    assert isinstance(caught.value, kind) and isinstance(caught.value, BUILT_IN[kind])
    message = str(caught.value)
    assert all(word in message for word in words), message


def test_a_network_that_answers_otherwise_with_gradient_is_caught_by_the_first_ratio():
    network = CARTPOLE.network()
    played = rollout(CARTPOLE.env(), network, seeded(0))
    sound = network.forward

    def noisy(prompt, obs):
        output = sound(prompt, obs)
        shift = torch.tensor([0.0, 0.5]) if torch.is_grad_enabled() else torch.zeros(2)
        return replace(output, logits=output.logits + shift)

    network.forward = noisy
    with pytest.raises(InvalidState, match=r"first_ratio=.* is not 1.*look for dropout"):
        ppo(network, None, torch.optim.SGD(network.parameters(), lr=0.1), played, PPOConfig(), seeded(0))
