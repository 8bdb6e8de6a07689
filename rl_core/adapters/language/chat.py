"""Chats as episodes: what the assistant says is an action, all else is context, and content is never control."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rl_core.adapters.language.env import left_padded
from rl_core.errors import InvalidArgument, InvalidType
from rl_core.types import Episodes

Message = Mapping[str, str]
Conversation = Sequence[Message]


def episodes_from_chat(
    tokenizer: Any,
    conversations: Sequence[Conversation],
    *,
    given: Sequence[int] | None = None,
    strict: bool = False,
) -> Episodes:
    """Return the chats as episodes whose mask is True on what the assistant says, its end token included.

    All before the first of these tokens is the prompt. With several turns the mask has holes: the user's words are then
    observations that follow no action of ours. So many messages of each chat are `given`: they are context, whoever
    says them. `strict` makes special-token text in any content an error; otherwise it is plain text.
    """
    if not conversations:
        raise InvalidArgument("conversations is empty; pass at least one chat.")
    given = [0] * len(conversations) if given is None else given
    rows = zip(conversations, given, strict=True)
    chats = [_tokenize(tokenizer, chat, count, row, strict) for row, (chat, count) in enumerate(rows)]
    firsts = [said.index(True) for _, said in chats]
    prompt = left_padded([ids[: first - 1] for (ids, _), first in zip(chats, firsts, strict=True)])
    steps = max(len(ids) - first for (ids, _), first in zip(chats, firsts, strict=True))
    obs = torch.zeros(len(chats), steps, dtype=torch.int64)
    actions, mask = torch.zeros_like(obs), torch.zeros_like(obs, dtype=torch.bool)
    for row, ((ids, said), first) in enumerate(zip(chats, firsts, strict=True)):
        length = len(ids) - first
        obs[row, :length] = torch.tensor(ids[first - 1 : -1])
        actions[row, :length] = torch.tensor(ids[first:])
        mask[row, :length] = torch.tensor(said[first:])
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
    """Return the ids of each chat up to where the assistant begins to speak."""
    prompts = []
    for row, chat in enumerate(conversations):
        parts = _parts(tokenizer, chat, row, add_generation_prompt=True)
        prompts.append([token for text, role in parts for token in _ids(tokenizer, text, role, row, strict)])
    return prompts


def _tokenize(tokenizer: Any, chat: Conversation, given: int, row: int, strict: bool) -> tuple[list[int], list[bool]]:
    """Return a chat's ids beside which of them the assistant says, after the messages that are given."""
    ids: list[int] = []
    said: list[bool] = []
    was_assistant = False
    number = -1  # of the message
    for text, role in _parts(tokenizer, chat, row, add_generation_prompt=False):
        found = _ids(tokenizer, text, role, row, strict)
        ids += found
        number += role is not None
        is_assistant = role == "assistant" and number >= given
        if is_assistant and not found:
            raise InvalidArgument(f"conversation {row} has an empty answer: {chat!r}; give it words.")
        said += [is_assistant] * len(found)
        if was_assistant:
            if not found or found[0] not in tokenizer.all_special_ids:
                raise InvalidArgument(
                    f"chat_template: what follows an answer ({text!r}) begins with no special token, so there is no "
                    "end for the assistant to learn; use a template that ends answers with one."
                )
            said[-len(found)] = True  # the end is an action
        was_assistant = is_assistant
    if True not in said:
        raise InvalidArgument(f"conversation {row} has no supervised token: {chat!r}; add an assistant message.")
    if said[0]:
        raise InvalidArgument(f"conversation {row} begins with its answer: {chat!r}; ask something first.")
    return ids, said


def _parts(
    tokenizer: Any, chat: Conversation, row: int, *, add_generation_prompt: bool
) -> list[tuple[str, str | None]]:
    """Return the chat's text in pieces, each with its role, or None for what the template writes between contents.

    The template is rendered around place-holders, so whatever the content says, it cannot become markup.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise InvalidType("tokenizer has no chat_template; pass the tokenizer of a chat model, or set one.")
    if not chat:
        raise InvalidArgument(f"conversation {row} is empty: {chat!r}; give it at least one message.")
    for message in chat:
        if not isinstance(message.get("content"), str) or not isinstance(message.get("role"), str):
            raise InvalidType(f"conversation {row}: {message!r} is no message; give a role and a content, both text.")
    marks = [f"\u27ea{number}\u27eb" for number in range(len(chat))]
    while any(mark in message["content"] for mark in marks for message in chat):
        marks = [f"\u27ea{mark}\u27eb" for mark in marks]
    held = [{**message, "content": mark} for message, mark in zip(chat, marks, strict=True)]
    rest = tokenizer.apply_chat_template(held, tokenize=False, add_generation_prompt=add_generation_prompt)
    parts: list[tuple[str, str | None]] = []
    for message, mark in zip(chat, marks, strict=True):
        if rest.count(mark) != 1:
            raise InvalidArgument(
                f"chat_template: writes message {message!r} of conversation {row} {rest.count(mark)} times, or out of "
                "order; use a template that writes each message once."
            )
        before, rest = rest.split(mark)
        parts += [(before, None), (message["content"], message["role"])]
    return [*parts, (rest, None)]


def _ids(tokenizer: Any, text: str, role: str | None, row: int, strict: bool) -> list[int]:
    """Return the ids of one piece: control tokens are read in the template's own text only."""
    if role is not None and strict:
        for token in tokenizer.all_special_tokens:
            if token in text:
                raise InvalidArgument(f"conversation {row}: the {role}'s text holds {token!r}: {text!r}; remove it.")
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=role is not None)["input_ids"])
