"""Tiny instances of both worlds with one face, for tests of what must hold in each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import torch
import transformers

from rl_core.adapters.gym import CartPoleRows, GymEnv, MLPNetwork, MLPScorer
from rl_core.adapters.language import TokenEnv, TokenNetwork, TokenScorer, left_padded
from rl_core.types import Episodes, Prompt

VOCABULARY = 11
LONGEST = 8
ENDS = (0, 3)  # 0 is also what prompts are padded with
PROMPTS = [[5], [1, 2, 4], [7, 0, 9, 10, 2], [6, 6], [8, 1, 3, 5], [2]]  # of unequal length; some hold an end


def seeded(seed, device="cpu"):
    """Return a fresh generator."""
    return torch.Generator(device).manual_seed(seed)


def language_model(kind, seed=0, *, vocab_size=VOCABULARY, **options):
    """Return a tiny random model, in train mode and with dropout on, as a config makes it."""
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    shape |= {"vocab_size": vocab_size, "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 0}
    grouped = shape | {"intermediate_size": 32, "num_key_value_heads": 1, "attention_dropout": 0.1}
    configs = {
        "qwen2": lambda: transformers.Qwen2Config(**grouped, tie_word_embeddings=True, **options),
        "llama": lambda: transformers.LlamaConfig(**grouped, tie_word_embeddings=False, **options),
        "gpt2": lambda: transformers.GPT2Config(**shape, **options),
        "neox": lambda: transformers.GPTNeoXConfig(
            **shape, intermediate_size=32, hidden_dropout=0.1, attention_dropout=0.1, **options
        ),
        "bloom": lambda: transformers.BloomConfig(**shape, hidden_dropout=0.1, attention_dropout=0.1, **options),
        "opt": lambda: transformers.OPTConfig(
            **shape, ffn_dim=32, word_embed_proj_dim=16, dropout=0.1, attention_dropout=0.1, pad_token_id=0, **options
        ),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.AutoModelForCausalLM.from_config(configs[kind]()).train()


def token_network(kind, critic, seed=1, device="cpu", dtype=torch.float32, temperature=1.0):
    """Return a tiny language model as a network whose critic, where it has one, says something."""
    network = TokenNetwork(language_model(kind, seed), critic=critic, temperature=temperature)
    if network.value_head is not None:
        torch.nn.init.normal_(network.value_head.weight, generator=seeded(seed))
    return network.to(device, dtype)


def token_scorer(kind, seed=1, device="cpu", dtype=torch.float32):
    """Return a tiny language model's trunk as a scorer that has opinions."""
    scorer = TokenScorer.on_trunk_of(language_model(kind, seed))
    torch.nn.init.normal_(scorer.model.score.weight, generator=seeded(seed))
    return scorer.to(device, dtype)


def score_tokens(prompts, answers):
    """Return a number for each answer that depends on every token of it, and on the prompt."""
    pairs = zip(prompts, answers, strict=True)
    return [sum(answer) % 5 - 1.5 + 0.1 * len(answer) + 0.01 * sum(prompt) for prompt, answer in pairs]


def text_episodes(prompts, answers, *, left=0, right=0, junk=0):
    """Return answers to prompts, lists of ids, as episodes with so many more pads on either side, which hold `junk`."""
    prompt = left_padded([[junk] * left + list(ids[:-1]) for ids in prompts])
    width = prompt.tokens.shape[1]
    real = torch.tensor([len(ids) - 1 for ids in prompts])[:, None]
    is_real = torch.arange(width) >= width - real
    steps = max(map(len, answers)) + right
    rows = [[*answer, *[junk] * (steps - len(answer))] for answer in answers]
    actions = torch.tensor(rows)
    obs = torch.tensor([[ids[-1], *row[:-1]] for ids, row in zip(prompts, rows, strict=True)])
    mask = torch.arange(steps) < torch.tensor([len(answer) for answer in answers])[:, None]
    return Episodes(Prompt(torch.where(is_real, prompt.tokens, junk), is_real), obs, actions, mask)


def token_env(rows=8, *, seed=0, group_size=1, device="cpu", **options):
    """Return an environment of a few short prompts."""
    options = {"max_new_tokens": LONGEST, "eos": ENDS} | options
    return TokenEnv(PROMPTS, score_tokens, rows, group_size=group_size, seed=seed, device=device, **options)


def gym_env(make, rows=8, *, seed=0, group_size=1, device="cpu", **options):
    """Return rows of an environment that `make(rows)` names or builds."""
    return GymEnv(make(rows), rows, group_size=group_size, seed=seed, device=device, **options)


def mlp_network(make, seed=1, device="cpu", dtype=torch.float32, **options):
    """Return a perceptron that fits the environment and has preferences."""
    network = MLPNetwork.for_env(gym_env(make, 1), hidden=16, generator=seeded(seed), **options)
    with torch.no_grad():
        network.policy[-1].weight.mul_(50)
    return network.to(device, dtype)


def mlp_scorer(make, seed=1, device="cpu", dtype=torch.float32):
    """Return a perceptron that scores what is done in the environment and has opinions."""
    scorer = MLPScorer.for_env(gym_env(make, 1), hidden=16, generator=seeded(seed))
    torch.nn.init.normal_(scorer.reward[-1].weight, generator=seeded(seed))
    return scorer.to(device, dtype)


@dataclass(frozen=True)
class World:
    """One world: how to build its environment, its network and its scorer."""

    env: Callable[..., Any]
    network: Callable[..., Any]
    scorer: Callable[..., Any]
    starts_vary: bool = True
    lengths_vary: bool = True


def short(name, steps):
    """Return a factory of environments that stop after a few steps."""
    return lambda rows: partial(gymnasium.make, name, max_episode_steps=steps)


def gym_world(make, temperature=1.0, **facts):
    """Return a world of Gymnasium."""
    network, scorer = partial(mlp_network, make, temperature=temperature), partial(mlp_scorer, make)
    return World(partial(gym_env, make), network, scorer, **facts)


def language_world(kind, critic, **options):
    """Return a world of tokens."""
    return World(token_env, partial(token_network, kind, critic, **options), partial(token_scorer, kind))


CARTPOLE = gym_world(CartPoleRows)
LANGUAGE = language_world("qwen2", "separate")
WORLDS = {
    "cartpole": CARTPOLE,
    "acrobot": gym_world(short("Acrobot-v1", 12), lengths_vary=False),
    "taxi": gym_world(short("Taxi-v4", 12), temperature=0.7, lengths_vary=False),
    "frozen lake": gym_world(short("FrozenLake-v1", 12), starts_vary=False),
    "qwen2, separate critic": LANGUAGE,
    "llama, shared critic": language_world("llama", "shared"),
    "gpt2, separate critic": language_world("gpt2", "separate", temperature=0.7),
    "neox, no critic": language_world("neox", None),
}
ALL_NETWORKS = WORLDS | {
    f"{kind} with critic {critic}": language_world(kind, critic)
    for kind in ("qwen2", "llama", "gpt2", "neox", "opt")
    for critic in ("shared", "separate", None)
}
