"""Questions put to a policy: the environment that asks them, and the truth about what it answers."""

from typing import Any

import torch
from torch import nn

from lessons.worlds import Advance, nobody
from lessons.worlds.language.reward import Answer, Judge
from lessons.worlds.measure import chosen, kl_per_episode, mean, most_kl_of_best
from rl_core.adapters.language import TokenEnv, TokenNetwork
from rl_core.errors import check_count
from rl_core.interfaces import Scorer
from rl_core.rollout import rollout
from rl_core.types import Episodes

LONGEST_ANSWER = 32
ROWS = 350  # of a rollout that is only looked at


def ask(
    judge: Judge,
    rows: int,
    *,
    seed: int,
    prompts: list[list[int]] | None = None,
    steps: int = LONGEST_ANSWER,
    group_size: int = 1,
    device: str = "cpu",
) -> TokenEnv:
    """Return the environment that asks the judge's questions (or only these prompts), scored by the judge."""
    words: Any = judge.tokenizer
    return TokenEnv(
        judge.prompts if prompts is None else prompts,
        judge,
        rows,
        max_new_tokens=steps,
        eos=words.eos_token_id,
        group_size=group_size,
        context=words.model_max_length,
        seed=seed,
        device=device,
    )


def ids_of(played: Episodes) -> tuple[list[list[int]], list[list[int]]]:
    """Return the (prompts, answers) of some episodes, as ids."""
    asked = torch.cat([played.prompt.tokens, played.obs[:, :1]], dim=1)
    counts = torch.cat([played.prompt.mask, torch.ones_like(played.mask[:, :1])], dim=1)
    prompts = [ids[mask].tolist() for ids, mask in zip(asked, counts, strict=True)]
    return prompts, [ids[mask].tolist() for ids, mask in zip(played.actions, played.mask, strict=True)]


def interview(
    network: nn.Module,
    reference: nn.Module,
    judge: Judge,
    *,
    seed: int,
    device: str = "cpu",
    repeats: int = 1,
    best_of: int = 1,
    scorer: Scorer | None = None,
    advance: Advance = nobody,
) -> tuple[list[Answer], dict[str, float]]:
    """Return the sampled answers to all of the judge's questions, beside their mean length and KL to the reference.

    Each question is asked `repeats` times in a row, and of `best_of` answers the best is taken.
    """
    check_count("best_of", best_of, 1)
    group_size, count = repeats * best_of, len(judge.prompts)
    starts = max(d for d in range(1, max(1, ROWS // group_size) + 1) if count % d == 0)  # so that no round is short
    env = ask(judge, starts * group_size, seed=seed, group_size=group_size, device=device)
    policy, generator = TokenNetwork(network.model), torch.Generator(device).manual_seed(seed)  # its critic may rest
    found: list[Answer] = []
    kls, lengths = [], []
    for _ in range(count // starts):
        played = chosen(rollout(env, policy, generator), best_of, scorer)
        found += judge.answers(*ids_of(played))
        lengths.append(played.mask.sum().item() / len(played))
        kls.append(kl_per_episode(played, reference))
        advance(len(found), count * repeats)
    kl = mean(kls) + most_kl_of_best(best_of)
    return found, {"length": mean(lengths), "kl": kl, "answers": float(len(found))}
