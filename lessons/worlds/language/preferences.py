"""Which of two answers is better: a policy's own answers as the judge sees them, and files of them in words."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from lessons.worlds import seeded
from lessons.worlds.language.answers import Judge
from lessons.worlds.language.play import ask, ids_of
from lessons.worlds.measure import better_and_worse, swapped
from rl_core.adapters.language import (
    Preference,
    TokenNetwork,
    pairs_from_chat,
    read_preferences,
    write_preferences,
)
from rl_core.errors import check_at_least
from rl_core.rollout import rollout
from rl_core.types import Pairs

QUESTIONS = 128  # of a rollout, twice as many rows
NOISE = 700_000  # added to the seed: which judgments are wrong must not hang together with what was sampled


def preferred(network: nn.Module, judge: Judge, *, seed: int, noise: float = 0.0, device: str = "cpu") -> Pairs:
    """Return a pair for each of the judge's questions that got two answers of different worth.

    The answers stay the tokens that were sampled: written out and read again, they might become others, which the
    policy would never have chosen. `noise` is the share of pairs that are judged the wrong way round.
    """
    check_at_least("questions", len(judge.prompts), 1)
    policy, generator = TokenNetwork(network.model), torch.Generator(device).manual_seed(seed)
    parts = []
    for first in range(0, len(judge.prompts), QUESTIONS):
        prompts = judge.prompts[first : first + QUESTIONS]
        env = ask(judge, 2 * len(prompts), seed=seed + first, prompts=prompts, group_size=2, device=device)
        played = rollout(env, policy, generator)
        parts.append(better_and_worse(played.episodes(), played.rewards.sum(dim=1)))
    return swapped(Pairs.joined(parts), noise, seeded(seed + NOISE)).trim()


def read_pairs(path: Path, words: Any, context: int) -> Pairs:
    """Return the preferences in a JSONL file as pairs, encoded with the tokenizer `words`.

    Raise InvalidArgument that says where, for what cannot be read and for answers longer than the context.
    """
    return pairs_from_chat(words, read_preferences(path), context=context)


def write_pairs(pairs: Pairs, judge: Judge, path: Path) -> None:
    """Nothing; the file holds the pairs in words, as `read_pairs` reads them.

    Pairs with an empty or an unfinished answer are left out: in words an answer has an end, and would come back with
    one.
    """
    told = zip(judge.answers(*ids_of(pairs.chosen)), judge.answers(*ids_of(pairs.rejected)), strict=True)
    found = [
        Preference(_said("user", chosen.question.text), _said("assistant", chosen.text), _said("assistant", other.text))
        for chosen, other in told
        if all(one.verdict.ended and one.text for one in (chosen, other))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_preferences(path, found)


def _said(role: str, content: str) -> list[dict[str, str]]:
    """Return a text as messages."""
    return [{"role": role, "content": content}]
