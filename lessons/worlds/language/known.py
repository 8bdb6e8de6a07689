"""The questions that the small models know, looked up by what somebody types."""

import difflib
import unicodedata
from functools import cache

from lessons.worlds.language.questions import all_questions


def known_wording(text: str) -> str | None:
    """Return the question as the models know it, whatever its case, its spaces and the width of its signs."""
    return _wordings().get(_bare(text))


def near_wordings(text: str, count: int = 3) -> list[str]:
    """Return the known questions that are most like the text, the likest first; none where none is like it."""
    known = _wordings()
    return [known[near] for near in difflib.get_close_matches(_bare(text), known, n=count, cutoff=0.5)]


@cache
def _wordings() -> dict[str, str]:
    return {_bare(question.text): question.text for question in all_questions()}


def _bare(text: str) -> str:
    """Return the text without what two people write differently: case, white space, and the sign at the end."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".!?。")
