"""Preferences between two answers, as lines of a file and as pairs of episodes."""

import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_core.adapters.language.chat import Message, episodes_from_chat
from rl_core.errors import InvalidArgument
from rl_core.types import Pairs

KEYS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class Preference:
    """A conversation so far, with the answer that was preferred and the one that was not; each a list of messages."""

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]


def pairs_from_chat(tokenizer: Any, preferences: Sequence[Preference], *, strict: bool = False) -> Pairs:
    """Return the preferences as pairs of episodes; those whose two answers are alike are left out, with a warning.

    What the assistant says in the prompt is context there, and does not count.

    Raises InvalidArgument when none is left, and as `episodes_from_chat`, whose `strict` this is.
    """
    useful = [one for one in preferences if list(one.chosen) != list(one.rejected)]
    if not useful:
        raise InvalidArgument(
            f"preferences has {len(preferences)} rows, of which {len(preferences)} have chosen == rejected; "
            "pass at least one pair that differs."
        )
    if len(useful) < len(preferences):
        alike = len(preferences) - len(useful)
        warnings.warn(f"{alike} of {len(preferences)} preferences have chosen == rejected; left out.", stacklevel=2)
    given = [len(one.prompt) for one in useful]
    chosen, rejected = ([[*one.prompt, *getattr(one, kind)] for one in useful] for kind in KEYS[1:])
    return Pairs(
        episodes_from_chat(tokenizer, chosen, given=given, strict=strict),
        episodes_from_chat(tokenizer, rejected, given=given, strict=strict),
    )


def read_preferences(path: str | Path) -> list[Preference]:
    """Return the preferences in a JSONL file, one object a line: {"prompt": [...], "chosen": [...], "rejected": [...]}.

    Each value is a list of messages with role and content, or plain text, which is read as the user's words in `prompt`
    and as the assistant's elsewhere. Without `prompt`, the messages that chosen and rejected begin with alike are it.
    Raises InvalidArgument that names file, line and column of what cannot be read.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InvalidArgument(f"path={str(path)!r} cannot be read ({error}); pass a JSONL file.") from error
    found = [_preference(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InvalidArgument(f"path={str(path)!r} holds no preference; write at least one line.")
    return found


def write_preferences(path: str | Path, preferences: Iterable[Preference]) -> None:
    """Nothing; the file holds the preferences in the form that `read_preferences`, and TRL, read."""
    lines = [
        json.dumps({key: [dict(message) for message in getattr(one, key)] for key in KEYS}, ensure_ascii=False)
        for one in preferences
    ]
    Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _preference(line: bytes, where: str) -> Preference:
    """Return one line's preference."""
    try:
        found = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{where}, column {error.start + 1}: no UTF-8 ({error.reason}); save it so.") from error
    except json.JSONDecodeError as error:
        raise InvalidArgument(f"{where}, column {error.colno}: {error.msg}; write one JSON object a line.") from error
    except (RecursionError, ValueError) as error:  # lists in lists without end, or a number of thousands of digits
        raise InvalidArgument(f"{where}, column 1: {str(error)[:80]}; write messages with role and content.") from error
    if not isinstance(found, dict):
        raise InvalidArgument(f"{where}, column 1: {found!r} is no object; write {{...}} with {', '.join(KEYS)}.")
    for key in KEYS[1:]:
        if key not in found:
            raise InvalidArgument(f"{where}, column 1: {key!r} is missing; each line needs {', '.join(KEYS)}.")
    at = {key: f"{where}, column {_column(line.decode('utf-8'), key)}: {key}" for key in KEYS}
    chosen, rejected = (_messages(found[key], "assistant", at[key]) for key in KEYS[1:])
    if "prompt" in found:
        prompt = _messages(found["prompt"], "user", at["prompt"])
    else:
        alike = 0
        while alike < min(len(chosen), len(rejected)) and chosen[alike] == rejected[alike]:
            alike += 1
        prompt, chosen, rejected = chosen[:alike], chosen[alike:], rejected[alike:]
    if not prompt:
        raise InvalidArgument(f"{where}, column 1: there is no prompt; say what was asked.")
    for key, answer in (("chosen", chosen), ("rejected", rejected)):
        if not any(message["role"] == "assistant" for message in answer):
            raise InvalidArgument(f"{at[key]} has no words of the assistant beyond the prompt; write its answer.")
    return Preference(prompt, chosen, rejected)


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
