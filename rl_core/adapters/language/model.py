"""What must be known of a transformers model before it is played: positions, context, ends; and that it stays still."""

from typing import Any, Self
from weakref import WeakSet

import torch
from torch import Tensor, nn

from rl_core.errors import InvalidType

LARGEST_GAP = 0.05  # in standard deviations of the logits; rounding in float32 is a thousandth of it


class Still(nn.Module):
    """A module whose parts say the same twice, in training mode too: no dropout, no jitter of a router, no noise.

    Old and new log-probabilities would else differ by chance. So the parts stay in evaluation mode, whatever the mode;
    only layers that are checkpointed are told that one learns, while one does.
    """

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the module alone."""
        super().train(mode)
        for part in self.children():
            part.eval()
        without_dropout(self)
        self._learns = False
        return self

    def let_checkpoint(self, learns: bool) -> None:
        """Say whether what follows is learned from; only then do checkpointed layers work, which lose a cache."""
        if learns != self._learns:
            self._learns = learns
            for layer in self.modules():
                if layer is not self and hasattr(layer, "gradient_checkpointing"):
                    layer.training = learns and bool(layer.gradient_checkpointing)


def without_dropout(network: nn.Module) -> None:
    """Make every module of the network drop nothing any more, also where somebody sets it to training mode."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():  # some models keep a number, and drop by a function
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def text_config(model: Any) -> Any:
    """Return the configuration of the model's text part: of a model that sees pictures too, it is nested."""
    return model.config.get_text_config(decoder=True)


def is_token(token: Any, vocabulary: int) -> bool:
    """Return whether that can be a token's id; early conversions say -1 where there is none."""
    return isinstance(token, int) and 0 <= token < vocabulary


def ends_of(model: Any) -> set[int]:
    """Return the tokens that end an answer by the word of the model's configurations."""
    config = text_config(model)
    owners = [model.config, config, getattr(model, "generation_config", None)]
    named = [getattr(owner, "eos_token_id", None) for owner in owners]
    tokens: list[Any] = [token for each in named for token in (each if isinstance(each, list | tuple) else [each])]
    return {token for token in tokens if is_token(token, config.vocab_size)}


def padding_position(model: Any) -> int | None:
    """Return the position that pads have where others are counted from behind it, as in RoBERTa's family; else None."""
    for module in model.modules():
        table = module._modules.get("position_embeddings")
        if isinstance(table, nn.Embedding) and table.padding_idx is not None:
            return int(table.padding_idx)
    return None


def context_of(model: Any) -> int | None:
    """Return how many tokens the model can read, where it says so."""
    limit, padding = getattr(text_config(model), "max_position_embeddings", None), padding_position(model)
    if not isinstance(limit, int) or limit <= 0:
        return None
    return limit if padding is None else limit - padding - 1


def counted(tokens: Tensor, mask: Tensor, padding: int | None) -> Tensor:
    """Return which tokens [B, T] move those behind them on by a position: the real ones; in RoBERTa's family no pad."""
    return mask if padding is None else mask & (tokens != padding)


def positions_of(counts: Tensor, padding: int | None) -> Tensor:
    """Return the position [B, T] of each token, counted from the first real one: left padding would shift them."""
    so_far = counts.long().cumsum(dim=1)
    return (so_far - 1).clamp(min=0) if padding is None else so_far * counts + padding


def name_outputs(model: Any) -> None:
    """Make the model, and each part of it, answer by names: a configuration may ask for tuples, which have none."""
    for part in model.modules():
        if hasattr(part, "config"):
            part.config.return_dict = True


def plain_outputs(accepts: set[str]) -> dict[str, Any]:
    """Return the options that switch off what a configuration may ask for beside the logits.

    A loss that balances experts is one; it wants a mask as long as the row, and there is none that long with a cache.
    """
    return {"output_router_logits": False} if "output_router_logits" in accepts else {}


_PLAYABLE: WeakSet[Any] = WeakSet()


@torch.no_grad()
def check_playable(model: Any, network: Any) -> None:
    """Raise InvalidType unless the network plays the model token by token, with pads before it, as the model reads.

    Three tokens are read by the model alone, and by the network at once and in steps, in a row that is padded.
    """
    if model in _PLAYABLE or (network.context or 8) < 5:
        return
    pad = text_config(model).pad_token_id
    ids = [token for token in range(min(network.vocabulary, 8)) if token != pad][-3:]
    if len(ids) < 3:
        return
    tokens = torch.tensor([ids], device=model.device)
    try:
        own = model(input_ids=tokens, use_cache=False).logits[0].float() / network.temperature
        at_once, in_steps = network.probe(tokens)
    except Exception as error:  # transformers refuses in many ways what it has no cache, no mask or no name for
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise InvalidType(
            f"model={type(model).__name__} cannot be played token by token ({reason}); use a causal attention model."
        ) from error
    gap = max((own - at_once).abs().max().item(), (own - in_steps).abs().max().item())
    if model.dtype in (torch.float32, torch.float64) and gap > LARGEST_GAP * own.std().item():
        raise InvalidType(
            f"model={type(model).__name__} says something else token by token behind padding than in one row (logits "
            f"differ by {gap:.2g}); use a causal model that takes position_ids."
        )
    _PLAYABLE.add(model)
