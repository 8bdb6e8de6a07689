"""Pre-training of the language world's base model, and its tokenizer: `python -m lessons.make.base_model`.

The one stage without a twin: a perceptron has nothing to read before it drives. The algorithm is `sft` all the same, on
texts without a prompt whose every token counts.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
from tqdm import tqdm
from transformers import Qwen2Config, Qwen2ForCausalLM

from lessons.harness.build import one_cycle
from lessons.harness.machine import configure_torch, exit_with, machine_info, program, writable_folder
from lessons.worlds.language.bpe import build_tokenizer
from lessons.worlds.language.demonstrations import chats, raw_texts
from lessons.worlds.seeds import spawn
from rl_core.adapters.language import TokenNetwork, episodes_from_texts
from rl_core.algorithms.sft import SFTConfig, sft
from rl_core.errors import RLCoreError, check_count, check_seed


@dataclass(frozen=True)
class Options:
    """The base model, and how it reads."""

    out: Path
    """Folder for the model, its tokenizer, and made.json, which says how they were made."""
    seed: int = 0
    """Of the weights, the texts and their order."""
    threads: int = 1
    """CPU threads of torch."""
    width: int = 128
    """Of the residual stream."""
    layers: int = 4
    """Blocks."""
    heads: int = 4
    """Attention heads; half as many for keys and values."""
    passes: int = 120
    """Passes, each over fresh texts."""
    texts: int = 3200
    """In a pass."""
    learning_rate: float = 4e-3
    """Of Adam at its highest."""
    update: SFTConfig = field(default_factory=lambda: SFTConfig(minibatch_rows=64))


def run(options: Options) -> dict[str, Any]:
    """Return how the base model in the folder was made."""
    check_seed("seed", options.seed)
    check_count("passes", options.passes, 1)
    configure_torch("cpu", options.threads)
    writable_folder(options.out)
    began = time.perf_counter()
    tokenizer = build_tokenizer(tokenizer_texts(options.seed))
    network = TokenNetwork(fresh_model(options, tokenizer))
    optimizer = torch.optim.Adam(network.parameters(), lr=options.learning_rate, betas=(0.9, 0.98))
    schedule = one_cycle(optimizer, options.learning_rate, options.passes, climb=0.05)
    generator = torch.Generator().manual_seed(options.seed)

    progress = tqdm(range(options.passes), desc="pre-training")
    for number in progress:
        texts = raw_texts(options.texts, spawn(options.seed, "pass", number))
        read = episodes_from_texts(tokenizer, texts, boundary=tokenizer.pad_token_id)
        metrics = sft(network, optimizer, read, options.update, generator)
        schedule.step()
        progress.set_postfix(loss=f"{metrics['loss']:.3f}")

    made = {
        "command": f"python -m lessons.make.base_model --out {options.out} --seed {options.seed}",
        "seconds": round(time.perf_counter() - began, 1),
        "config": asdict(options) | {"out": str(options.out)},
        "machine": machine_info(),
        "parameters": network.model.num_parameters(),
        "vocabulary": len(tokenizer),
        "loss": metrics["loss"],
    }
    network.model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    (options.out / "made.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return made


def tokenizer_texts(seed: int) -> list[str]:
    """Return the texts that the tokenizer is trained on: those of both stages."""
    contents = [message["content"] for chat in chats(20_000, seed) for message in chat]
    return raw_texts(20_000, seed) + contents


def fresh_model(options: Options, tokenizer: Any) -> Qwen2ForCausalLM:
    """Return a Qwen2 of this size with weights drawn from the seed."""
    torch.manual_seed(options.seed)  # transformers draws from the global generator
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=options.width,
            intermediate_size=3 * options.width,
            num_hidden_layers=options.layers,
            num_attention_heads=options.heads,
            num_key_value_heads=max(1, options.heads // 2),
            max_position_embeddings=tokenizer.model_max_length,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def main() -> None:
    """Run from the command line."""
    try:
        print(json.dumps(run(tyro.cli(Options, description=__doc__, prog=program())), indent=2))
    except RLCoreError as error:
        exit_with(error)


if __name__ == "__main__":
    main()
