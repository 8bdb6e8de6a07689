"""Every question of the language world, and which of them are never trained on."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil

from lessons.worlds.language.facts import FACTS, LANGUAGES, TOPICS, Fact
from lessons.worlds.language.phrases import wordings
from rl_core.errors import InvalidState

# Topics are drawn first, so the 125 two-step sums do not drown the 5 facts of identity. A sum is learned from the other
# sums too, a capital only from itself: so sums get more than a topic's share, yet far less than their number of facts.
TOPIC_WEIGHTS: dict[str, float] = {
    "capitals": 3.0,
    "colours": 2.5,
    "opposites": 4.5,
    "sums": 2.5,
    "two_step_sums": 3.5,
    "identity": 2.2,
    "greetings": 2.2,
}


@dataclass(frozen=True)
class Question:
    """One wording of one fact; `held_out` says that no training text ever contains it."""

    fact: Fact
    wording: int
    text: str
    held_out: bool


def as_chat(question: Question) -> list[dict[str, str]]:
    """Return the messages that ask a question."""
    return [{"role": "user", "content": question.text}]


def stable_hash(*parts: object) -> float:
    """Return a number in [0, 1) that depends on the parts alone, in every process and on every machine."""
    # Python's own hash() of a string changes from one process to the next.
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8")).digest()
    return int.from_bytes(digest[:6], "big") / 2.0**48


def held_out_wordings(fact: Fact, count: int) -> set[int]:
    """Return the wordings of a fact that are held out: a fifth of `count` on average."""
    name = (fact.language, fact.topic, fact.key)
    order = sorted(range(count), key=lambda wording: stable_hash(*name, wording))
    # The share is rounded up or down by chance, fact by fact: 2 or 3 of 12, never all 4 frames of one core.
    share = int(0.2 * count + stable_hash(*name))
    return set(order[:share])


@cache
def all_questions() -> tuple[Question, ...]:
    """Return all (fact, wording) pairs of both splits, in a fixed order."""
    every: list[Question] = []
    for fact in FACTS:
        texts = wordings(fact)
        held_out = held_out_wordings(fact, len(texts))
        every += [Question(fact, index, text, index in held_out) for index, text in enumerate(texts)]
    if len({question.text for question in every}) != len(every):
        raise InvalidState("phrases: two questions have the same text, so no judge can tell them apart; reword one.")
    return tuple(every)


def questions(held_out: bool) -> list[Question]:
    """Return the (fact, wording) pairs of one split."""
    return [question for question in all_questions() if question.held_out == held_out]


@cache
def training_cells() -> dict[tuple[str, str], tuple[Question, ...]]:
    """Return the training questions of each (topic, language)."""
    training = questions(held_out=False)
    return {
        (topic, language): tuple(q for q in training if (q.fact.topic, q.fact.language) == (topic, language))
        for topic in TOPICS
        for language in LANGUAGES
    }


def draw_question(rng: random.Random, language: str, topics: Sequence[str] = TOPICS) -> Question:
    """Return a random training question: first its topic, then one of the topic's questions."""
    topic = rng.choices(topics, weights=[TOPIC_WEIGHTS[name] for name in topics])[0]
    return rng.choice(training_cells()[topic, language])


def training_questions(count: int, seed: int, topics: Sequence[str] = TOPICS) -> list[Question]:
    """Return questions from the training split, topics as often as in the demonstrations."""
    rng = random.Random(seed)
    return [draw_question(rng, rng.choice(LANGUAGES), topics) for _ in range(count)]


def held_out_questions(per_cell: int, seed: int, topics: Sequence[str] = TOPICS) -> list[Question]:
    """Return questions that were never seen, equally many of each topic in each language.

    A cell with fewer of them is asked several times over, before any of its questions is asked once more than another.
    """
    cells: dict[tuple[str, str], list[Question]] = {(topic, lang): [] for topic in topics for lang in LANGUAGES}
    for question in questions(held_out=True):
        if question.fact.topic in topics:
            cells[question.fact.topic, question.fact.language].append(question)
    rng = random.Random(seed)
    drawn: list[Question] = []
    for cell in cells.values():
        rounds, rest = divmod(per_cell, len(cell))
        drawn += cell * rounds + rng.sample(cell, rest)
    return drawn


def some_questions(count: int, seed: int, topics: Sequence[str] = TOPICS, *, held_out: bool = False) -> list[Question]:
    """Return so many questions of one split, in no order."""
    if not held_out:
        return training_questions(count, seed, topics)
    drawn = held_out_questions(ceil(count / (len(topics) * len(LANGUAGES))), seed, topics)
    return random.Random(seed).sample(drawn, count)
