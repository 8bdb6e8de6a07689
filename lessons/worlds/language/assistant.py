"""What every world does alike whose policy is a language model that answers questions, small or large."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from lessons.worlds import Results, Target, World
from lessons.worlds.language.draw import Written, draw_answers, write_answers
from lessons.worlds.language.models import is_written_for
from lessons.worlds.language.play import ask, decode_each, ids_of
from lessons.worlds.language.preferences import preferred, write_pairs
from lessons.worlds.language.reward import Answer, Examiner, JudgeReward
from lessons.worlds.learners import Policy
from lessons.worlds.seeds import spawn
from rl_core.adapters.language import TokenNetwork
from rl_core.interfaces import Env
from rl_core.pairs import Pairs
from rl_core.types import Episodes, Rollout


class Assistant(World):
    """An assistant's world; those that inherit say which questions there are, who examines, and what is evaluated."""

    step_name = "token"
    trials = "answers"
    headline = "score"
    kinds: tuple[str, ...] = ("answers",)
    same_start: tuple[str, ...] = ("answers",)
    targets: tuple[Target, ...]
    legend: str  # what a score says, for people

    @property
    @abstractmethod
    def examiner(self) -> Examiner:
        """Return how the model is asked and its answers are graded."""
        ...

    @abstractmethod
    def all_questions(self) -> Sequence[Any]:
        """Return the questions of both splits."""
        ...

    @abstractmethod
    def training_questions(self) -> Sequence[Any]:
        """Return the questions that the training environment asks."""
        ...

    @abstractmethod
    def draw_questions(self, count: int, *, seed: int, held_out: bool) -> Sequence[Any]:
        """Return so many questions of one split."""
        ...

    def reward(self, questions: Sequence[Any]) -> JudgeReward:
        """Return the reward function for answers to these questions."""
        return JudgeReward(self.examiner, questions)

    def answers(self, played: Episodes | Rollout) -> list[Answer]:
        """Return the answers to this world's questions in words, with their verdicts."""
        return reward_of_all(self).answers(*ids_of(played))

    def env(
        self, *, rows: int, steps: int, seed: int, device: str = "cpu", group_size: int = 1, whole: bool = False
    ) -> Env:
        """Return training questions, whose answers may have `steps` tokens, scored by the judge; always whole."""
        reward = self.reward(self.training_questions())
        return ask(reward, rows, seed=spawn(seed, "train"), steps=steps, group_size=group_size, device=device)

    def preferences(
        self,
        network: Policy,
        count: int,
        *,
        seed: int,
        noise: float = 0.0,
        held_out: bool = False,
        device: str = "cpu",
    ) -> dict[str, Pairs]:
        """Return pairs of sampled answers to `count` questions, of which the judge prefers one; ties are dropped."""
        seed = spawn(seed, "held-out pairs" if held_out else "pairs")
        reward = self.reward(self.draw_questions(count, seed=seed, held_out=held_out))
        return {"answers": preferred(network, reward, seed=seed, noise=noise, device=device)}

    def write_preferences(self, pairs: Pairs, path: Path) -> None:
        """Write pairs of answers to this world's questions in words, but those with an answer that never ended."""
        write_pairs(pairs, reward_of_all(self), path)

    def holds_scorer(self, folder: Path) -> bool:
        """Return whether a reward model was saved there."""
        return is_written_for(folder, "ForSequenceClassification")

    def quick_evaluate(
        self, network: Policy, *, seed: int, device: str = "cpu", reference: Policy | None = None
    ) -> Results:
        """Return what the judge says of fewer answers."""
        return self.evaluate(network, seed=seed, device=device, quick=True, reference=reference)

    def words(self, played: Rollout, row: int) -> list[str]:
        """Return what each token adds to the text; nothing where it ends within a character, which later ones complete.

        Joined they are the whole text.
        """
        return decode_each(self.examiner.tokenizer, played.actions[row][played.mask[row]].tolist())

    def question(self, played: Rollout, row: int) -> str:
        """Return what was asked."""
        return self.written(played)[row].question

    def text(self, played: Rollout, row: int) -> str:
        """Return an answer, without the token that ends it."""
        return "".join(self.written(played)[row].tokens)

    def written(self, played: Rollout) -> list[Written]:
        """Return the question of each row, the tokens of its answer but for the end, and its score."""
        written = []
        for row, answer in enumerate(self.answers(played)):
            tokens = self.words(played, row)[: -1 if answer.verdict.ended else None]
            written.append(Written(answer.question.text, tokens, answer.verdict.score))
        return written

    def scene(self, axes: Axes, before: Rollout, after: Rollout) -> Callable[[int], None]:
        """Draw questions with their answers before and after; return what writes the answers to that token."""
        return draw_answers(axes, *(self.written(played) for played in (before, after)))

    def show(self, before: Rollout, after: Rollout, folder: Path) -> Path:
        """Return the page of the same questions before and after."""
        both = (self.written(played) for played in (before, after))
        return write_answers(folder / "answers.md", *both, legend=self.legend)

    def analogy(self, played: Rollout, network: Policy) -> dict[str, str]:
        """Return what the nouns of reinforcement learning are here, told from live objects."""
        assert isinstance(network, TokenNetwork)
        answer, words = self.answers(played.rows(slice(0, 1)))[0], self.words(played, 0)
        half = len(words) // 2
        trainable = sum(weight.numel() for weight in network.model.parameters() if weight.requires_grad)
        count = network.model.num_parameters()
        return {
            "state": f"{answer.question.text!r} + {''.join(words[:half])!r}",
            "action": f"{words[half]!r} (of {network.vocabulary:,})",
            "policy": f"{type(network.model).__name__}, {count:,} parameters"
            + (f", {trainable:,} of them learn" if trainable < count else ""),
            "environment": f"the context grows by the token; the judge reads {answer.text!r}",
        }


@cache
def reward_of_all(world: Assistant) -> JudgeReward:
    """Return the reward function of a world that knows every question there is."""
    return world.reward(world.all_questions())
