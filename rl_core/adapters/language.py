"""Any transformers causal language model, as a network of the core."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rl_core.adapters.language_chat import episodes_from_chat, episodes_from_texts, prompts_from_chat
from rl_core.adapters.language_env import TokenEnv, left_padded
from rl_core.adapters.language_lines import read_preferences, write_preferences
from rl_core.adapters.language_pairs import Preference, pairs_from_chat
from rl_core.adapters.language_scorer import TokenScorer, without_dropout
from rl_core.errors import InvalidArgument, InvalidState, InvalidType, check_choice, check_positive
from rl_core.types import Output, Prompt

__all__ = [
    "Preference",
    "TokenEnv",
    "TokenNetwork",
    "TokenScorer",
    "episodes_from_chat",
    "episodes_from_texts",
    "left_padded",
    "pairs_from_chat",
    "prompts_from_chat",
    "read_preferences",
    "write_preferences",
]

LARGE_VOCABULARY = 8192


@dataclass
class TokenState:
    """The memory of a `TokenNetwork`: what has been read, and the caches, which change in place."""

    mask: Tensor  # [B, tokens read so far] bool
    cache: Any
    critic_cache: Any
    spent: bool = False


class TokenNetwork(nn.Module):
    """A causal language model as a policy over tokens, with a critic of its own, one on its trunk, or none.

    The "separate" critic is a copy of the trunk with a head; "shared" is a head on the policy's own trunk, cheaper, but
    the critic's gradient then pulls at the policy. Dropout is set to 0, or old and new log-probabilities would differ
    by chance.
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
        self.model, self.temperature = model, temperature
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
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
        without_dropout(self)

    def start(self, prompt: Prompt) -> TokenState:
        """Return the memory after the prompt."""
        if prompt.tokens.shape[1] == 0:
            return TokenState(prompt.mask, None, None)
        self._check(prompt.tokens)
        _, cache, critic_cache = self._read(prompt.tokens, prompt.mask, 1, TokenState(prompt.mask, None, None))
        return TokenState(prompt.mask, cache, critic_cache)

    def step(self, obs: Tensor, state: TokenState) -> tuple[Output, TokenState]:
        """Return the answer to one token per row; the state is used up, since its caches change in place."""
        if state.spent:
            raise InvalidState("state was used before, and its caches have moved on; use the state that step returned.")
        state.spent = True
        tokens = obs.unsqueeze(1)
        mask = torch.cat([state.mask, torch.ones_like(tokens, dtype=torch.bool)], dim=1)
        self._check(tokens, length=mask.shape[1])
        output, cache, critic_cache = self._read(tokens, mask, 1, state)
        return output.map(lambda x: x[:, -1]), TokenState(mask, cache, critic_cache)

    def forward(self, prompt: Prompt, obs: Tensor) -> Output:
        """Return the answers to whole rows [B, T]; logits are computed for these positions only."""
        tokens = torch.cat([prompt.tokens, obs], dim=1)
        self._check(tokens, length=tokens.shape[1])
        # What follows a row's end is not masked: nothing before it can see it, and nothing after it counts.
        mask = torch.cat([prompt.mask, torch.ones_like(obs, dtype=torch.bool)], dim=1)
        return self._read(tokens, mask, obs.shape[1], None)[0]

    unroll = forward

    def _read(self, tokens: Tensor, mask: Tensor, last: int, state: TokenState | None) -> tuple[Output, Any, Any]:
        """Return the answers at the last positions, with the policy's and the critic's caches; state None: no cache."""
        inputs: dict[str, Any] = {"input_ids": tokens, "attention_mask": mask.long(), "use_cache": state is not None}
        if "position_ids" in self._accepts:
            # Counted from the first real token: left padding would shift a model that has positions.
            inputs["position_ids"] = (mask.long().cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        options: dict[str, Any] = (
            {"logits_to_keep": self._kept(tokens, last)} if "logits_to_keep" in self._accepts else {}
        )
        if self.value_head is not None and self.trunk is None:
            options["output_hidden_states"] = True

        answer = self.model(**inputs, **options, past_key_values=None if state is None else state.cache)
        logits = answer.logits[:, -last:]
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.temperature != 1:  # a copy of all logits saved, where they can be a gigabyte
            logits = logits / self.temperature
        critic_cache = None
        if self.value_head is None:
            return Output(logits, logits.new_zeros(logits.shape[:-1])), answer.past_key_values, None
        if self.trunk is None:
            seen = answer.hidden_states[-1]
        else:
            critic = self.trunk(**inputs, past_key_values=None if state is None else state.critic_cache)
            seen, critic_cache = critic.last_hidden_state, critic.past_key_values
        values = self.value_head(seen[:, -last:].to(self.value_head.weight.dtype)).squeeze(-1).to(logits.dtype)
        return Output(logits, values), answer.past_key_values, critic_cache

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
        """Nothing; an error for ids without an embedding and for rows beyond the context."""
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
