"""A talk with a chat model: `python -m lessons.chat --model base`, sft, the folder of a run, or a real one, smollm2."""

import difflib
import importlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console

from lessons.harness.machine import configure_torch, exit_with, program, write_utf8
from lessons.harness.report.style import ON_SCREEN
from lessons.worlds.chat_model.hub import SMOLLM2
from lessons.worlds.chat_model.models import open_chat_model
from lessons.worlds.chat_model.world import ChatModel
from lessons.worlds.language.known import known_wording, near_wordings
from lessons.worlds.language.world import LONGEST_ANSWER, WORLD, model_folder, tokenizer
from rl_core.adapters.language import TokenEnv, TokenNetwork, prompts_from_chat
from rl_core.errors import InvalidArgument, RLCoreError, check_seed
from rl_core.interfaces import Network
from rl_core.rollout import rollout

LONGEST = 64  # tokens of a real model's answer
SMALL = ("base", "sft")


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
    device: str = "cpu"
    """Where the model lives: cpu, cuda, cuda:1."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of a real model's weights: one of 7 billion takes 28 GB in float32, and half of it in bfloat16."""


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
    device: str
    wordings: bool
    """Whether it knows some questions only, in some wordings."""

    def answer(self, text: str, generator: torch.Generator, *, greedy: bool) -> str:
        """Return what the model says to the text, or to its question as the model knows it."""
        text = whole_characters(text)
        asked = (known_wording(text) or text) if self.wordings else text
        env = TokenEnv(
            [self.ask(asked)], lambda _, answers: [0.0] * len(answers), 1,
            max_new_tokens=self.longest, eos=self.ends, context=self.context, device=self.device,
        )  # fmt: skip
        ids = rollout(env, self.network, generator, greedy=greedy).actions[0].tolist()
        return str(self.tokenizer.decode(ids[:-1] if ids[-1] in self.ends else ids))

    def hint(self, text: str) -> str | None:
        """Return questions that the model knows, where it does not know this one."""
        if not self.wordings or known_wording(whole_characters(text)):
            return None
        near = near_wordings(whole_characters(text))
        return f"It knows {self.knows}; " + (f"such as: {'  '.join(near)}" if near else "ask in such words.")


def whole_characters(text: str) -> str:
    """Return the text with a sign in the place of bytes that are none: a terminal may write in another encoding."""
    return re.sub("[\ud800-\udfff]+", "\ufffd", text)


def partner(model: str, *, device: str = "cpu", dtype: str = "float32") -> Partner:
    """Return whom to talk with, by name; raise InvalidArgument that tells what may be passed."""
    return real(model, device, dtype) if is_real(model) else small(model, device)


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


def small(model: str, device: str) -> Partner:
    """Return one of the language world's own models; the base model continues a document's first line."""
    words, folder = tokenizer(), model_folder(model)
    if not (Path(folder) / "config.json").is_file():
        near = difflib.get_close_matches(model, [*SMALL, SMOLLM2], n=1)
        raise InvalidArgument(
            f"model={model!r} is nobody's name, and no folder with a model; "
            + (f"did you mean {near[0]!r}? " if near else "")
            + f"Pass {', '.join(SMALL)}, {SMOLLM2}, a run's folder, or a chat model's folder or id, such as a/b."
        )

    def ask(text: str) -> list[int]:
        if model != "base":
            return prompts_from_chat(words, [[{"role": "user", "content": text}]])[0]
        line = words(text + "\n", add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [words.pad_token_id, *line]

    return Partner(
        network=WORLD.network(folder, seed=0, device=device, critic=False),
        tokenizer=words,
        ask=ask,
        ends=frozenset({words.eos_token_id, words.pad_token_id}),
        context=words.model_max_length,
        longest=LONGEST_ANSWER,
        knows="a capital, a colour, an opposite, a sum; in English or Chinese",
        device=device,
        wordings=True,
    )


def real(model: str, device: str, dtype: str) -> Partner:
    """Return a chat model from elsewhere, or what a run has made of one."""
    opened = open_chat_model(model_folder(model), dtype)
    return Partner(
        network=TokenNetwork(opened.model.to(device), temperature=ChatModel.temperature),
        tokenizer=opened.tokenizer,
        ask=lambda text: prompts_from_chat(opened.tokenizer, [opened.chat(text)])[0],
        ends=opened.ends,
        context=opened.context,
        longest=LONGEST,
        knows="anything",
        device=device,
        wordings=False,
    )


def typed() -> Iterator[str]:
    """Yield what somebody types, up to an empty line; what is piped in is shown, as a terminal shows what is typed."""
    with suppress(ImportError):  # arrows and earlier lines, where there is such a thing
        importlib.import_module("readline")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # bytes of another encoding are no reason to leave
    is_terminal = sys.stdin.isatty()
    while text := input("you> " if is_terminal else "").strip():
        if not is_terminal:
            print(f"you> {whole_characters(text)}")
        yield text


def said(texts: Sequence[str]) -> Iterator[str]:
    """Yield the texts, each shown."""
    for text in texts:
        print(f"you> {whole_characters(text)}")
        yield text


def main() -> None:
    """Talk until an empty line, or answer what --say asks."""
    write_utf8()
    options = tyro.cli(Options, description=__doc__, prog=program())
    console = Console(highlight=False)
    try:
        check_seed("seed", options.seed)
        configure_torch(options.device, torch.get_num_threads())
        other = partner(options.model, device=options.device, dtype=options.dtype)
        generator = torch.Generator(options.device).manual_seed(options.seed)
        if not options.say:
            console.print(f"Ask {other.knows}. An empty line ends.")
        for text in said(options.say) if options.say else typed():
            console.print(
                f"{options.model}> {other.answer(text, generator, greedy=options.greedy)}",
                markup=False,
                style=ON_SCREEN[1],
            )
            if hint := other.hint(text):
                console.print(hint, markup=False, style="dim")
    except (EOFError, KeyboardInterrupt):
        console.print()
    except RLCoreError as error:
        exit_with(error)


if __name__ == "__main__":
    main()
