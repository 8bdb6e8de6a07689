"""Preferences between two answers as pairs of episodes."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from rl_core.adapters.language.chat import Message, episodes_from_chat
from rl_core.errors import InvalidArgument
from rl_core.pairs import Pairs
from rl_core.types import Episodes

ANSWERS = ("chosen", "rejected")


@dataclass(frozen=True)
class Preference:
    """A conversation so far, with the answer that was preferred and the one that was not; each a list of messages."""

    prompt: Sequence[Message]
    chosen: Sequence[Message]
    rejected: Sequence[Message]
    where: str = field(default="", compare=False)
    """The file and line that it was read from, for errors."""


def pairs_from_chat(
    tokenizer: Any, preferences: Sequence[Preference], *, strict: bool = False, context: int | None = None
) -> Pairs:
    """Return the preferences as pairs of episodes; those whose two answers are alike are left out, with a warning.

    Alike is what has the same tokens: neither a key that the template does not write nor a letter that the tokenizer
    normalises makes a difference that can be learned. What the assistant says in the prompt is context there, and does
    not count. `context` is the model's, to be told now of a row that will not fit.

    Raise InvalidArgument when none is left, and as `episodes_from_chat`, whose `strict` this is.
    """
    if not preferences:
        raise _none_differs(0)
    names = [preference.where or f"conversation {row}" for row, preference in enumerate(preferences)]
    for preference, name in zip(preferences, names, strict=True):
        _check_turns(preference, name)
    given = [len(preference.prompt) for preference in preferences]
    chosen, rejected = (
        episodes_from_chat(
            tokenizer,
            [[*preference.prompt, *getattr(preference, kind)] for preference in preferences],
            given=given,
            strict=strict,
            names=[f"{name}, {kind}" for name in names],
        )
        for kind in ANSWERS
    )
    for kind, episodes in zip(ANSWERS, (chosen, rejected), strict=True):
        _check_lengths(episodes, names, kind, context)
    differs = [row for row in range(len(names)) if _ids(chosen, row) != _ids(rejected, row)]
    if not differs:
        raise _none_differs(len(preferences))
    if len(differs) == len(preferences):
        return Pairs(chosen, rejected)
    alike = len(preferences) - len(differs)
    warnings.warn(f"{alike} of {len(preferences)} preferences have chosen == rejected; left out.", stacklevel=2)
    return pairs_from_chat(tokenizer, [preferences[row] for row in differs], strict=strict, context=context)


def _check_turns(preference: Preference, name: str) -> None:
    """Raise InvalidArgument where an answer begins with one who has just spoken."""
    for kind in ANSWERS:
        answer = getattr(preference, kind)
        if not preference.prompt or not answer:
            raise InvalidArgument(f"{name}: {'prompt' if answer else kind} is empty; say what was asked and answered.")
        last, first = preference.prompt[-1].get("role"), answer[0].get("role")
        if last == first == "assistant":
            raise InvalidArgument(
                f"{name}: the prompt ends with the assistant's words, and {kind} begins with them; a message is not "
                "gone on with: move them into both answers."
            )
        if last == "user" and first in ("user", "system"):
            raise InvalidArgument(
                f"{name}: the prompt ends with the user's words, and {kind} begins with the {first}'s; say what was "
                "asked once, in the prompt."
            )


def _check_lengths(episodes: Episodes, names: Sequence[str], kind: str, context: int | None) -> None:
    """Raise InvalidArgument for a row with more tokens than the context."""
    asked = episodes.prompt.mask.sum(dim=1) + 1  # [N]
    answered = (episodes.mask * torch.arange(1, episodes.mask.shape[1] + 1)).amax(dim=1)  # [N], up to the last end
    for name, prompt, answer in zip(names, asked.tolist(), answered.tolist(), strict=True):
        if context is not None and prompt + answer > context:
            raise InvalidArgument(
                f"{name}: the prompt has {prompt} tokens and {kind} has {answer}, together more than the "
                f"context={context}; shorten one, or leave the row out."
            )


def _ids(episodes: Episodes, row: int) -> tuple[list[int], list[int]]:
    """Return a row's ids and the places of those that count."""
    last = int(episodes.mask[row].nonzero().max()) + 1
    prompt = episodes.prompt.tokens[row][episodes.prompt.mask[row]].tolist()
    ids = prompt + episodes.obs[row, :1].tolist() + episodes.actions[row, :last].tolist()
    return ids, episodes.mask[row, :last].nonzero().flatten().tolist()


def _none_differs(count: int) -> InvalidArgument:
    return InvalidArgument(
        f"preferences has {count} rows, of which {count} have chosen == rejected; pass at least one pair that differs."
    )
