"""A talk with the language world's models: `python -m lessons.chat --model base`, sft, or the folder of a run."""

from dataclasses import dataclass

import torch
import tyro
from rich.console import Console

from lessons.options import plainly
from lessons.worlds.language import LONGEST_ANSWER, WORLD, model_folder, tokenizer
from rl_core.adapters.language import TokenEnv, prompts_from_chat
from rl_core.errors import RLCoreError
from rl_core.interfaces import Network
from rl_core.rollout import rollout


@dataclass(frozen=True)
class Options:
    """Whom to talk with, and how."""

    model: str = "sft"
    """base, sft, or a run's folder such as runs/20260101-120000."""
    say: tuple[str, ...] = ()
    """Questions to ask instead of a talk."""
    greedy: bool = False
    """Always the likeliest token; otherwise sampled at temperature 1."""
    seed: int = 0
    """Of the sampling."""


def prompt_of(model: str, text: str) -> list[int]:
    """Return the ids that the model continues: a chat, or for the base model a document's first line."""
    words = tokenizer()
    if model != "base":
        return prompts_from_chat(words, [[{"role": "user", "content": text}]])[0]
    line = words(text + "\n", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [words.pad_token_id, *line]


def answer(network: Network, model: str, text: str, generator: torch.Generator, *, greedy: bool) -> str:
    """Return what the model says to the text."""
    words = tokenizer()
    ends = {words.eos_token_id, words.pad_token_id}
    context = words.model_max_length
    env = TokenEnv(
        [prompt_of(model, text)], lambda _, answers: [0.0] * len(answers), 1,
        max_new_tokens=LONGEST_ANSWER, eos=ends, context=context,
    )  # fmt: skip
    ids = rollout(env, network, generator, greedy=greedy).actions[0].tolist()
    return str(words.decode(ids[:-1] if ids[-1] in ends else ids))


def main() -> None:
    """Talk until an empty line, or answer what --say asks."""
    options = tyro.cli(Options, description=__doc__)
    console = Console(highlight=False)
    try:
        network = WORLD.network(model_folder(options.model), seed=0, critic=False)
        generator = torch.Generator().manual_seed(options.seed)
        asked = iter(options.say) if options.say else iter(lambda: console.input("[bold]you>[/] ").strip(), "")
        if not options.say:
            console.print(
                "Ask in English or Chinese (a capital, a colour, an opposite, a sum ...); an empty line ends."
            )
        for text in asked:
            if options.say:
                console.print(f"you> {text}", markup=False, style="bold")
            said = answer(network, options.model, text, generator, greedy=options.greedy)
            console.print(f"{options.model}> {said}", markup=False, style="steel_blue1")
    except (EOFError, KeyboardInterrupt):
        console.print()
    except RLCoreError as error:
        plainly(error)


if __name__ == "__main__":
    main()
