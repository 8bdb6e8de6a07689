"""Chats as episodes: what the assistant says is an action, all else is context, and content is never control."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rl_core.adapters.language.env import left_padded
from rl_core.adapters.language.template import ChatTemplate, Conversation, Message, Written
from rl_core.errors import InvalidArgument, InvalidType
from rl_core.types import Episodes

__all__ = ["Conversation", "Message", "episodes_from_chat", "episodes_from_texts", "prompts_from_chat"]


@dataclass(frozen=True)
class _Row:
    """A chat's ids, and which of them the assistant says."""

    ids: list[int]
    is_said: list[bool]
    thinks: bool
    """Whether an answer holds a thought where the template, asked, closes one at once."""


def episodes_from_chat(
    tokenizer: Any,
    conversations: Sequence[Conversation],
    *,
    given: Sequence[int] | None = None,
    strict: bool = False,
    names: Sequence[str] | None = None,
) -> Episodes:
    """Return the chats as episodes whose mask is True on what the assistant says, its end token included.

    All before the first of these tokens is the prompt: the very tokens that `prompts_from_chat` asks with. With several
    turns the mask has holes: the user's words are then observations that follow no action of ours. So many messages of
    each chat are `given`: they are context, whoever says them. `strict` makes special-token text in any content an
    error; otherwise it is plain text. Errors call the chats by their `names`.
    """
    _check_chats(conversations)
    given = [0] * len(conversations) if given is None else given
    names = [f"conversation {row}" for row in range(len(conversations))] if names is None else names
    template = ChatTemplate(tokenizer)
    chats = [_row(template, *row, strict) for row in zip(conversations, given, names, strict=True)]
    if any(chat.thinks for chat in chats):
        warnings.warn(
            f"{sum(chat.thinks for chat in chats)} of {len(chats)} chats show a thought where the chat_template, when "
            "it asks, closes one at once; they teach what to say when asked to think.",
            stacklevel=2,
        )
    firsts = [chat.is_said.index(True) for chat in chats]
    prompt = left_padded([chat.ids[: first - 1] for chat, first in zip(chats, firsts, strict=True)])
    steps = max(len(chat.ids) - first for chat, first in zip(chats, firsts, strict=True))
    obs = torch.zeros(len(chats), steps, dtype=torch.int64)
    actions, mask = torch.zeros_like(obs), torch.zeros_like(obs, dtype=torch.bool)
    for row, (chat, first) in enumerate(zip(chats, firsts, strict=True)):
        length = len(chat.ids) - first
        obs[row, :length] = torch.tensor(chat.ids[first - 1 : -1])
        actions[row, :length] = torch.tensor(chat.ids[first:])
        mask[row, :length] = torch.tensor(chat.is_said[first:])
    return Episodes(prompt, obs, actions, mask)


def episodes_from_texts(tokenizer: Any, texts: Sequence[str], *, boundary: int) -> Episodes:
    """Return plain texts as episodes without a prompt, whose every token counts, from one `boundary` token to the next.

    This is all that sets pre-training apart from fine-tuning.
    """
    rows = []
    for row, text in enumerate(texts):
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if not ids:
            raise InvalidArgument(f"texts[{row}]={text!r} has no token; leave empty texts out.")
        rows.append([boundary, *ids, boundary])
    padded = left_padded([row[::-1] for row in rows]).map(lambda x: x.flip(1))  # right-padded
    nothing = left_padded([[] for _ in rows])
    return Episodes(nothing, padded.tokens[:, :-1], padded.tokens[:, 1:], padded.mask[:, 1:])


def prompts_from_chat(
    tokenizer: Any, conversations: Sequence[Conversation], *, strict: bool = False
) -> list[list[int]]:
    """Return the ids of each chat up to where the assistant begins to speak; the template's own, but for control text.

    Raise InvalidArgument that names the chat for one that the template refuses.
    """
    template = ChatTemplate(tokenizer)
    prompts = []
    for row, chat in enumerate(conversations):
        _check_chat(chat, f"conversation {row}")
        written = template.write(chat, f"conversation {row}", ask=True, strict=strict)
        prompts.append(template.encode(written)[0])
    return prompts


def _check_chats(conversations: Sequence[Conversation]) -> None:
    """Raise InvalidArgument without a chat, InvalidType for one chat in the place of many."""
    if not conversations:
        raise InvalidArgument("conversations is empty; pass at least one chat.")
    if isinstance(conversations[0], Mapping):
        raise InvalidType("conversations is one chat; pass a list of chats, each a list of messages.")


def _check_chat(chat: Any, name: str) -> None:
    """Raise InvalidArgument or InvalidType unless it is a list of at least one thing."""
    if not isinstance(chat, Sequence) or isinstance(chat, str | bytes):
        raise InvalidType(f"{name}: {chat!r} is no chat; pass a list of messages with role and content.")
    if not chat:
        raise InvalidArgument(f"{name} is empty: {chat!r}; give it at least one message.")


def _row(template: ChatTemplate, chat: Conversation, given: int, name: str, strict: bool) -> _Row:
    """Return a chat's ids, and which of them the assistant says, after the messages that are given."""
    _check_chat(chat, name)
    written = template.write(chat, name, ask=False, strict=strict)
    places: list[int] = []  # where an answer begins, and where it ends, in turn
    thinks = False
    for number, message in enumerate(chat):
        if message["role"] == "assistant" and number >= given:
            start, is_thought = _start(template, chat, number, written, name)
            places += [start, _end(template, chat, number, written, name)]
            thinks |= is_thought
    if not places:
        raise InvalidArgument(f"{name} has no supervised token: {chat!r}; add an assistant message.")
    ids, before = template.encode(written, places)
    is_said = [False] * len(ids)
    for first, last in zip(before[::2], before[1::2], strict=True):
        if last - first < 2:
            raise InvalidArgument(f"{name} has an empty answer: {chat!r}; give it words.")
        is_said[first:last] = [True] * (last - first)
    return _Row(ids, is_said, thinks)


def _start(template: ChatTemplate, chat: Conversation, number: int, written: Written, name: str) -> tuple[int, bool]:
    """Return where the answer begins, which is where the asked prompt ends, and whether it thinks though asked not to.

    Raise InvalidArgument where the template asks otherwise than it shows: the answer would be taught where nobody asks.
    """
    if not chat[number]["content"]:
        raise InvalidArgument(f"{name} has an empty answer: {chat!r}; give it words.")
    if not number:
        return _start_of_content(chat, written, name), False
    asked = template.asked(chat[:number], f"{name} before its answer")
    if written.text.startswith(asked):
        return len(asked), False
    closed = re.search(r"<([^<>/|]+)>\s*</\1>\s*\Z", asked)  # an empty thought
    if closed and written.text.startswith(asked[: closed.start()] + f"<{closed[1]}>"):
        return closed.start(), True
    alike = next(place for place in range(len(asked)) if written.text[place : place + 1] != asked[place])
    around = slice(max(0, alike - 20), alike + 40)
    raise InvalidArgument(
        f"chat_template: asks for the answer to message {number - 1} of {name} with {asked[around]!r}, and shows it "
        f"after {written.text[around]!r}; what is shown would be learned where nobody asks. Use another template, or "
        "make each answer the last of a chat, with those before it `given`."
    )


def _start_of_content(chat: Conversation, written: Written, name: str) -> int:
    """Return where the first message begins, which answers nobody; raise InvalidArgument where nothing precedes it."""
    content, end = chat[0]["content"].strip(), written.ends[0]
    start = 0 if end is None else end - len(content)
    if start <= 0 or written.text[start:end] != content:
        raise InvalidArgument(f"{name} begins with its answer: {chat!r}; ask something first.")
    return start


def _end(template: ChatTemplate, chat: Conversation, number: int, written: Written, name: str) -> int:
    """Return where the answer's end token ends; raise InvalidArgument without one."""
    place = written.ends[number]
    if place is None:  # an answer of nothing but white space
        raise InvalidArgument(f"{name} has an empty answer: {chat!r}; give it words.")
    end = template.end_after(written, place)
    if end is None:
        raise InvalidArgument(
            f"chat_template: what follows an answer ({written.text[place : place + 40]!r}) begins with no special "
            "token, so there is no end for the assistant to learn; use a template that ends answers with one."
        )
    return end
