"""A chat template as it really writes: its text, where messages end in it, and the template's own ids."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rl_core.adapters.language.control import ControlText, free_characters, restored, texts_in
from rl_core.errors import InvalidArgument, InvalidType

Message = Mapping[str, Any]
Conversation = Sequence[Message]

ROLES = ("system", "developer", "user", "assistant", "tool", "function", "environment", "ipython")
ANCHORS = ("\n", "a", "0", ".", "\u4e2d")  # any text that the beginning of another does not melt with


@dataclass(frozen=True)
class Written:
    """A chat as its template writes it."""

    text: str
    cuts: tuple[int, ...]
    """Where the text must be read in parts, so that control text in a message stays text."""
    ends: tuple[int | None, ...]
    """Where each message's content ends; None for one without content."""


class ChatTemplate:
    """A tokenizer's chat template.

    It is given the very messages, so whatever it makes of them (it may trim them, or part a thought from an answer) is
    what is read. Only control text in them is hidden from it, and comes back as plain text.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Read the template's source; raise InvalidType without one."""
        if not getattr(tokenizer, "chat_template", None):
            raise InvalidType("tokenizer has no chat_template; pass the tokenizer of a chat model, or set one.")
        self.tokenizer = tokenizer
        try:
            self.source: str = tokenizer.get_chat_template()
        except ValueError as error:  # there are several, and none is the default
            raise InvalidType(f"chat_template: {error}; set the one that is meant.") from error
        self.control = ControlText(tokenizer, self.source)

    def write(self, chat: Conversation, name: str, *, ask: bool, strict: bool = False) -> Written:
        """Return the chat as the template writes it; with `ask`, up to where the assistant begins to speak.

        Raise InvalidArgument that names the chat where it cannot be written, or not each message once and in order.
        """
        for message in chat:
            self._check(message, name, strict)
        free = free_characters([self.source, *(text for message in chat for text in texts_in(message))])
        hidden: dict[str, str] = {}
        held = [self.control.hidden(message, hidden, free) for message in chat]
        marks = [next(free) if message["content"].strip() else None for message in held]
        marked = [
            message if mark is None else message | {"content": _closed(message["content"], mark)}
            for message, mark in zip(held, marks, strict=True)
        ]
        text = self._render(marked, name, ask)
        used = [mark for mark in marks if mark is not None]
        for message, mark in zip(chat, marks, strict=True):
            if mark is not None and text.count(mark) != 1:
                raise InvalidArgument(
                    f"chat_template: writes message {dict(message)!r} of {name} {text.count(mark)} times; use a "
                    "template that writes each message once, or leave that message out."
                )
        if sorted(used, key=text.index) != used:
            raise InvalidArgument(
                f"chat_template: writes the messages of {name} ({_roles(chat)}) out of order; use a template that "
                "writes each in its place, or leave the system message out."
            )
        if text.translate(dict.fromkeys(map(ord, used))) != self._render(held, name, ask):
            raise InvalidArgument(
                f"chat_template: what it writes for {name} hangs on how a message ends; use another template."
            )
        shown, cuts, places = restored(text, hidden, used, name)
        return Written(shown, tuple(cuts), tuple(None if mark is None else places[mark] for mark in marks))

    def asked(self, chat: Conversation, name: str) -> str:
        """Return the text up to where the assistant begins to speak, of messages that have been written before."""
        free = free_characters([self.source, *(text for message in chat for text in texts_in(message))])
        hidden: dict[str, str] = {}
        held = [self.control.hidden(message, hidden, free) for message in chat]
        return restored(self._render(held, name, ask=True), hidden, [], name)[0]

    def encode(self, written: Written, places: Iterable[int] = ()) -> tuple[list[int], list[int]]:
        """Return the text's ids, and how many of them stand before each place.

        The ids are the template's own: of the whole text at once. Only where a place falls into a token (an answer's
        first line break may melt into the template's last) are its two sides read apart, since what is taught must
        follow the very tokens of what is asked.
        """
        places, cuts = list(places), sorted({*written.cuts})
        ids: list[int] = []
        before: dict[int, int] = {}
        for first, last in zip([0, *cuts], [*cuts, len(written.text)], strict=True):
            part = self._part(written.text[first:last], first == 0)
            for place in (place for place in places if first < place <= last):
                beginning = self._part(written.text[first:place], first == 0)
                if part[: len(beginning)] != beginning:
                    return self.encode(Written(written.text, (*written.cuts, place), written.ends), places)
                before[place] = len(ids) + len(beginning)
            ids += part
        return ids, [before[place] for place in places]

    def end_after(self, written: Written, place: int) -> int | None:
        """Return where the control token ends that stands at this place, white space skipped; None without one."""
        match = re.compile(rf"\s*({self.control.any_token})").match(written.text, place)
        return match.end() if match else None

    def _part(self, text: str, is_first: bool) -> list[int]:
        """Return the ids of a part of a text; of one that is not the first, without a space that nobody wrote."""
        if is_first:
            return self._ids(text)
        for anchor in ANCHORS:
            alone, both = self._ids(anchor), self._ids(anchor + text)
            if alone and both[: len(alone)] == alone:
                return both[len(alone) :]
        raise InvalidArgument(f"tokenizer cannot read {text[:40]!r} apart from what stands before it; use another.")

    def _ids(self, text: str) -> list[int]:
        # verbose: who is too long is told by the environment and by those who read files, with its row.
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _check(self, message: Any, name: str, strict: bool) -> None:
        """Raise InvalidType unless it is a message, InvalidArgument for a role that the template does not know."""
        is_message = isinstance(message, Mapping) and all(
            isinstance(message.get(key), str) for key in ("role", "content")
        )
        if not is_message:
            raise InvalidType(f"{name}: {message!r} is no message; give a role and a content, both text.")
        role = message["role"]
        # The template writes a role where control tokens are read: `<|` + role + `|>`. So it is one that all templates
        # have heard of, or one that this template itself has between quotes.
        in_quotes = re.search(rf"(['\"]){re.escape(role)}\1", self.source)
        if role not in ROLES and not (in_quotes and re.fullmatch(r"[A-Za-z][\w-]*", role)):
            raise InvalidArgument(
                f"{name}: role={role!r} is none that the chat_template knows; pass one of {', '.join(ROLES)}."
            )
        for text in texts_in(message) if strict else []:
            match = self.control.pattern(role).search(text)
            if match:
                raise InvalidArgument(f"{name}: the {role}'s text holds {match[0]!r}: {text!r}; remove it.")

    def _render(self, chat: list[dict[str, Any]], name: str, ask: bool) -> str:
        """Return what the template writes; raise InvalidArgument with its own words where it refuses."""
        try:
            text = str(self.tokenizer.apply_chat_template([chat], tokenize=False, add_generation_prompt=ask)[0])
        except Exception as error:  # a template is a program of somebody else, and may raise anything
            raise InvalidArgument(
                f"chat_template: refuses {name}, with the roles {_roles(chat)} ({type(error).__name__}: {error}); "
                "change the roles or their order, or use another template."
            ) from error
        if re.search("[\ud800-\udfff]", text):
            raise InvalidArgument(f"{name} has half a character (a lone surrogate); write it whole.")
        return text


def _closed(content: str, mark: str) -> str:
    """Return the content with a mark behind its last sign that is not white space."""
    inner = content.rstrip()
    return inner + mark + content[len(inner) :]


def _roles(chat: Conversation) -> str:
    return ", ".join(message["role"] for message in chat) or "of nobody"
