"""Any transformers causal language model, as a network of the core."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rl_core.adapters.language.model import (
    Still,
    check_playable,
    context_of,
    counted,
    name_outputs,
    padding_position,
    plain_outputs,
    positions_of,
)
from rl_core.errors import InvalidArgument, InvalidState, InvalidType, check_choice, check_positive
from rl_core.types import Output, Prompt

LARGE_VOCABULARY = 8192


@dataclass
class TokenState:
    """The memory of a `TokenNetwork`: what has been read, and the policy's cache, which changes in place."""

    mask: Tensor  # [B, tokens read so far] bool
    counts: Tensor  # [B, tokens read so far] bool: which have a position of their own
    cache: Any
    spent: bool = False

    def spend(self) -> None:
        """Raise InvalidState if it was used before, and remember that it is used now."""
        if self.spent:
            raise InvalidState(
                "state was used before, and its cache has moved on; use the state that step or select returned."
            )
        self.spent = True


class TokenNetwork(Still):
    """A causal language model as a policy over tokens, with a critic of its own, one on its trunk, or none.

    The "separate" critic is a copy of the trunk with a head; "shared" is a head on the policy's own trunk, cheaper, but
    the critic's gradient then pulls at the policy.
    """

    memoryless = False

    def __init__(self, model: Any, *, critic: str | None = None, temperature: float = 1.0) -> None:
        """Wrap the model; it is not copied, and learns in place."""
        super().__init__()
        check_positive("temperature", temperature)
        if critic is not None:
            check_choice("critic", critic, ["shared", "separate"])
        if not hasattr(model, "get_output_embeddings") or model.get_output_embeddings() is None:
            raise InvalidType(f"model={type(model).__name__} has no language-model head; use AutoModelForCausalLM.")
        name_outputs(model)
        self.model, self.temperature = model, temperature
        self.context, self._padding = context_of(model), padding_position(model)
        self.vocabulary: int = model.get_input_embeddings().weight.shape[0]
        self.trunk = copy.deepcopy(model.base_model) if critic == "separate" else None
        self.value_head = None if critic is None else value_head_for(model)
        if getattr(model.config, "is_encoder_decoder", False):
            raise InvalidType(
                f"model={type(model).__name__} has an encoder; use a decoder alone, AutoModelForCausalLM."
            )
        self._accepts = set(inspect.signature(model.forward).parameters)
        if not {"attention_mask", "past_key_values"} <= self._accepts:
            raise InvalidType(f"model={type(model).__name__} takes no attention mask or cache; use an attention model.")
        self._options = plain_outputs(self._accepts)
        self.train(self.training)
        check_playable(model, self)

    def critic_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that only the values depend on: the critic's trunk, if it has its own, and its head."""
        modules = [module for module in (self.trunk, self.value_head) if module is not None]
        return [parameter for module in modules for parameter in module.parameters()]

    def start(self, prompt: Prompt) -> TokenState:
        """Return the memory after the prompt."""
        counts = counted(prompt.tokens, prompt.mask, self._padding)
        if prompt.tokens.shape[1] == 0:
            return TokenState(prompt.mask, counts, None)
        self._check(prompt.tokens, length=prompt.tokens.shape[1])
        answer = self._read(self._inputs(prompt.tokens, prompt.mask, counts), 1, cached=True)
        return TokenState(prompt.mask, counts, answer.past_key_values)

    def select(self, state: TokenState, rows: Tensor) -> TokenState:
        """Return the memory of the chosen rows; the cache is changed in place."""
        state.spend()
        if state.cache is not None:
            state.cache.reorder_cache(rows)  # made for beam search; unlike others, every sort of cache has it
        return TokenState(state.mask[rows], state.counts[rows], state.cache)

    def step(self, obs: Tensor, state: TokenState) -> tuple[Tensor, TokenState]:
        """Return the logits for one token per row; the state is used up, since its cache changes in place."""
        state.spend()
        tokens = obs.unsqueeze(1)
        is_read = torch.ones_like(tokens, dtype=torch.bool)
        mask = torch.cat([state.mask, is_read], dim=1)
        counts = torch.cat([state.counts, counted(tokens, is_read, self._padding)], dim=1)
        self._check(tokens, length=mask.shape[1])
        answer = self._read(self._inputs(tokens, mask, counts), 1, cached=True, past_key_values=state.cache)
        return self._logits(answer, 1)[:, 0], TokenState(mask, counts, answer.past_key_values)

    def forward(self, prompt: Prompt, obs: Tensor) -> Output:
        """Return logits and values of whole rows [B, T]; logits are computed for these positions only."""
        tokens = torch.cat([prompt.tokens, obs], dim=1)
        self._check(tokens, length=tokens.shape[1])
        # What follows a row's end is not masked: nothing before it can see it, and nothing after it counts.
        mask = torch.cat([prompt.mask, torch.ones_like(obs, dtype=torch.bool)], dim=1)
        inputs, steps = self._inputs(tokens, mask, counted(tokens, mask, self._padding)), obs.shape[1]
        is_shared = self.value_head is not None and self.trunk is None
        answer = self._read(inputs, steps, **({"output_hidden_states": True} if is_shared else {}))
        logits = self._logits(answer, steps)
        if self.value_head is None:
            return Output(logits, logits.new_zeros(logits.shape[:-1]))
        trunk = self.trunk
        seen = answer.hidden_states[-1] if trunk is None else trunk(**inputs, use_cache=False).last_hidden_state
        values = self.value_head(seen[:, -steps:].to(self.value_head.weight.dtype)).squeeze(-1)
        return Output(logits, values.to(logits.dtype))

    def probe(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of a row of tokens [1, 3] behind two pads: at once, and in steps; [3, A] each."""
        pads = torch.zeros_like(tokens[:, :2])
        nothing = Prompt(pads, torch.zeros_like(pads, dtype=torch.bool))
        mask = torch.cat([nothing.mask, torch.ones_like(tokens[:, :1], dtype=torch.bool)], dim=1)
        state = self.start(Prompt(torch.cat([pads, tokens[:, :1]], dim=1), mask))
        in_steps = []
        for token in tokens[:, 1:].unbind(dim=1):
            logits, state = self.step(token, state)
            in_steps.append(logits[0])
        at_once = self(nothing, tokens).logits[0]
        return at_once, torch.stack([at_once[0], *in_steps])

    def _inputs(self, tokens: Tensor, mask: Tensor, counts: Tensor) -> dict[str, Any]:
        """Return what a trunk takes to read these tokens, which may go on from a cache."""
        inputs: dict[str, Any] = {"input_ids": tokens, "attention_mask": mask.long()}
        if "position_ids" in self._accepts:
            inputs["position_ids"] = positions_of(counts, self._padding)[:, -tokens.shape[1] :]
        return inputs

    def _read(self, inputs: dict[str, Any], last: int, *, cached: bool = False, **options: Any) -> Any:
        """Return the model's own answer, with logits at the last positions."""
        self.let_checkpoint(not cached and torch.is_grad_enabled())
        if "logits_to_keep" in self._accepts:
            options["logits_to_keep"] = self._kept(inputs["input_ids"], last)
        return self.model(**inputs, **self._options, **options, use_cache=cached)

    def _logits(self, answer: Any, last: int) -> Tensor:
        """Return the logits at the last positions, in float32 at least."""
        logits: Tensor = answer.logits[:, -last:]
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.temperature != 1:  # a copy of all logits saved, where they can be a gigabyte
            logits = logits / self.temperature
        return logits

    def _kept(self, tokens: Tensor, last: int) -> int | Tensor:
        """Return which positions get logits: their number, or where it matters their places.

        A number makes transformers take a slice, which is not contiguous, and torch then multiplies row by row, with
        a copy of the vocabulary's weights for each: 5 times slower at 49,152 tokens in float32, 90 times in bfloat16.
        """
        count = tokens.shape[1]
        if self.vocabulary < LARGE_VOCABULARY or last == count:
            return last
        return torch.arange(count - last, count, device=tokens.device)

    def _check(self, tokens: Tensor, length: int = 0) -> None:
        """Raise InvalidArgument for ids without an embedding and for rows beyond the context."""
        outside = tokens[(tokens < 0) | (tokens >= self.vocabulary)]
        if len(outside):
            raise InvalidArgument(
                f"token {int(outside[0])} is none of the model's {self.vocabulary} embeddings; use the model's own "
                "tokenizer, or resize_token_embeddings."
            )
        if self.context is not None and length > self.context:
            raise InvalidArgument(f"{length} tokens exceed the model's context of {self.context}; shorten the prompt.")


def value_head_for(model: Any) -> nn.Linear:
    """Return a head that says 0 until it has learnt something; in float32 at least, or it would learn in jumps."""
    weight = model.get_output_embeddings().weight
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    head = nn.Linear(weight.shape[1], 1, device=weight.device, dtype=dtype)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
