"""The assistant: the text so far is seen, a thousand tokens to choose from, one score when the answer is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log
from pathlib import Path
from typing import Any

from lessons.worlds import Advance, Results, Target, World, nobody
from lessons.worlds.language.assistant import Assistant
from lessons.worlds.language.demonstrations import chats
from lessons.worlds.language.facts import LANGUAGES, TOPICS
from lessons.worlds.language.judge import Verdict, grade
from lessons.worlds.language.models import (
    BASE,
    SFT,
    fresh_model,
    is_written_for,
    model_folder,
    open_model,
    open_scorer,
    tokenizer,
)
from lessons.worlds.language.play import ask, interview
from lessons.worlds.language.preferences import read_pairs
from lessons.worlds.language.questions import Question, all_questions, as_chat, held_out_questions, some_questions
from lessons.worlds.language.reward import Answer, Examiner, right_by_topic, summary
from lessons.worlds.learners import Policy, RewardModel
from lessons.worlds.seeds import spawn
from rl_core.adapters.language import TokenNetwork, TokenScorer, episodes_from_chat
from rl_core.interfaces import Env, Scorer
from rl_core.pairs import Pairs
from rl_core.types import Episodes

__all__ = ["LONGEST_ANSWER", "WORLD", "GradeOf", "Language", "least_kl", "model_folder", "tokenizer"]

TRAINING_QUESTIONS = 4096
PER_CELL = 150
LEGEND = "The score is the judge's: what is right, polite and ended earns more; what is wrong or rude costs."
LONGEST_ANSWER = 32
ROWS = 350  # of a rollout that is only looked at
GradeOf = Callable[[Question, str, bool], Verdict]


@dataclass(frozen=True)
class Language(Assistant):
    """The assistant's world; with other topics, another judge and another reference it is another world."""

    name: str = "language"
    settings: str = "language"
    title: str = "Language model"
    shares: tuple[str, ...] = ("right", "refused", "polite", "plain", "rude", "eos")
    targets: tuple[Target, ...] = (Target("rude", 0.03, is_most=True), Target("polite", 0.90), Target("right", 0.93))
    legend: str = LEGEND
    held_out_pairs: int = 1000
    topics: tuple[str, ...] = TOPICS
    grade: GradeOf = grade
    samples: int = 1  # of each held-out question in an evaluation
    sft: Path = SFT  # the reference's folder

    @property
    def examiner(self) -> Examiner:
        """Return how the model is asked and its answers are graded."""
        return Examiner(
            tokenizer=tokenizer(),
            ends=frozenset({tokenizer().eos_token_id}),
            context=tokenizer().model_max_length,
            as_chat=as_chat,
            grade=self.grade,
            max_new_tokens=LONGEST_ANSWER,
            rows=ROWS,
            micro_rows=ROWS,
        )

    def all_questions(self) -> Sequence[Question]:
        """Return the questions of both splits."""
        return all_questions()

    def training_questions(self) -> Sequence[Question]:
        """Return the questions that the training environment asks."""
        return some_questions(TRAINING_QUESTIONS, 0, self.topics)

    def draw_questions(self, count: int, *, seed: int, held_out: bool) -> Sequence[Question]:
        """Return so many questions of one split."""
        return some_questions(count, seed, self.topics, held_out=held_out)

    def network(self, start: str, *, seed: int, device: str = "cpu", critic: bool = True) -> Policy:
        """Return a language model: SFT (reference), pre-trained (base), fresh (scratch) or saved."""
        return TokenNetwork(self._model(start, seed).to(device), critic="separate" if critic else None)

    def reference(self, device: str = "cpu") -> Policy:
        """Return the frozen SFT model."""
        return self.network("reference", seed=0, device=device, critic=False).requires_grad_(False)

    def demonstrations(self, count: int, *, seed: int) -> Episodes:
        """Return chats of which 40 % are polite, 40 % plain and 20 % rude."""
        return episodes_from_chat(tokenizer(), chats(count, seed))

    def read_preferences(self, path: Path) -> Pairs:
        """Return the pairs of answers in a JSONL file."""
        return read_pairs(path, tokenizer(), tokenizer().model_max_length)

    def scorer(self, start: str, *, seed: int, device: str = "cpu") -> RewardModel:
        """Return a reward model: a language model's trunk with a head that says 0, or a saved one."""
        if start in ("reference", "base", "scratch") or is_written_for(Path(start), "ForCausalLM"):
            return TokenScorer.on_trunk_of(self._model(start, seed).to(device))
        return TokenScorer(open_scorer(Path(start)).to(device))

    def save_scorer(self, scorer: RewardModel, folder: Path) -> None:
        """Write the reward model so that `AutoModelForSequenceClassification` opens it; with its tokenizer."""
        assert isinstance(scorer, TokenScorer)
        scorer.model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)

    def evaluate(
        self,
        network: Policy,
        *,
        seed: int,
        device: str = "cpu",
        quick: bool = False,
        best_of: int = 1,
        scorer: Scorer | None = None,
        reference: Policy | None = None,
        advance: Advance = nobody,
    ) -> Results:
        """Return what the judge says of sampled answers to held-out questions, 150 a topic and language (quick: 15)."""
        seed = spawn(seed, "evaluate")
        asked = held_out_questions(PER_CELL // 10 if quick else PER_CELL, seed, self.topics)
        answers, means = interview(
            network,
            reference or self.reference(device),
            self.reward(asked),
            seed=seed,
            device=device,
            repeats=self.samples,
            best_of=best_of,
            scorer=scorer,
            advance=advance,
        )
        return self.summary(answers) | means | ({} if quick else right_by_topic(answers))

    def summary(self, answers: Sequence[Answer]) -> Results:
        """Return the shares of a set of answers."""
        return summary(answers)

    def bounds(self, before: Results, after: Results) -> Results:
        """Return the least KL of any policy with these shares of tones."""
        return least_kl(before, after, ("polite", "plain", "rude"))

    def examples(self, count: int, *, seed: int, device: str = "cpu") -> Env:
        """Return held-out questions that depend on the seed alone, of as many topics as there are rows."""
        seed = spawn(seed, "examples")
        asked = held_out_questions(ceil(count / (len(self.topics) * len(LANGUAGES))), seed, self.topics)
        evenly = [asked[i * len(asked) // count] for i in range(count)]
        return ask(self.reward(evenly), count, seed=seed, device=device)

    def save(self, network: Policy, folder: Path) -> None:
        """Write the policy as transformers does, so that `AutoModelForCausalLM` opens it; with its tokenizer."""
        assert isinstance(network, TokenNetwork)
        network.model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)

    def _model(self, start: str, seed: int) -> Any:
        """Return what a policy or a reward model starts from."""
        return (
            fresh_model(seed)
            if start == "scratch"
            else open_model({"reference": self.sft, "base": BASE}.get(start, Path(start)))
        )


def least_kl(before: Results, after: Results, kinds: Sequence[str]) -> Results:
    """Return the least KL of any policy with these shares of the kinds of answers there are.

    KL(π || π_ref) of whole answers is at least the KL of anything computed from them (data processing), here the kind:
    Σ_kind p log(p / q), with p the shares after and q those before. Nothing is said of a kind that was never seen
    before: its share was small, and nobody knows how small.
    """
    shares = [(after[kind], before[kind]) for kind in kinds if after[kind] > 0]
    if any(q == 0 for _, q in shares):
        return {}
    return {"least_kl": sum(p * log(p / q) for p, q in shares)}


WORLD: World = Language()
