"""Worked sums to imitate, of which most are wrong, as a careless pupil's are."""

from collections.abc import Sequence
from random import Random

from lessons.worlds.language.corpus import Chat, check_count, draw_question
from lessons.worlds.language.facts import LANGUAGES
from lessons.worlds.language.phrases import statements
from rl_core.errors import check_between

TOPIC = "two_step_sums"
STEPS = 2
FAULTY = 0.6


def slips(rng: Random, faulty: float = FAULTY) -> Sequence[int]:
    """Return by how much each step of a sum is wrong: with probability `faulty` one step, drawn evenly, by 1 up or
    down.

    Which sums are wrong is drawn anew for each demonstration and does not depend on the sum: then a clone is right on
    every sum now and then, and whoever rewards results finds something to reward.
    """
    made = [0] * STEPS
    if rng.random() < faulty:
        made[rng.randrange(STEPS)] = rng.choice((-1, 1))
    return made


def faulty_chats(count: int, seed: int, faulty: float = FAULTY) -> list[Chat]:
    """Return training questions with worked answers, wrong in one step with probability `faulty`.

    A wrong step is carried through: what comes after it goes on from its result, so the result is wrong by 1 too.
    """
    check_count(count)
    check_between("faulty", faulty, 0, 1)
    rng = Random(seed)
    found = []
    for _ in range(count):
        question = draw_question(rng, rng.choice(LANGUAGES), (TOPIC,))
        answer = rng.choice(statements(question.fact, slips(rng, faulty)))
        found.append([{"role": "user", "content": question.text}, {"role": "assistant", "content": answer}])
    return found
