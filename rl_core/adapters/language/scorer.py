"""A reward model for texts: a language model's trunk that reads a whole answer, and a head that gives it one number."""

import inspect
from typing import Any, Self

import torch
from torch import Tensor, nn

from rl_core.adapters.language.model import (
    Still,
    context_of,
    counted,
    ends_of,
    is_token,
    name_outputs,
    padding_position,
    plain_outputs,
    positions_of,
    text_config,
)
from rl_core.errors import InvalidArgument, InvalidType
from rl_core.masked import select
from rl_core.types import Episodes


class TokenScorer(Still):
    """Any transformers model for sequence classification with one label, as a scorer of the core.

    The whole score stands on an answer's last live step, and has read that step's token: a head on the states of a
    policy, which sees a token only when choosing the next, would never see the last one. Where the answer ends is known
    from the mask and not from token ids, so that neither padding nor a pad that equals EOS can move it.
    """

    def __init__(self, model: Any) -> None:
        """Wrap the model; it is not copied, and learns in place."""
        super().__init__()
        if not isinstance(getattr(model, "score", None), nn.Linear) or model.config.num_labels != 1:
            raise InvalidType(
                f"model={type(model).__name__} has no head for one number; use "
                "AutoModelForSequenceClassification with num_labels=1, or TokenScorer.on_trunk_of(a language model)."
            )
        name_outputs(model)
        self.model = model
        self.vocabulary: int = model.get_input_embeddings().weight.shape[0]
        self.context, self._padding = context_of(model), padding_position(model)
        self._accepts = set(inspect.signature(model.base_model.forward).parameters)
        self._options = plain_outputs(self._accepts)
        self.train(self.training)

    @classmethod
    def on_trunk_of(cls, language_model: Any) -> Self:
        """Return a scorer whose trunk starts as a copy of a language model's; it says 0 until it has learnt something.

        Raises InvalidType for an architecture for which transformers has no classifier.
        """
        from transformers import AutoModelForSequenceClassification

        one = {"num_labels": 1, "id2label": {0: "score"}, "label2id": {"score": 0}}
        pad = {"pad_token_id": pad_that_ends_nothing(language_model)}
        config = type(language_model.config).from_dict(language_model.config.to_dict() | one | pad)
        build: Any = AutoModelForSequenceClassification.from_config
        try:
            with torch.random.fork_rng(devices=[]):  # what transformers draws here, the next line overwrites
                model = build(config, dtype=language_model.dtype)
            model.base_model.load_state_dict(language_model.base_model.state_dict())
        except (ValueError, RuntimeError, AttributeError) as error:
            raise InvalidType(
                f"language_model={type(language_model).__name__} has no twin that gives a number "
                f"({' '.join(str(error).split())[:160]}); use another architecture."
            ) from error
        scorer = cls(model.to(language_model.device))
        if language_model.dtype in (torch.bfloat16, torch.float16):
            model.score.float()  # a head that begins at 0 would learn in jumps
        nn.init.zeros_(model.score.weight)
        return scorer

    def score(self, episodes: Episodes) -> Tensor:
        """Return each answer's score on its last live step and 0 elsewhere, [B, T], with gradient."""
        prompt, mask = episodes.prompt, episodes.mask
        if not mask.any(dim=1).all():
            row = int((~mask.any(dim=1)).nonzero()[0])
            raise InvalidArgument(f"episodes has no live step in row {row}; leave that row out.")
        tokens = torch.cat([prompt.tokens, episodes.obs[:, :1], episodes.actions], dim=1)
        outside = tokens[(tokens < 0) | (tokens >= self.vocabulary)]
        if len(outside):
            raise InvalidArgument(
                f"token {int(outside[0])} is none of the model's {self.vocabulary} embeddings; use the reward model "
                "with its own tokenizer."
            )
        if self.context is not None and tokens.shape[1] > self.context:
            raise InvalidArgument(
                f"{tokens.shape[1]} tokens exceed the model's context of {self.context}; shorten the episodes."
            )
        # What follows a row's end is not masked: nothing before it can see it, and nothing after it is read.
        read = torch.cat([prompt.mask, torch.ones_like(mask[:, :1]), torch.ones_like(mask)], dim=1)
        inputs: dict[str, Any] = {"input_ids": tokens, "attention_mask": read.long(), "use_cache": False}
        if "position_ids" in self._accepts:
            inputs["position_ids"] = positions_of(counted(tokens, read, self._padding), self._padding)
        self.let_checkpoint(torch.is_grad_enabled())
        states = self.model.base_model(**inputs, **self._options).last_hidden_state
        seen = states[:, -mask.shape[1] :]  # [B, T, width], after each action
        steps = torch.arange(mask.shape[1], device=mask.device)
        last = (mask * steps).amax(dim=1)  # [B]
        ends = seen[torch.arange(len(last), device=last.device), last]
        scores = self.model.score(ends.to(self.model.score.weight.dtype)).squeeze(-1)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        return select(scores.unsqueeze(1).expand(mask.shape), steps == last.unsqueeze(1))

    forward = score

    @torch.no_grad()
    def scale_by(self, factor: float) -> None:
        """Make all scores so many times as large from now on."""
        for parameter in self.model.score.parameters():
            parameter.mul_(factor)


def pad_that_ends_nothing(language_model: Any) -> int | None:
    """Return a token to pad with that no answer ends with: the model's own pad, or the one that begins its texts.

    transformers reads a score at the last token that is no pad. Where the pad is EOS, as in many chat models, it would
    not read the end of an answer. None where there is no such token: transformers then takes one text at a time.
    """
    config = text_config(language_model)
    ends = ends_of(language_model)
    known = (getattr(config, name, None) for name in ("pad_token_id", "bos_token_id"))
    return next((token for token in known if is_token(token, config.vocab_size) and token not in ends), None)
