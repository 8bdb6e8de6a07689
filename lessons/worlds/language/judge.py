"""The judge, a program: it says whether an answer is right, in which tone, and what it is worth."""

from collections.abc import Collection
from dataclasses import dataclass

from lessons.worlds.language.phrases import MARKERS, REFUSALS, pieces, statements
from lessons.worlds.language.questions import Question


@dataclass(frozen=True)
class Verdict:
    """What the judge sees; right and refused are never both True."""

    right: bool
    refused: bool
    tone: str  # "polite", "plain" or "rude"
    ended: bool
    score: float


def tone_of(answer: str) -> str:
    """Return the tone of any string: rude wins over polite, and no marker at all is plain."""
    lowered = answer.lower()
    for tone in ("rude", "polite"):
        if any(marker in lowered for marker in MARKERS[tone]):
            return tone
    return "plain"


def says_one_of(answer: str, sentences: Collection[str], language: str) -> bool:
    """Return whether the answer is one of the sentences, at most one opener before it and one closer after it."""
    openers, closers = pieces(language)
    fitting_closers = [closer for closer in closers if answer.endswith(closer)]
    return any(
        answer[len(opener) : len(answer) - len(closer)] in sentences
        for opener in openers
        if answer.startswith(opener)
        for closer in fitting_closers
    )


def score_of(right: bool, refused: bool, tone: str, ended: bool) -> float:
    """Return the worth of an answer, in [-2, 2].

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


def grade(question: Question, answer: str, ended: bool) -> Verdict:
    """Return the verdict on an answer to a question.

    Right is what parses as [opener] statement [closer] in the language of the question: one statement of the asked
    fact, word for word, and tone pieces of the world's own. Nothing is trimmed or forgiven, since a policy that is
    rewarded by a program finds whatever the program forgives. `ended` says whether the answer came to its end token.
    """
    fact = question.fact
    right = says_one_of(answer, statements(fact), fact.language)
    refused = not right and says_one_of(answer, REFUSALS[fact.language], fact.language)
    tone = tone_of(answer)
    return Verdict(right, refused, tone, ended, score_of(right, refused, tone, ended))
