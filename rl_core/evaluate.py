"""The only place where logits become log-probabilities."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument
from rl_core.interfaces import Network
from rl_core.masked import keep
from rl_core.types import Episodes, Evaluation


def log_softmax(logits: Tensor) -> Tensor:
    """Return log-probabilities over the last axis, in float32 at least: in bfloat16 they are off by up to 0.04 nats."""
    return torch.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=-1)


def sample(logits: Tensor, generator: torch.Generator, *, greedy: bool = False) -> tuple[Tensor, Tensor]:
    """Return (actions [B] int64, their logprobs [B]) drawn from logits [B, A]; greedy takes the likeliest.

    Nothing is left out of the support (no top-k, no top-p), else the ratio of a surrogate loss would compare two
    different distributions. The generator lives on the logits' device.
    """
    logprobs = log_softmax(logits)
    is_number = logprobs.amax(dim=-1).isfinite()  # [B]; one NaN or infinity makes NaN of its row
    if not is_number.all():
        raise InvalidArgument(
            f"logits in row {int((~is_number).nonzero()[0])} are not finite; look for NaN in the network's weights, or "
            "lower the learning rate."
        )
    if greedy:
        actions = logprobs.argmax(dim=-1)
    else:
        actions = torch.multinomial(logprobs.exp(), 1, generator=generator).squeeze(-1)
    return actions, logprobs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def evaluate(network: Network, episodes: Episodes) -> Evaluation:
    """Return what the network says now of the actions taken, with gradient, 0 in the cells that do not count."""
    output = network(episodes.prompt, episodes.obs)
    # Padding is set to 0 before anything is computed: a NaN there would reach the gradient through the softmax.
    logprobs = log_softmax(torch.where(episodes.mask.unsqueeze(-1), output.logits, 0.0))  # [B, T, A]
    chosen = logprobs.gather(-1, episodes.actions.unsqueeze(-1)).squeeze(-1)  # [B, T]
    entropy = -(logprobs.exp() * logprobs.clamp(min=-1e4)).sum(dim=-1)  # the clamp: 0 * -inf is NaN
    return Evaluation(keep(chosen, episodes.mask), keep(entropy, episodes.mask), keep(output.value, episodes.mask))


@torch.no_grad()
def evaluate_in(minibatches: Sequence[Tensor], network: Network, episodes: Episodes) -> Evaluation:
    """Return the evaluation of all rows without gradient, computed in the given minibatches.

    A sum in another order differs in the last bit; in the very minibatches that are learnt from first, it does not.
    """
    parts = [evaluate(network, episodes.rows(index)) for index in minibatches]
    back = torch.cat(list(minibatches)).argsort()
    columns = zip(*((part.logprobs, part.entropy, part.values) for part in parts), strict=True)
    return Evaluation(*(torch.cat(column)[back] for column in columns))
