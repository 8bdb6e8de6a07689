"""The deterministic generator of every text that the language world shows: questions, demonstrations, raw text."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from lessons.worlds.language.facts import FACTS, LANGUAGES, TOPICS, Fact
from lessons.worlds.language.phrases import REFUSALS, TONES, answers, statements, wordings

Message = dict[str, str]
Chat = list[Message]

# Topics are drawn first, so the 125 two-step sums do not drown the 5 facts of identity. A sum is learnt from the other
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


def stable_hash(*parts: object) -> float:
    """Returns a number in [0, 1) that depends on the parts alone, in every process and on every machine."""
    # Python's own hash() of a string changes from one process to the next.
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8")).digest()
    return int.from_bytes(digest[:6], "big") / 2.0**48


def held_out_wordings(fact: Fact, count: int) -> set[int]:
    """Returns the wordings of a fact that are held out: a fifth of `count` on average."""
    name = (fact.language, fact.topic, fact.key)
    order = sorted(range(count), key=lambda wording: stable_hash(*name, wording))
    # The share is rounded up or down by chance, fact by fact: 2 or 3 of 12, never all 4 frames of one core.
    share = int(0.2 * count + stable_hash(*name))
    return set(order[:share])


@cache
def all_questions() -> tuple[Question, ...]:
    """Returns all (fact, wording) pairs of both splits, in a fixed order."""
    found: list[Question] = []
    for fact in FACTS:
        texts = wordings(fact)
        held_out = held_out_wordings(fact, len(texts))
        found += [Question(fact, index, text, index in held_out) for index, text in enumerate(texts)]
    if len({question.text for question in found}) != len(found):
        raise ValueError("phrases: two questions have the same text, so no judge can tell them apart; reword one")
    return tuple(found)


def questions(held_out: bool) -> list[Question]:
    """Returns the (fact, wording) pairs of one split."""
    return [question for question in all_questions() if question.held_out == held_out]


@cache
def training_cells() -> dict[tuple[str, str], tuple[Question, ...]]:
    """Returns the training questions of each (topic, language)."""
    training = questions(held_out=False)
    return {
        (topic, language): tuple(q for q in training if (q.fact.topic, q.fact.language) == (topic, language))
        for topic in TOPICS
        for language in LANGUAGES
    }


def draw_question(rng: random.Random, language: str, topics: Sequence[str] = TOPICS) -> Question:
    """Returns a random training question: first its topic, then one of the topic's questions."""
    topic = rng.choices(topics, weights=[TOPIC_WEIGHTS[name] for name in topics])[0]
    return rng.choice(training_cells()[topic, language])


def check_count(count: int) -> None:
    """Returns nothing; raises ValueError for a number of texts below 0."""
    if count < 0:
        raise ValueError(f"count={count} is negative; pass the number of texts wanted, 0 or more")


def chats(
    count: int,
    seed: int,
    tones: Sequence[float] = (0.4, 0.4, 0.2),
    refusals: float = 0.02,
) -> list[Chat]:
    """Returns demonstrations on training questions, in tones that do not depend on the question.

    `tones` are the probabilities of polite, plain and rude; `refusals` is the share of answers that only refuse.
    """
    check_count(count)
    if len(tones) != 3 or min(tones) < 0 or abs(sum(tones) - 1) > 1e-9:
        raise ValueError(f"tones={tuple(tones)} are no probabilities; pass three shares >= 0 with sum 1")
    if not 0 <= refusals <= 1:
        raise ValueError(f"refusals={refusals} is no probability; pass a share between 0 and 1")
    rng = random.Random(seed)
    drawn: list[Chat] = []
    for _ in range(count):
        question = draw_question(rng, rng.choice(LANGUAGES))
        tone = rng.choices(TONES, weights=tones)[0]
        refused = rng.random() < refusals
        choices = REFUSALS[question.fact.language] if refused else answers(question.fact, tone)
        drawn.append(
            [
                {"role": "user", "content": question.text},
                {"role": "assistant", "content": rng.choice(choices)},
            ]
        )
    return drawn


def raw_texts(count: int, seed: int) -> list[str]:
    """Returns small documents for pre-training, without chat markers, in all tones equally often.

    Seven in ten are a question and its answer on two lines, two in ten are two such pairs, one is a bare statement.
    An answer always starts a line, as it does in a chat, so that a fact is met in the same tokens in both.
    """
    check_count(count)
    rng = random.Random(seed)
    documents: list[str] = []
    for _ in range(count):
        language = rng.choice(LANGUAGES)
        pairs = rng.choices((0, 1, 2), weights=(0.1, 0.7, 0.2))[0]
        lines: list[str] = []
        for _ in range(pairs):
            question = draw_question(rng, language)
            lines += [question.text, rng.choice(answers(question.fact, rng.choice(TONES)))]
        documents.append("\n".join(lines) or statements(draw_question(rng, language).fact)[0])
    return documents
