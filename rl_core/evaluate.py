"""What a network says of played rows: the only place where logits become log-probabilities, and their values."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from rl_core.advantages import with_last
from rl_core.errors import InvalidArgument
from rl_core.interfaces import Network
from rl_core.masked import select
from rl_core.types import Episodes, Evaluation, Rollout, wider

AnyEpisodes = TypeVar("AnyEpisodes", bound=Episodes)


def log_softmax(logits: Tensor) -> Tensor:
    """Return log-probabilities over the last axis, in float32 at least: in bfloat16 they are off by up to 0.04 nats."""
    return torch.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=-1)


def sample(logits: Tensor, generator: torch.Generator, *, greedy: bool = False) -> tuple[Tensor, Tensor]:
    """Return (actions [B] int64, their logprobs [B]) drawn from logits [B, A]; greedy takes the likeliest.

    Nothing is left out of the support (no top-k, no top-p), else the ratio of a surrogate loss would compare two
    different distributions. The generator lives on the logits' device.

    Raises InvalidArgument for logits that give no probabilities: NaN, inf, or -inf for all of a row's actions.
    """
    check_probabilities(logits)
    logprobs = log_softmax(logits)
    if greedy:
        actions = logprobs.argmax(dim=-1)
    else:
        actions = torch.multinomial(logprobs.exp(), 1, generator=generator).squeeze(-1)
    return actions, logprobs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def check_probabilities(logits: Tensor) -> None:
    """Raise InvalidArgument for a row that holds NaN or inf, or nothing but -inf."""
    rows = (~logits.amax(dim=-1).isfinite()).nonzero().flatten()
    if len(rows):
        row = int(rows[0])
        raise InvalidArgument(
            f"logits of row {row} are not finite, from {logits[row].min().item()} to {logits[row].max().item()}; lower "
            "the learning rate, or load a network whose weights are numbers."
        )


def evaluate_actions(network: Network, episodes: Episodes) -> Evaluation:
    """Return what the network says now of the actions taken, with gradient, 0 in the cells that do not count."""
    output = network(episodes.prompt, episodes.obs)
    # Padding is set to 0 before anything is computed: a NaN there would reach the gradient through the softmax.
    logprobs = log_softmax(torch.where(episodes.mask.unsqueeze(-1), output.logits, 0.0))  # [B, T, A]
    chosen = logprobs.gather(-1, episodes.actions.unsqueeze(-1)).squeeze(-1)  # [B, T]
    entropy = -(logprobs.exp() * logprobs.clamp(min=-1e4)).sum(dim=-1)  # the clamp: 0 * -inf is NaN
    return Evaluation(
        select(chosen, episodes.mask), select(entropy, episodes.mask), select(output.values, episodes.mask)
    )


@torch.no_grad()
def evaluate_in(minibatches: Sequence[Tensor], network: Network, episodes: Episodes) -> Evaluation:
    """Return the evaluation of all rows without gradient, computed in the given minibatches, each without its padding.

    A sum in another order differs in the last bit; in the very minibatches that are learned from first, it does not.
    """
    parts = [evaluate_actions(network, episodes.rows(index).trim()) for index in minibatches]
    back = torch.cat(list(minibatches)).argsort()
    columns = zip(*((part.logprobs, part.entropy, part.values) for part in parts), strict=True)
    steps = episodes.mask.shape[1]
    return Evaluation(*(torch.cat([wider(x, steps - x.shape[1]) for x in column])[back] for column in columns))


def learning_rows(network: Network, episodes: AnyEpisodes) -> AnyEpisodes:
    """Return the rows that a network learns in: single live steps where it has no memory, else whole rows.

    Steps are shuffled better one by one, as is usual for an MLP; a language model reads a step's past in its row.
    """
    return episodes.as_steps() if network.memoryless else episodes


def evaluate_old(
    network: Network,
    reference: Network | None,
    rows: Episodes,
    minibatches: Sequence[Tensor],
    *,
    micro_rows: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return old log-probabilities, those of the reference, and old values, all [B, T], without gradient.

    Old is what the network itself says before it changes, not what was recorded while sampling: the two differ by
    rounding. Computed in the minibatches that are learned from first, `micro_rows` at a time, it is to the last bit
    what the first step sees, and the first ratio is exactly 1. Without a reference its log-probabilities are the old
    ones, so that the KL is 0.
    """
    parts = [part for index in minibatches for part in index.split(micro_rows or len(index))]
    old = evaluate_in(parts, network, rows)
    ref_logprobs = old.logprobs if reference is None else evaluate_in(parts, reference, rows).logprobs
    return old.logprobs, ref_logprobs, old.values


@torch.no_grad()
def last_values(network: Network, rollout: Rollout, *, micro_rows: int | None = None) -> Tensor:
    """Return what a row that was cut off is worth beyond its last step, [B]: V of what it saw last.

    0 where nothing counts and where the row terminated, for nothing follows.
    """
    cut = rollout.mask.any(dim=1) & ~(rollout.terminated & rollout.mask).any(dim=1)
    values = rollout.rewards.new_zeros(len(rollout))
    if cut.any():
        rows = learning_rows(network, rollout.rows(cut).seen_last())
        parts = torch.arange(len(rows), device=cut.device).split(micro_rows or len(rows))
        seen = evaluate_in(parts, network, rows).values.sum(dim=1)  # one cell of each row counts
        values = values.to(seen.dtype).masked_scatter(cut, seen)
    return values


@torch.no_grad()
def state_values(network: Network, rollout: Rollout) -> Tensor:
    """Return the critic's value of all that each row saw, [B, T + 1], as `gae` takes them; 0 beyond an end."""
    return with_last(evaluate_actions(network, rollout).values, last_values(network, rollout), rollout.mask)
