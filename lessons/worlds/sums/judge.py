"""The program that knows what a sum comes to: right or wrong, 1 or 0."""

import re

from lessons.worlds.language.judge import Verdict
from lessons.worlds.language.questions import Question

EQUATION = r"[0-9]+\+[0-9]+=([0-9]+)"
FORMS = {
    "en": re.compile(rf"(?:So )?{EQUATION}, {EQUATION}\."),
    "zh": re.compile(rf"(?:算出来)?{EQUATION}，{EQUATION}。"),
}


def result_of(answer: str, language: str) -> str | None:
    """Return the number after the last equals sign of two worked steps, or None for any other text."""
    match = FORMS[language].fullmatch(answer)
    return match[2] if match else None


def grade(question: Question, answer: str, ended: bool) -> Verdict:
    """Return the verdict on an answer to a sum: worth 1 if right, else 0.

    Right is an answer that ended, that is two worked steps and nothing else, and whose result, the number after the
    last equals sign, is the sum, digit by digit. What a policy will try, and why it does not pay:

    - naming many numbers: one place is read, and a third step, or a word before or after, makes the answer wrong;
    - leaving out the steps, or stopping half way: the form has two;
    - never stopping, or writing on after the result: an answer that did not end is wrong;
    - the right number in another guise (09, full-width digits, words): digits are compared, not values;
    - asking an easier question: the sum is that of the question asked, whatever operands the steps name;
    - refusing or being nice: nothing but the result is paid.

    What it does pay for, and knowingly: the right result by wrong steps (1+1=5, 5+5=9 for 2+3+4). The steps are the
    policy's own affair, as in a reward that only sees the final answer; how often they are right is measured, not paid.
    """
    fact = question.fact
    right = ended and result_of(answer, fact.language) == fact.answer
    return Verdict(right, False, "plain", ended, float(right))
