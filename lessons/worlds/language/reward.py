"""The judge as a reward function: between the tokens of a language model and the words that are graded."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lessons.worlds.language.demonstrations import Chat
from rl_core.adapters.language import prompts_from_chat


@dataclass(frozen=True)
class Examiner:
    """How a model is asked and its answers are graded: all in which one assistant's world differs from another's."""

    tokenizer: Any
    ends: frozenset[int]
    """The tokens that end an answer."""
    context: int | None
    """Tokens that the model can read, where that is known."""
    as_chat: Callable[[Any], Chat]
    """The messages that ask a question."""
    grade: Callable[[Any, str, bool], Any]
    """The verdict on (question, answer, whether it ended); it has a score."""
    max_new_tokens: int
    """Of an answer that is only looked at."""
    rows: int
    """Of a rollout that is only looked at."""
    micro_rows: int
    """Whose logits are in memory at once."""


@dataclass(frozen=True)
class Answer:
    """One answer to one question, with the judge's verdict."""

    question: Any
    text: str
    verdict: Any


class JudgeReward:
    """A reward function that remembers which question a prompt asks."""

    def __init__(self, examiner: Examiner, questions: Sequence[Any]) -> None:
        """Tokenize the questions once each, as often as they are asked."""
        self.examiner, self.questions = examiner, list(questions)
        distinct = list(dict.fromkeys(questions))
        ids = prompts_from_chat(examiner.tokenizer, [examiner.as_chat(question) for question in distinct])
        prompt_of = dict(zip(distinct, ids, strict=True))
        self.prompts = [prompt_of[question] for question in questions]
        self._question_of = {tuple(prompt): question for question, prompt in prompt_of.items()}

    def answers(self, prompts: list[list[int]], answers: list[list[int]]) -> list[Answer]:
        """Return each answer in words, control tokens that are not its end included, with its verdict."""
        graded = []
        for prompt, ids in zip(prompts, answers, strict=True):
            question, ended = self._question_of[tuple(prompt)], ids[-1] in self.examiner.ends
            text = self.examiner.tokenizer.decode(ids[:-1] if ended else ids)
            graded.append(Answer(question, text, self.examiner.grade(question, text, ended)))
        return graded

    def __call__(self, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
        """Return the judge's scores."""
        return [answer.verdict.score for answer in self.answers(prompts, answers)]


def summary(answers: Sequence[Answer]) -> dict[str, float]:
    """Return the shares of a set of answers; `right` is among those that are not listed refusals."""
    verdicts = [answer.verdict for answer in answers]
    tones = Counter(verdict.tone for verdict in verdicts)
    tried = [verdict for verdict in verdicts if not verdict.refused]
    return {
        "right": sum(verdict.right for verdict in tried) / max(1, len(tried)),
        "refused": 1 - len(tried) / len(verdicts),
        "polite": tones["polite"] / len(verdicts),
        "plain": tones["plain"] / len(verdicts),
        "rude": tones["rude"] / len(verdicts),
        "eos": sum(verdict.ended for verdict in verdicts) / len(verdicts),
        "score": sum(verdict.score for verdict in verdicts) / len(verdicts),
    }


def right_by_topic(answers: Sequence[Answer]) -> dict[str, float]:
    """Return the share of right answers in each topic and language, under keys such as `right/capitals/en`."""
    right: dict[str, list[bool]] = {}
    for answer in answers:
        fact = answer.question.fact
        if not answer.verdict.refused:
            right.setdefault(f"right/{fact.topic}/{fact.language}", []).append(answer.verdict.right)
    return {name: sum(shares) / len(shares) for name, shares in right.items()}
