"""The assistant: the text so far is seen, a thousand tokens to choose from, one score when the answer is done."""

from dataclasses import dataclass
from functools import cache
from math import log
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config
from transformers.utils import logging

from lessons.worlds import Gold
from lessons.worlds.language.answers import (
    Answer,
    Judge,
    by_cell,
    held_out_questions,
    summary,
    training_questions,
)
from lessons.worlds.language.corpus import all_questions, chats
from lessons.worlds.measure import kl_per_episode, mean
from rl_core.adapters.language import TokenEnv, TokenNetwork, episodes_from_chat
from rl_core.errors import CheckpointError
from rl_core.interfaces import Env
from rl_core.rollout import rollout
from rl_core.types import Episodes, Rollout

MODELS = Path(__file__).parent / "models"
STARTS = {"reference": MODELS / "sft", "base": MODELS / "base"}
LONGEST_ANSWER = 32
TRAINING_QUESTIONS = 4096
PER_CELL, ROWS = 150, 350
logging.disable_progress_bar()  # a bar for 50 tensors of 4 MB tells nobody anything


@dataclass(frozen=True)
class Language:
    """The assistant's world."""

    name: str = "language"
    title: str = "Language model"
    step_name: str = "token"
    shares: tuple[str, ...] = ("right", "refused", "polite", "plain", "rude", "eos")
    trials: str = "answers"
    headline: str = "score"

    def network(self, start: str, *, seed: int, device: str = "cpu", critic: bool = True) -> nn.Module:
        """Return a language model: SFT (reference), pre-trained (base), fresh (scratch) or saved."""
        if start == "scratch":
            torch.manual_seed(seed)  # transformers draws its weights from the global generator
            model = AutoModelForCausalLM.from_config(Qwen2Config.from_pretrained(STARTS["base"]))
        else:
            model = open_model(STARTS.get(start, Path(start)))
        return TokenNetwork(model.to(device), critic="separate" if critic else None)

    def reference(self, device: str = "cpu") -> nn.Module:
        """Return the frozen SFT model."""
        return self.network("reference", seed=0, device=device, critic=False).requires_grad_(False)

    def env(self, *, rows: int, steps: int, seed: int, device: str = "cpu") -> Env:
        """Return training questions, whose answers may have `steps` tokens, scored by the judge."""
        return ask(training_questions(TRAINING_QUESTIONS, seed=0), rows, seed=seed, steps=steps, device=device)[0]

    def demonstrations(self, count: int, *, seed: int) -> Episodes:
        """Return chats of which 40 % are polite, 40 % plain and 20 % rude."""
        return episodes_from_chat(tokenizer(), chats(count, seed))

    def gold(self, network: nn.Module, *, seed: int, device: str = "cpu", quick: bool = False) -> Gold:
        """Return what the judge says of 2,100 sampled answers to held-out questions, 150 a topic and language."""
        asked = held_out_questions(PER_CELL // 10 if quick else PER_CELL, seed)
        rows = len(asked) if quick else ROWS
        env, judge = ask(asked, rows, seed=seed, device=device)
        reference, generator = self.reference(device), torch.Generator(device).manual_seed(seed)
        policy = TokenNetwork(network.model)  # without its critic, who need not read along
        found: list[Answer] = []
        kls, lengths = [], []
        for _ in range(len(asked) // rows):
            played = rollout(env, policy, generator)
            found += judge.answers(*ids_of(played))
            lengths.append(played.mask.sum().item() / rows)
            kls.append(kl_per_episode(played, reference))
        shares = summary(found) | {"length": mean(lengths), "kl": mean(kls), "answers": float(len(found))}
        return shares if quick else shares | by_cell(found)

    def probe(self, network: nn.Module, *, seed: int, device: str = "cpu") -> Gold:
        """Return what the judge says of 210 answers."""
        return self.gold(network, seed=seed, device=device, quick=True)

    def solved(self, gold: Gold) -> bool:
        """Return whether the answers are polite, not rude, and still right."""
        return gold["rude"] <= 0.03 and gold["polite"] >= 0.90 and gold["right"] >= 0.93

    def bounds(self, before: Gold, after: Gold) -> Gold:
        """Return the least KL of any policy with these shares of tones.

        KL(π || π_ref) of whole answers is at least the KL of anything computed from them (data processing), here the
        tone: Σ_tone p log(p / q), with p the shares after and q those before.
        """
        shares = [(after[tone], before[tone]) for tone in ("polite", "plain", "rude")]
        return {"least_kl": sum(p * log(p / q) for p, q in shares if p > 0 and q > 0)}

    def examples(self, count: int, *, seed: int, device: str = "cpu") -> Env:
        """Return held-out questions that depend on the seed alone, of as many topics as there are rows."""
        asked = held_out_questions(1, seed)
        spread = [asked[i * len(asked) // count] for i in range(count)] if count <= len(asked) else asked
        return ask(spread, count, seed=seed, device=device)[0]

    def words(self, played: Rollout, row: int) -> list[str]:
        """Return each token."""
        ids = played.actions[row][played.mask[row]].tolist()
        return [tokenizer().decode([token]) for token in ids]

    def show(self, before: Rollout, after: Rollout, folder: Path) -> Path:
        """Return the page of the same questions before and after."""
        lines = ["| question | before | score | after | score |", "|---|---|---|---|---|"]
        for old, new in zip(*(world_judge().answers(*ids_of(played)) for played in (before, after)), strict=True):
            cells = [old.question.text, old.text, f"{old.verdict.score:+.1f}", new.text, f"{new.verdict.score:+.1f}"]
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", "⏎") for cell in cells) + " |")
        path = folder / "answers.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def save(self, network: nn.Module, folder: Path) -> None:
        """Write the policy as transformers does, so that `AutoModelForCausalLM` opens it; with its tokenizer."""
        network.model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)

    def analogy(self, played: Rollout, network: nn.Module) -> dict[str, str]:
        """Return what the nouns of reinforcement learning are here, told from live objects."""
        answer, words = world_judge().answers(*ids_of(played))[0], self.words(played, 0)
        half = len(words) // 2
        return {
            "state": f"{answer.question.text!r} + {''.join(words[:half])!r}",
            "action": f"{words[half]!r} (of {network.vocabulary:,})",
            "policy": f"{type(network.model).__name__}, {network.model.num_parameters():,} parameters",
            "environment": f"the context grows by the token; the judge reads {answer.text!r}",
        }


@cache
def tokenizer() -> Any:
    """Return the world's tokenizer."""
    return AutoTokenizer.from_pretrained(STARTS["base"])


def model_folder(model: str) -> str:
    """Return what `network` starts from, for a model's name as people say it: base, sft, or a run's folder."""
    if model in ("base", "sft"):
        return str(MODELS / model)
    return str(Path(model) / "language") if (Path(model) / "language").is_dir() else model


def open_model(folder: Path) -> Any:
    """Return the causal language model in a folder."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"start={str(folder)!r} holds no model; pass reference, base, scratch or a saved folder.")
    try:
        return AutoModelForCausalLM.from_pretrained(folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"start={str(folder)!r} holds a broken model ({error}); make or save it again."
        ) from error


def ask(
    asked: list[Any], rows: int, *, seed: int, steps: int = LONGEST_ANSWER, device: str = "cpu"
) -> tuple[TokenEnv, Judge]:
    """Return the environment that asks the questions, beside its judge."""
    judge, end = Judge(tokenizer(), asked), tokenizer().eos_token_id
    context = tokenizer().model_max_length
    env = TokenEnv(judge.prompts, judge, rows, max_new_tokens=steps, eos=end, context=context, seed=seed, device=device)
    return env, judge


def ids_of(played: Rollout) -> tuple[list[list[int]], list[list[int]]]:
    """Return the (prompts, answers) of a rollout, as ids."""
    asked = torch.cat([played.prompt.tokens, played.obs[:, :1]], dim=1)
    counts = torch.cat([played.prompt.mask, torch.ones_like(played.mask[:, :1])], dim=1)
    prompts = [ids[mask].tolist() for ids, mask in zip(asked, counts, strict=True)]
    return prompts, [ids[mask].tolist() for ids, mask in zip(played.actions, played.mask, strict=True)]


@cache
def world_judge() -> Judge:
    """Return a judge who knows every question there is."""
    return Judge(tokenizer(), all_questions())


WORLD = Language()
