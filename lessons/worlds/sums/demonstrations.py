"""Worked sums to imitate, of which most are wrong: those of a pupil who counts one too far."""

from math import sqrt
from random import Random

from lessons.worlds.language.demonstrations import Chat
from lessons.worlds.language.facts import LANGUAGES
from lessons.worlds.language.phrases import statements
from lessons.worlds.language.questions import draw_question
from rl_core.errors import check_at_least, check_between

TOPIC = "two_step_sums"
STEPS = 2
FAULTY = 0.6


def slips(rng: Random, faulty: float = FAULTY) -> list[int]:
    """Return by how much each step is too high: 0 or 1, each drawn for itself, with a share `faulty` of sums wrong.

    Slips go one way, so that two of them never cancel and a right result means right steps. They do not depend on each
    other: a model copies "one step at most is wrong" badly, since it would have to check a step that it has written.
    Nor do they depend on the sum: a clone is right on every sum now and then, and whoever rewards results finds
    something to reward.
    """
    slip = 1 - sqrt(1 - faulty)  # right is (1 − slip)²
    return [int(rng.random() < slip) for _ in range(STEPS)]


def faulty_chats(count: int, seed: int, faulty: float = FAULTY) -> list[Chat]:
    """Return training questions with worked answers, of which a share `faulty` is wrong.

    A wrong step is carried through: what comes after it goes on from its result.
    """
    check_at_least("count", count, 0)
    check_between("faulty", faulty, 0, 1)
    rng = Random(seed)
    chats: list[Chat] = []
    for _ in range(count):
        question = draw_question(rng, rng.choice(LANGUAGES), (TOPIC,))
        answer = rng.choice(statements(question.fact, slips(rng, faulty)))
        chats.append([{"role": "user", "content": question.text}, {"role": "assistant", "content": answer}])
    return chats
