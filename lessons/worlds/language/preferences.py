"""Which of two answers is better: a policy's own answers as the judge sees them, and files of them in words."""

from pathlib import Path
from typing import Any

import torch

from lessons.worlds.language.play import ask, ids_of, parts_of, policy_of
from lessons.worlds.language.reward import JudgeReward
from lessons.worlds.learners import Policy
from lessons.worlds.measure import better_and_worse, swapped
from lessons.worlds.seeds import seeded, spawn
from rl_core.adapters.language import Preference, pairs_from_chat, read_preferences, write_preferences
from rl_core.errors import check_at_least
from rl_core.pairs import Pairs
from rl_core.rollout import rollout


def preferred(
    network: Policy,
    reward: JudgeReward,
    *,
    seed: int,
    noise: float = 0.0,
    steps: int | None = None,
    device: str = "cpu",
) -> Pairs:
    """Return a pair for each of the judge's questions that got two answers of different worth.

    The answers stay the tokens that were sampled: written out and read again, they might become others, which the
    policy would never have chosen. `noise` is the share of pairs that are judged the wrong way round.
    """
    check_at_least("questions", len(reward.prompts), 1)
    policy, generator = policy_of(network), torch.Generator(device).manual_seed(spawn(seed, "actions"))
    parts = []
    for prompts in parts_of(reward.prompts, reward.examiner.rows // 2):
        rows, order = 2 * len(prompts), spawn(seed, "order")
        env = ask(reward, rows, seed=order, prompts=prompts, steps=steps, group_size=2, device=device)
        played = rollout(env, policy, generator)
        parts.append(better_and_worse(played.episodes(), played.rewards.sum(dim=1)))
    # Which judgments are wrong must be independent of what was sampled.
    return swapped(Pairs.joined(parts), noise, seeded(seed, "noise")).trim()


def read_pairs(path: Path, words: Any, context: int) -> Pairs:
    """Return the preferences in a JSONL file as pairs, encoded with the tokenizer `words`.

    Raise InvalidArgument that says where, for what cannot be read and for answers longer than the context.
    """
    return pairs_from_chat(words, read_preferences(path), context=context)


def write_pairs(pairs: Pairs, reward: JudgeReward, path: Path) -> None:
    """Write the pairs in words, as `read_pairs` reads them.

    Leave out pairs with an empty or an unfinished answer: in words an answer has an end, and would come back with one.
    """
    answers = (reward.answers(*ids_of(episodes)) for episodes in (pairs.chosen, pairs.rejected))
    preferences = [
        Preference(
            message("user", chosen.question.text),
            message("assistant", chosen.text),
            message("assistant", rejected.text),
        )
        for chosen, rejected in zip(*answers, strict=True)
        if all(answer.verdict.ended and answer.text for answer in (chosen, rejected))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_preferences(path, preferences)


def message(role: str, content: str) -> list[dict[str, str]]:
    """Return a text as a chat of one message."""
    return [{"role": role, "content": content}]
