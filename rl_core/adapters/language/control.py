"""Control tokens, and how control text in a message is kept from becoming one."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rl_core.errors import InvalidArgument

PRIVATE = range(0xE000, 0xF8FF)  # characters that no text has a use for


class ControlText:
    """The control tokens of a tokenizer with this chat template, as text.

    These are the added tokens that are flagged special or named as such, and others that stand in brackets or that the
    template writes. What an answer may hold as well as its template is no control: a pair of tags, such as those around
    a thought; nor is white space, which some tokenizers have added tokens for.
    """

    def __init__(self, tokenizer: Any, source: str) -> None:
        """Read the tokenizer's added tokens; the source is its template's."""
        added = list(tokenizer.added_tokens_decoder.values())
        named = set(tokenizer.all_special_tokens)
        texts = {token.content for token in added if not token.content.isspace()} | named
        special = named | {token.content for token in added if token.special}
        written = {text for text in texts if text in source or re.fullmatch(r"[<\[({].+[>\])}]", text, re.DOTALL)}
        known = source + "".join(texts)
        ends = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token}  # <s> and </s> are no such pair
        tags = {text for text in texts - ends if _is_half_of_a_pair(text, known)}
        self.any_token = _any_of(texts)
        self._in_answers = re.compile(_any_of((special | written) - tags))
        self._elsewhere = re.compile(_any_of(special | (written - tags)))

    def pattern(self, role: str) -> re.Pattern[str]:
        """Return what is control text where this role speaks."""
        return self._in_answers if role == "assistant" else self._elsewhere

    def hidden(self, message: Mapping[str, Any], marks: dict[str, str], free: Iterator[str]) -> dict[str, Any]:
        """Return the message with a free character for each control text in it, whatever field it stands in.

        `marks` grows by what each character stands for.
        """

        def mark_of(match: re.Match[str]) -> str:
            if match[0] not in marks:
                marks[match[0]] = next(free)
            return marks[match[0]]

        control = self.pattern(message["role"])
        return {
            key: value if key == "role" else _mapped(value, lambda text: control.sub(mark_of, text))
            for key, value in message.items()
        }


def free_characters(texts: Iterable[str]) -> Iterator[str]:
    """Yield private characters that stand in none of the texts."""
    used = {sign for text in texts for sign in text}
    return (chr(code) for code in PRIVATE if chr(code) not in used)


def texts_in(message: Mapping[str, Any]) -> list[str]:
    """Return every text in a message but its role, whatever it is nested in."""
    texts: list[str] = []

    def noted(text: str) -> str:
        texts.append(text)
        return text

    _mapped({key: value for key, value in message.items() if key != "role"}, noted)
    return texts


def restored(
    text: str, hidden: Mapping[str, str], marks: Iterable[str], name: str
) -> tuple[str, list[int], dict[str, int]]:
    """Return the text with hidden control text back in its place, where to cut it, and where each mark stood.

    A control text is cut behind its first character and before its last, so that no piece holds it, nor another that
    overlaps it.
    """
    shown = {character: control for control, character in hidden.items()}
    signs = "".join([*shown, *marks])
    parts: list[str] = []
    cuts: set[int] = set()
    places: dict[str, int] = {}
    length = 0
    for part in re.split(f"([{signs}])", text) if signs else [text]:
        if part in shown:
            control = shown[part]
            if len(control) < 2:
                raise InvalidArgument(f"{name} holds the control token {control!r}, which cannot be text; remove it.")
            cuts |= {length + 1, length + len(control) - 1}
            parts.append(control)
            length += len(control)
        elif part and part in signs and len(part) == 1:
            places[part] = length
        else:
            parts.append(part)
            length += len(part)
    return "".join(parts), sorted(cuts), places


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return the value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_mapped(key, change): _mapped(inner, change) for key, inner in value.items()}
    return [_mapped(inner, change) for inner in value] if isinstance(value, list | tuple) else value


def _is_half_of_a_pair(text: str, known: str) -> bool:
    """Return whether the text is a tag whose other half is known too: <think> with </think>."""
    match = re.fullmatch(r"<(/?)([^<>/|]+)>", text)
    return match is not None and f"<{'' if match[1] else '/'}{match[2]}>" in known


def _any_of(texts: Iterable[str]) -> str:
    """Return a pattern for any of the texts, the longest first; it matches nothing where there are none."""
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True) if text) or r"(?!)"
