"""Preferences between two answers as the lines of a file."""

import codecs
import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rl_core.adapters.language.pairs import ANSWERS, Preference
from rl_core.adapters.language.template import Message
from rl_core.errors import InvalidArgument

KEYS = ("prompt", *ANSWERS)


def read_preferences(path: str | Path) -> list[Preference]:
    """Return the preferences in a JSONL file, one object a line: {"prompt": [...], "chosen": [...], "rejected": [...]}.

    Each value is a list of messages with role and content, or plain text, which is read as the user's words in `prompt`
    and as the assistant's elsewhere. Without `prompt`, the messages that chosen and rejected begin with alike are it;
    where they say it again, it is read once.

    Raise InvalidArgument that names file, line and column of what cannot be read; warn where the prompt's text stands
    at the beginning of both answers' texts.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InvalidArgument(f"path={str(path)!r} cannot be read ({error}); pass a JSONL file.") from error
    lines = [line.removeprefix(codecs.BOM_UTF8) for line in lines]  # as Windows writes it
    preferences = [_preference(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not preferences:
        raise InvalidArgument(f"path={str(path)!r} holds no preference; write at least one line.")
    repeats = sum(_repeats_the_prompt(preference) for preference in preferences)
    if repeats:
        warnings.warn(
            f"path={str(path)!r}: both answers begin with the prompt's text in {repeats} of {len(preferences)} rows; "
            "it is taught as a part of them. Take it out where that is not meant.",
            stacklevel=2,
        )
    return preferences


def write_preferences(path: str | Path, preferences: Iterable[Preference]) -> None:
    """Write the preferences in the form that `read_preferences`, and TRL, read."""
    lines = [
        json.dumps({key: [dict(message) for message in getattr(one, key)] for key in KEYS}, ensure_ascii=False)
        for one in preferences
    ]
    Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _preference(line: bytes, where: str) -> Preference:
    """Return one line's preference."""
    try:
        text = line.decode("utf-8")
        record = json.loads(text)
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{where}, column {error.start + 1}: no UTF-8 ({error.reason}); save it so.") from error
    except json.JSONDecodeError as error:
        raise InvalidArgument(f"{where}, column {error.colno}: {error.msg}; write one JSON object a line.") from error
    except (RecursionError, ValueError) as error:  # lists in lists without end, or a number of thousands of digits
        raise InvalidArgument(f"{where}, column 1: {str(error)[:80]}; write messages with role and content.") from error
    if not isinstance(record, dict):
        raise InvalidArgument(f"{where}, column 1: {record!r} is no object; write {{...}} with {', '.join(KEYS)}.")
    for key in ANSWERS:
        if key not in record:
            raise InvalidArgument(f"{where}, column 1: {key!r} is missing; each line needs {', '.join(KEYS)}.")
    at = {key: f"{where}, column {_column(text, key)}: {key}" for key in KEYS}
    chosen, rejected = (_messages(record[key], "assistant", at[key]) for key in ANSWERS)
    if "prompt" in record:
        prompt, chosen, rejected = _asked_once(record["prompt"], chosen, rejected, at["prompt"])
    else:
        shared = _shared(chosen, rejected)
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not prompt:
        raise InvalidArgument(f"{where}, column 1: there is no prompt; say what was asked.")
    for key, answer in zip(ANSWERS, (chosen, rejected), strict=True):
        if not any(message["role"] == "assistant" for message in answer):
            raise InvalidArgument(f"{at[key]} has no words of the assistant beyond the prompt; write its answer.")
    return Preference(prompt, chosen, rejected, where)


def _asked_once(
    value: Any, chosen: list[Message], rejected: list[Message], where: str
) -> tuple[list[Message], list[Message], list[Message]]:
    """Return the prompt and both answers without it, where these are whole chats that say it again."""
    prompt = _messages(value, "user", where)
    shared = _shared(chosen, rejected)
    asked = [message["content"].strip() for message in chosen[:shared] if message["role"] == "user"]
    if isinstance(value, str) and asked:  # then the chats tell more than the text: a system message, earlier turns
        if value.strip() not in asked:
            raise InvalidArgument(f"{where} is {value!r}, and both answers begin with {asked[-1]!r}; leave one out.")
        return chosen[:shared], chosen[shared:], rejected[shared:]
    return prompt, _beyond(prompt, chosen), _beyond(prompt, rejected)


def _shared(chosen: list[Message], rejected: list[Message]) -> int:
    """Return how many messages both begin with alike; the last answer of two chats that are one is not among them."""
    most = min(len(chosen), len(rejected))
    if len(chosen) == len(rejected) and chosen[-1]["role"] == "assistant":
        most -= 1
    return next((place for place in range(most) if not _is_same(chosen[place], rejected[place])), most)


def _beyond(prompt: list[Message], answer: list[Message]) -> list[Message]:
    """Return the answer without the end of the prompt, where it begins with it."""
    for start in range(len(prompt)) if answer[0]["role"] != "assistant" else ():
        again = prompt[start:]
        if len(again) <= len(answer) and all(map(_is_same, again, answer)):
            return answer[len(again) :]
    return answer


def _is_same(one: Message, other: Message) -> bool:
    """Return whether two messages say the same, whatever else they carry."""
    return bool(one["role"] == other["role"] and one["content"].strip() == other["content"].strip())


def _repeats_the_prompt(preference: Preference) -> bool:
    asked = preference.prompt[-1]["content"].strip()
    answers = (preference.chosen[0]["content"], preference.rejected[0]["content"])
    return bool(asked) and all(answer.lstrip().startswith(asked) for answer in answers)


def _column(line: str, key: str) -> int:
    """Return where a key stands in its line, from 1; a value that reads like the key is not followed by a colon."""
    match = re.search(rf'"{key}"\s*:', line)
    return match.start() + 1 if match else 1


def _messages(value: Any, role: str, where: str) -> list[Message]:
    """Return a value as messages."""
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    is_chat = isinstance(value, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in value
    )
    if not is_chat or not value:
        raise InvalidArgument(f"{where} is {value!r}; write text, or a list of messages with role and content.")
    for message in value:
        if message["role"] == "assistant" and not message["content"]:
            raise InvalidArgument(f"{where} has an empty answer; write some words, or leave the line out.")
        if not message["content"].isprintable() and any("\ud800" <= sign <= "\udfff" for sign in message["content"]):
            raise InvalidArgument(f"{where} has half a character (a lone surrogate); write it whole.")
    return list(value)
