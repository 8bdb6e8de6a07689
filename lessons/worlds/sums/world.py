"""Sums with their steps written out, rewarded for the result alone: a reward that a program can verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lessons.worlds import Results, Target, World
from lessons.worlds.language.models import tokenizer
from lessons.worlds.language.phrases import statements
from lessons.worlds.language.reward import Answer
from lessons.worlds.language.world import GradeOf, Language, least_kl
from lessons.worlds.measure import mean
from lessons.worlds.sums.demonstrations import TOPIC, faulty_chats
from lessons.worlds.sums.judge import grade
from rl_core.adapters.language import episodes_from_chat
from rl_core.types import Episodes

SFT = Path(__file__).parent / "models" / "sft"


@dataclass(frozen=True)
class Sums(Language):
    """The world of two-step sums: the language world with one topic, another judge and a reference that slips."""

    name: str = "sums"
    settings: str = "sums"
    title: str = "Sums"
    shares: tuple[str, ...] = ("right", "wrong", "steps", "eos")
    targets: tuple[Target, ...] = (Target("right", 0.90),)
    topics: tuple[str, ...] = (TOPIC,)
    grade: GradeOf = grade
    sft: Path = SFT
    samples: int = 8

    def demonstrations(self, count: int, *, seed: int) -> Episodes:
        """Return worked sums of which 60 % are wrong."""
        return episodes_from_chat(tokenizer(), faulty_chats(count, seed))

    def summary(self, answers: Sequence[Answer]) -> Results:
        """Return the shares of a set of answers, of which each 8 in a row are to one question.

        `right` is pass@1; `pass_at_8` is the share of questions of whose 8 answers one at least is right;
        `steps` is the share of answers whose every step is right too, which no reward asks for.
        """
        right = [answer.verdict.right for answer in answers]
        questions = [any(right[first : first + self.samples]) for first in range(0, len(right), self.samples)]
        return {
            "right": mean(right),
            "wrong": 1 - mean(right),
            "pass_at_8": mean(questions),
            "steps": mean([answer.text in statements(answer.question.fact) for answer in answers]),
            "eos": mean([answer.verdict.ended for answer in answers]),
            "score": mean([answer.verdict.score for answer in answers]),
        }

    def bounds(self, before: Results, after: Results) -> Results:
        """Return the least KL of any policy with this share of right answers."""
        return least_kl(before, after, ("right", "wrong"))


WORLD: World = Sums()
