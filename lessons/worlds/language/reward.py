"""Questions in, verdicts out: the judge between a policy's tokens and the truth's words."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Any

from lessons.worlds.language.demonstrations import Question, draw_question, questions
from lessons.worlds.language.facts import LANGUAGES, TOPICS
from lessons.worlds.language.judge import Verdict, judge
from rl_core.adapters.language import prompts_from_chat


def training_questions(count: int, seed: int, topics: Sequence[str] = TOPICS) -> list[Question]:
    """Return questions from the training split, topics as often as in the demonstrations."""
    rng = Random(seed)
    return [draw_question(rng, rng.choice(LANGUAGES), topics) for _ in range(count)]


def held_out_questions(per_cell: int, seed: int, topics: Sequence[str] = TOPICS) -> list[Question]:
    """Return questions that were never seen, equally many of each topic in each language.

    A cell with fewer of them is asked several times over, before any of its questions is asked once more than another.
    """
    cells: dict[tuple[str, str], list[Question]] = {(topic, lang): [] for topic in topics for lang in LANGUAGES}
    for question in questions(held_out=True):
        if question.fact.topic in topics:
            cells[question.fact.topic, question.fact.language].append(question)
    rng = Random(seed)
    found: list[Question] = []
    for cell in cells.values():
        rounds, rest = divmod(per_cell, len(cell))
        found += cell * rounds + rng.sample(cell, rest)
    return found


def some_questions(count: int, seed: int, topics: Sequence[str] = TOPICS, *, held_out: bool = False) -> list[Question]:
    """Return so many questions of one split, in no order."""
    if not held_out:
        return training_questions(count, seed, topics)
    found = held_out_questions(ceil(count / (len(topics) * len(LANGUAGES))), seed, topics)
    return Random(seed).sample(found, count)


@dataclass(frozen=True)
class Answer:
    """One answer to one question, with what the judge says of it."""

    question: Question
    text: str
    verdict: Verdict


class Judge:
    """The judge as a reward function over tokens, who remembers which question a prompt asks."""

    def __init__(
        self, tokenizer: Any, asked: Sequence[Question], verdict: Callable[[str, str, bool], Verdict] = judge
    ) -> None:
        """Tokenize the questions once; `verdict` says of (question, answer, ended) what it is worth."""
        self.tokenizer, self.verdict = tokenizer, verdict
        distinct = list(dict.fromkeys(asked))
        chats = [[{"role": "user", "content": question.text}] for question in distinct]
        ids = dict(zip(distinct, prompts_from_chat(tokenizer, chats), strict=True))
        self.prompts = [ids[question] for question in asked]
        self._question_of = {tuple(prompt): question for question, prompt in ids.items()}

    def answers(self, prompts: list[list[int]], answers: list[list[int]]) -> list[Answer]:
        """Return each answer in words, with its verdict."""
        end = self.tokenizer.eos_token_id
        found = []
        for prompt, ids in zip(prompts, answers, strict=True):
            question, ended = self._question_of[tuple(prompt)], ids[-1] == end
            text = self.tokenizer.decode(ids[:-1] if ended else ids)
            found.append(Answer(question, text, self.verdict(question.text, text, ended)))
        return found

    def __call__(self, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
        """Return the judge's scores."""
        return [answer.verdict.score for answer in self.answers(prompts, answers)]


def summary(found: Sequence[Answer]) -> dict[str, float]:
    """Return the shares of a set of answers; `right` is among those that are not listed refusals."""
    verdicts = [answer.verdict for answer in found]
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


def by_cell(found: Sequence[Answer]) -> dict[str, float]:
    """Return the share of right answers in each topic and language, under keys such as `right/capitals/en`."""
    cells: dict[str, list[bool]] = {}
    for answer in found:
        fact = answer.question.fact
        if not answer.verdict.refused:
            cells.setdefault(f"right/{fact.topic}/{fact.language}", []).append(answer.verdict.right)
    return {name: sum(cell) / len(cell) for name, cell in cells.items()}
