"""What is shown to the model: chats to imitate, and raw text to read before; all made by rule from the facts."""

import random
from collections.abc import Sequence

from lessons.worlds.language.facts import LANGUAGES
from lessons.worlds.language.phrases import REFUSALS, TONES, answers, statements
from lessons.worlds.language.questions import draw_question
from rl_core.errors import InvalidArgument, check_at_least, check_between

Message = dict[str, str]
Chat = list[Message]


def chats(
    count: int,
    seed: int,
    tones: Sequence[float] = (0.4, 0.4, 0.2),
    refusals: float = 0.02,
) -> list[Chat]:
    """Return demonstrations on training questions, in tones that do not depend on the question.

    `tones` are the probabilities of polite, plain and rude; `refusals` is the share of answers that only refuse.
    """
    check_at_least("count", count, 0)
    if len(tones) != 3 or min(tones) < 0 or abs(sum(tones) - 1) > 1e-9:
        raise InvalidArgument(f"tones={tuple(tones)} are no probabilities; pass three shares >= 0 with sum 1.")
    check_between("refusals", refusals, 0, 1)
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
    """Return small documents for pre-training, without chat markers, in all tones equally often.

    Seven in ten are a question and its answer on two lines, two in ten are two such pairs, one is a bare statement.
    An answer always starts a line, as it does in a chat, so that a fact is met in the same tokens in both.
    """
    check_at_least("count", count, 0)
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
