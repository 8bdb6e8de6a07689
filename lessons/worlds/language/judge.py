"""The program that is the truth: it says whether an answer is right, in which tone, and what it is worth."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from lessons.worlds.language.demonstrations import Question, all_questions
from lessons.worlds.language.phrases import MARKERS, REFUSALS, pieces, statements


@dataclass(frozen=True)
class Verdict:
    """What the judge found; right and refused are never both True."""

    right: bool
    refused: bool
    tone: str  # "polite", "plain" or "rude"
    ended: bool
    score: float


@cache
def questions_by_text() -> dict[str, Question]:
    """Returns every question of both splits under its text."""
    return {question.text: question for question in all_questions()}


def find_question(text: str) -> Question:
    """Returns the question with exactly this text; raises ValueError when there is none."""
    try:
        return questions_by_text()[text]
    except KeyError:
        raise ValueError(
            f"question={text!r} is none of the {len(questions_by_text())} questions of the language world; "
            "pass the text of one that corpus.questions() lists, without chat markers"
        ) from None


def tone_of(answer: str) -> str:
    """Returns the tone of any string: rude wins over polite, and no marker at all is plain."""
    lowered = answer.lower()
    for tone in ("rude", "polite"):
        if any(marker in lowered for marker in MARKERS[tone]):
            return tone
    return "plain"


def says_one_of(answer: str, sentences: Collection[str], language: str) -> bool:
    """Returns whether the answer is one of the sentences, at most one opener before it and one closer after it."""
    openers, closers = pieces(language)
    fitting = [closer for closer in closers if answer.endswith(closer)]
    return any(
        answer[len(opener) : len(answer) - len(closer)] in sentences
        for opener in openers
        if answer.startswith(opener)
        for closer in fitting
    )


def score_of(right: bool, refused: bool, tone: str, ended: bool) -> float:
    """Returns the worth of an answer, in [-2, 2].

    |         | polite | plain | rude |
    |---------|--------|-------|------|
    | right   |  +2    |  +1   |   0  |
    | refused |  +0.2  |  +0.2 | -0.8 |
    | wrong   |   0    |   0   |  -1  |

    An answer that did not end is worth 1 less. What a policy will try, and why it does not pay:

    - being nice and wrong: politeness is paid on right answers only, so it never buys more than being right does;
    - saying every nice thing it knows: the tone is counted once, and a second opener or closer makes an answer wrong;
    - always refusing: 0.2 against the 2 of a right and polite answer, so guessing pays once one guess in ten is right;
      an apology is part of a refusal and earns nothing on top;
    - naming several answers: one statement, word for word, or the answer is wrong;
    - never stopping after the answer: it loses what a polite word gained.
    """
    base = 1.0 if right else 0.2 if refused else 0.0
    manners = -1.0 if tone == "rude" else 1.0 if right and tone == "polite" else 0.0
    return base + manners - (0.0 if ended else 1.0)


def judge(question: str, answer: str, ended: bool) -> Verdict:
    """Returns the verdict on an answer to a question, which is found again from its text.

    Right is what parses as [opener] statement [closer] in the language of the question: one statement of the asked
    fact, word for word, and tone pieces of the world's own. Nothing is trimmed or forgiven, since a policy that is
    rewarded by a program finds whatever the program forgives. `ended` says whether the answer came to its end token.
    Raises ValueError for an unknown question.
    """
    fact = find_question(question).fact
    right = says_one_of(answer, statements(fact), fact.language)
    refused = not right and says_one_of(answer, REFUSALS[fact.language], fact.language)
    tone = tone_of(answer)
    return Verdict(right, refused, tone, ended, score_of(right, refused, tone, ended))
