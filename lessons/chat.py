"""A talk with a chat model: `python -m lessons.chat --model base`, sft, the folder of a run, or a real one, smollm2."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console

from lessons.harness.machine import exit_with, program, write_utf8
from lessons.harness.report.columns import COLOURS
from lessons.worlds.chat_model.world import SMOLLM2, ChatModel
from lessons.worlds.language.world import LONGEST_ANSWER, WORLD, model_folder, tokenizer
from rl_core.adapters.language import TokenEnv, prompts_from_chat
from rl_core.errors import RLCoreError
from rl_core.interfaces import Network
from rl_core.rollout import rollout

LONGEST = 64  # tokens of a real model's answer


@dataclass(frozen=True)
class Options:
    """Whom to talk with, and how."""

    model: str = "sft"
    """base, sft, or the folder of a run; smollm2, the id or the folder of a chat model."""
    say: tuple[str, ...] = ()
    """Questions to ask instead of a talk."""
    greedy: bool = False
    """Always the likeliest token; otherwise sampled."""
    seed: int = 0
    """Of the sampling."""


@dataclass(frozen=True)
class Partner:
    """Somebody to talk with."""

    network: Network
    tokenizer: Any
    ask: Callable[[str], list[int]]
    """The ids that the model continues, for a text."""
    ends: frozenset[int]
    context: int | None
    longest: int
    knows: str

    def answer(self, text: str, generator: torch.Generator, *, greedy: bool) -> str:
        """Return what the model says to the text."""
        env = TokenEnv(
            [self.ask(text)], lambda _, answers: [0.0] * len(answers), 1,
            max_new_tokens=self.longest, eos=self.ends, context=self.context,
        )  # fmt: skip
        ids = rollout(env, self.network, generator, greedy=greedy).actions[0].tolist()
        return str(self.tokenizer.decode(ids[:-1] if ids[-1] in self.ends else ids))


def partner(model: str) -> Partner:
    """Return whom to talk with, by name; an error that tells what may be passed."""
    return real(model) if is_real(model) else small(model)


def is_real(model: str) -> bool:
    """Return whether that is a chat model from elsewhere: by its name, or by its number of tokens."""
    config = Path(model_folder(model)) / "config.json"
    if config.is_file():
        try:
            return bool(json.loads(config.read_text(encoding="utf-8")).get("vocab_size") != len(tokenizer()))
        except (ValueError, AttributeError):
            return False  # whoever opens it tells what is broken
    is_id = model.count("/") == 1 and not Path(model).parent.is_dir()
    return model == SMOLLM2 or model.endswith(".gguf") or is_id


def small(model: str) -> Partner:
    """Return one of the language world's own models; the base model continues a document's first line."""
    words = tokenizer()

    def ask(text: str) -> list[int]:
        if model != "base":
            return prompts_from_chat(words, [[{"role": "user", "content": text}]])[0]
        line = words(text + "\n", add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [words.pad_token_id, *line]

    return Partner(
        network=WORLD.network(model_folder(model), seed=0, critic=False),
        tokenizer=words,
        ask=ask,
        ends=frozenset({words.eos_token_id, words.pad_token_id}),
        context=words.model_max_length,
        longest=LONGEST_ANSWER,
        knows="a capital, a colour, an opposite, a sum; in English or Chinese",
    )


def real(model: str) -> Partner:
    """Return a chat model from elsewhere, or what a run has made of one."""
    world = ChatModel(model_folder(model), lora=0)
    opened = world.opened()
    return Partner(
        network=world.reference(),
        tokenizer=opened.tokenizer,
        ask=lambda text: prompts_from_chat(opened.tokenizer, [opened.chat(text)])[0],
        ends=opened.ends,
        context=opened.context,
        longest=LONGEST,
        knows="anything",
    )


def main() -> None:
    """Talk until an empty line, or answer what --say asks."""
    write_utf8()
    options = tyro.cli(Options, description=__doc__, prog=program())
    console = Console(highlight=False)
    try:
        other = partner(options.model)
        generator = torch.Generator().manual_seed(options.seed)
        asked = iter(options.say) if options.say else iter(lambda: console.input("[bold]you>[/] ").strip(), "")
        if not options.say:
            console.print(f"Ask {other.knows}. An empty line ends.")
        for text in asked:
            if options.say:
                console.print(f"you> {text}", markup=False, style="bold")
            answer = other.answer(text, generator, greedy=options.greedy)
            console.print(f"{options.model}> {answer}", markup=False, style=COLOURS[1])
    except (EOFError, KeyboardInterrupt):
        console.print()
    except RLCoreError as error:
        exit_with(error)


if __name__ == "__main__":
    main()
