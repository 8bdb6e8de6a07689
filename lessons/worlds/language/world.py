"""The assistant: the text so far is seen, a thousand tokens to choose from, one score when the answer is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, log
from pathlib import Path

from matplotlib.axes import Axes
from torch import nn

from lessons.worlds import Advance, Results, Target, all_reached, nobody
from lessons.worlds.language.demonstrations import Question, all_questions, chats
from lessons.worlds.language.draw import Written, draw_answers, write_answers
from lessons.worlds.language.facts import LANGUAGES, TOPICS
from lessons.worlds.language.judge import Verdict, judge
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
from lessons.worlds.language.play import LONGEST_ANSWER, ask, ids_of, interview
from lessons.worlds.language.preferences import preferred, read_pairs, write_pairs
from lessons.worlds.language.reward import Answer, Judge, by_cell, held_out_questions, some_questions, summary
from rl_core.adapters.language import TokenNetwork, TokenScorer, episodes_from_chat
from rl_core.interfaces import Env, Scorer
from rl_core.types import Episodes, Pairs, Rollout

__all__ = ["LONGEST_ANSWER", "WORLD", "Language", "VerdictOf", "least_kl", "model_folder", "tokenizer"]

TRAINING_QUESTIONS = 4096
PER_CELL = 150
LEGEND = "The score is the judge's: what is right, polite and ended earns more; what is wrong or rude costs."
VerdictOf = Callable[[str, str, bool], Verdict]


@dataclass(frozen=True)
class Language:
    """The assistant's world; with other topics, verdicts and another reference it is another world."""

    name: str = "language"
    settings: str = "language"
    title: str = "Language model"
    step_name: str = "token"
    shares: tuple[str, ...] = ("right", "refused", "polite", "plain", "rude", "eos")
    trials: str = "answers"
    headline: str = "score"
    targets: tuple[Target, ...] = (Target("rude", 0.03, is_most=True), Target("polite", 0.90), Target("right", 0.93))
    kinds: tuple[str, ...] = ("answers",)
    one_start: tuple[str, ...] = ("answers",)
    judged: int = 1000
    topics: tuple[str, ...] = TOPICS
    verdict: VerdictOf = judge  # of (question, answer, whether it ended)
    samples: int = 1  # of each held-out question, to find the truth
    sft: Path = SFT  # the reference's folder

    def network(self, start: str, *, seed: int, device: str = "cpu", critic: bool = True) -> nn.Module:
        """Return a language model: SFT (reference), pre-trained (base), fresh (scratch) or saved."""
        return TokenNetwork(self._model(start, seed).to(device), critic="separate" if critic else None)

    def reference(self, device: str = "cpu") -> nn.Module:
        """Return the frozen SFT model."""
        return self.network("reference", seed=0, device=device, critic=False).requires_grad_(False)

    def env(
        self, *, rows: int, steps: int, seed: int, device: str = "cpu", group_size: int = 1, whole: bool = False
    ) -> Env:
        """Return training questions, whose answers may have `steps` tokens, scored by the judge; they are always
        whole.
        """
        judge = self.judge(some_questions(TRAINING_QUESTIONS, 0, self.topics))
        return ask(judge, rows, seed=seed, steps=steps, group_size=group_size, device=device)

    def demonstrations(self, count: int, *, seed: int) -> Episodes:
        """Return chats of which 40 % are polite, 40 % plain and 20 % rude."""
        return episodes_from_chat(tokenizer(), chats(count, seed))

    def preferences(
        self,
        network: nn.Module,
        count: int,
        *,
        seed: int,
        noise: float = 0.0,
        held_out: bool = False,
        device: str = "cpu",
    ) -> dict[str, Pairs]:
        """Return pairs of sampled answers to `count` questions, of which the judge prefers one."""
        judge = self.judge(some_questions(count, seed, self.topics, held_out=held_out))
        return {"answers": preferred(network, judge, seed=seed, noise=noise, device=device)}

    def read_preferences(self, path: Path) -> Pairs:
        """Return the pairs of answers in a JSONL file."""
        return read_pairs(path, tokenizer(), tokenizer().model_max_length)

    def write_preferences(self, pairs: Pairs, path: Path) -> None:
        """Write pairs of answers to this world's questions in words, but those with an answer that never ended."""
        write_pairs(pairs, all_judge(self.verdict), path)

    def scorer(self, start: str, *, seed: int, device: str = "cpu") -> nn.Module:
        """Return a reward model: a language model's trunk with a head that says 0, or a saved one."""
        if start in ("reference", "base", "scratch") or is_written_for(Path(start), "ForCausalLM"):
            return TokenScorer.on_trunk_of(self._model(start, seed).to(device))
        return TokenScorer(open_scorer(Path(start)).to(device))

    def holds_scorer(self, folder: Path) -> bool:
        """Return whether a reward model was saved there."""
        return is_written_for(folder, "ForSequenceClassification")

    def save_scorer(self, scorer: nn.Module, folder: Path) -> None:
        """Write the reward model so that `AutoModelForSequenceClassification` opens it; with its tokenizer."""
        scorer.model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)

    def evaluate(
        self,
        network: nn.Module,
        *,
        seed: int,
        device: str = "cpu",
        quick: bool = False,
        best_of: int = 1,
        scorer: Scorer | None = None,
        reference: nn.Module | None = None,
        advance: Advance = nobody,
    ) -> Results:
        """Return what the judge says of sampled answers to held-out questions, 150 a topic and language (quick: 15)."""
        judge = self.judge(held_out_questions(PER_CELL // 10 if quick else PER_CELL, seed, self.topics))
        found, means = interview(
            network,
            reference or self.reference(device),
            judge,
            seed=seed,
            device=device,
            repeats=self.samples,
            best_of=best_of,
            scorer=scorer,
            advance=advance,
        )
        return self.summary(found) | means | ({} if quick else by_cell(found))

    def summary(self, found: Sequence[Answer]) -> Results:
        """Return the shares of a set of answers."""
        return summary(found)

    def quick_evaluate(
        self, network: nn.Module, *, seed: int, device: str = "cpu", reference: nn.Module | None = None
    ) -> Results:
        """Return what the judge says of 210 answers."""
        return self.evaluate(network, seed=seed, device=device, quick=True, reference=reference)

    def solved(self, results: Results) -> bool:
        """Return whether the answers are polite, not rude, and still right."""
        return all_reached(self.targets, results)

    def bounds(self, before: Results, after: Results) -> Results:
        """Return the least KL of any policy with these shares of tones."""
        return least_kl(before, after, ("polite", "plain", "rude"))

    def examples(self, count: int, *, seed: int, device: str = "cpu") -> Env:
        """Return held-out questions that depend on the seed alone, of as many topics as there are rows."""
        asked = held_out_questions(ceil(count / (len(self.topics) * len(LANGUAGES))), seed, self.topics)
        spread = [asked[i * len(asked) // count] for i in range(count)]
        return ask(self.judge(spread), count, seed=seed, device=device)

    def question(self, played: Rollout, row: int) -> str:
        """Return what was asked."""
        return self.written(played)[row].question

    def words(self, played: Rollout, row: int) -> list[str]:
        """Return each token."""
        ids = played.actions[row][played.mask[row]].tolist()
        return [tokenizer().decode([token]) for token in ids]

    def text(self, played: Rollout, row: int) -> str:
        """Return an answer, without the token that ends it."""
        return "".join(self.written(played)[row].tokens)

    def scene(self, axes: Axes, before: Rollout, after: Rollout) -> Callable[[int], None]:
        """Draw questions with their answers before and after; return what writes the answers to that token."""
        return draw_answers(axes, *(self.written(played) for played in (before, after)))

    def written(self, played: Rollout) -> list[Written]:
        """Return the question of each row, the tokens of its answer but for the end, and its score."""
        written = []
        for row, answer in enumerate(self.answers(played)):
            tokens = self.words(played, row)[: -1 if answer.verdict.ended else None]
            written.append(Written(answer.question.text, tokens, answer.verdict.score))
        return written

    def show(self, before: Rollout, after: Rollout, folder: Path) -> Path:
        """Return the page of the same questions before and after."""
        return write_answers(
            folder / "answers.md", *(self.written(played) for played in (before, after)), legend=LEGEND
        )

    def save(self, network: nn.Module, folder: Path) -> None:
        """Write the policy as transformers does, so that `AutoModelForCausalLM` opens it; with its tokenizer."""
        network.model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)

    def analogy(self, played: Rollout, network: nn.Module) -> dict[str, str]:
        """Return what the nouns of reinforcement learning are here, told from live objects."""
        answer, words = self.answers(played)[0], self.words(played, 0)
        half = len(words) // 2
        return {
            "state": f"{answer.question.text!r} + {''.join(words[:half])!r}",
            "action": f"{words[half]!r} (of {network.vocabulary:,})",
            "policy": f"{type(network.model).__name__}, {network.model.num_parameters():,} parameters",
            "environment": f"the context grows by the token; the judge reads {answer.text!r}",
        }

    def judge(self, asked: list[Question]) -> Judge:
        """Return the reward function for these questions."""
        return Judge(tokenizer(), asked, self.verdict)

    def answers(self, played: Episodes) -> list[Answer]:
        """Return the answers to this world's questions in words, with their verdicts."""
        return all_judge(self.verdict).answers(*ids_of(played))

    def _model(self, start: str, seed: int) -> nn.Module:
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


@cache
def all_judge(verdict: VerdictOf) -> Judge:
    """Return a judge who knows every question there is."""
    return Judge(tokenizer(), all_questions(), verdict)


WORLD = Language()
