"""The models of the language world as folders: the shipped ones, and those that a run saved."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, Qwen2Config
from transformers.utils import logging

from rl_core.errors import CheckpointError

MODELS = Path(__file__).parent / "models"
BASE, SFT = MODELS / "base", MODELS / "sft"
logging.disable_progress_bar()  # a bar for 50 tensors of 4 MB tells nobody anything


@cache
def tokenizer() -> Any:
    """Return the world's tokenizer."""
    return AutoTokenizer.from_pretrained(BASE)


def model_folder(model: str) -> str:
    """Return what `network` starts from, for a model's name as people say it: base, sft, or a run's folder."""
    if model in ("base", "sft"):
        return str(MODELS / model)
    return str(Path(model) / "language") if (Path(model) / "language").is_dir() else model


def fresh_model(seed: int) -> Any:
    """Return a causal language model like the base model, with weights drawn from the seed."""
    torch.manual_seed(seed)  # transformers draws its weights from the global generator
    return AutoModelForCausalLM.from_config(Qwen2Config.from_pretrained(BASE))


def open_model(folder: Path) -> Any:
    """Return the causal language model in a folder."""
    return _opened(AutoModelForCausalLM, folder, "model")


def open_scorer(folder: Path) -> Any:
    """Return the model with a head for one number in a folder."""
    return _opened(AutoModelForSequenceClassification, folder, "reward model")


def is_written_for(folder: Path, purpose: str) -> bool:
    """Return whether what was saved in a folder says that it is for that: ForCausalLM, ForSequenceClassification."""
    path = folder / "config.json"
    if not path.is_file():
        return False
    try:
        written = json.loads(path.read_text(encoding="utf-8")).get("architectures") or []
    except (ValueError, AttributeError):
        return False  # whoever opens it tells what is broken
    return any(name.endswith(purpose) for name in written)


def _opened(auto: Any, folder: Path, kind: str) -> Any:
    """Return what is in a folder; an error unless every weight is there, and none is left over."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"start={str(folder)!r} holds no {kind}; pass reference, base, scratch or a saved folder."
        )
    try:
        model, loading = auto.from_pretrained(folder, output_loading_info=True)
    except Exception as error:  # transformers refuses in many ways what somebody else has written
        raise CheckpointError(
            f"start={str(folder)!r} holds a broken {kind} ({error}); make or save it again."
        ) from error
    misfits = sorted({*loading["missing_keys"], *loading["unexpected_keys"]})
    if misfits:  # transformers would draw what is missing at random, and say so in a warning only
        raise CheckpointError(
            f"start={str(folder)!r} holds no {kind}: {misfits[0]!r} does not fit; pass another folder."
        )
    if model.config.vocab_size != len(tokenizer()):
        raise CheckpointError(
            f"start={str(folder)!r} holds a {kind} of {model.config.vocab_size:,} tokens, and this world has "
            f"{len(tokenizer()):,}; pass a folder of this world, or name the chat model with --model."
        )
    return model
