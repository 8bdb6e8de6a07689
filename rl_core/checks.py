"""What every update makes sure of: something to learn from, a fit reference, and that the sampler was this policy."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from rl_core.errors import InvalidArgument, InvalidState, check_count
from rl_core.interfaces import Network
from rl_core.losses.kl import kl_k1
from rl_core.masked import masked_mean, select
from rl_core.pairs import Pairs
from rl_core.types import Metrics, Prompt, Rollout


def check_reference(network: Network, reference: Network | None) -> None:
    """Raise InvalidArgument where the reference cannot be one."""
    if reference is network:
        raise InvalidArgument("reference is the network itself; pass a frozen copy, or None for no reference.")
    if isinstance(network, nn.Module) and isinstance(reference, nn.Module):
        learning = {id(weight) for weight in network.parameters() if weight.requires_grad}
        if any(id(weight) in learning for weight in reference.parameters()):
            raise InvalidArgument(
                "reference shares weights that learn with the network; pass a frozen copy, or the model without its "
                "adapters."
            )
    if reference is not None and network.memoryless and not reference.memoryless:
        raise InvalidArgument("reference has a memory and the network has none; pass two of a kind.")


def live_rows_of(rollout: Rollout) -> Tensor:
    """Return which rows have a step to learn from, [B] bool; raise InvalidArgument where none has."""
    live = rollout.mask.any(dim=1)
    if not live.any():
        raise InvalidArgument(
            f"rollout has no live step in its {len(rollout)} rows, whether cut short and discarded or empty; play more "
            "rows, or let them have more steps to end in."
        )
    return live


def check_groups(rollout: Rollout, size: int) -> None:
    """Raise InvalidArgument unless the rows are groups of that size, each from one start."""
    if len(rollout) % size:
        raise InvalidArgument(f"rollout has {len(rollout)} rows, no multiple of group_size={size}; play groups.")
    first = torch.arange(len(rollout), device=rollout.mask.device) // size * size  # each row's first sibling
    differs = ~same_start(rollout.prompt, rollout.prompt.rows(first), rollout.obs[:, 0], rollout.obs[first, 0])
    if differs.any():
        row = int(differs.nonzero()[0])
        raise InvalidArgument(
            f"rollout's rows {row // size * size} and {row} are of one group and began differently; play whole "
            f"episodes in an environment of group_size={size}."
        )


def check_shared_prompts(prompt: Prompt, size: int) -> None:
    """Raise InvalidArgument unless so many rows in a row have one prompt each."""
    check_count("group_size", size, 1)
    count = len(prompt.tokens)
    first = torch.arange(count, device=prompt.mask.device) // size * size  # each row's first sibling
    if count % size or not same_prompt(prompt, prompt.rows(first)).all():
        raise InvalidArgument(
            f"group_size={size} of {count} rows whose prompts are not alike {size} at a time; pass the size of the "
            "environment's groups, or 1."
        )


def check_starts(pairs: Pairs) -> None:
    """Raise InvalidArgument unless both episodes of every pair have one start."""
    chosen, rejected = pairs.chosen, pairs.rejected
    differs = ~same_start(chosen.prompt, rejected.prompt, chosen.obs[:, 0], rejected.obs[:, 0])
    if differs.any():
        row = int(differs.nonzero()[0])
        raise InvalidArgument(f"pairs has two episodes from different starts in row {row}; compare episodes from one.")


def same_start(left: Prompt, right: Prompt, left_obs: Tensor, right_obs: Tensor) -> Tensor:
    """Return which rows have the same prompt, whatever its padding, and the same first observation, [B] bool."""
    same_obs = (left_obs == right_obs).reshape(len(left_obs), -1).all(dim=1)
    return same_prompt(left, right) & same_obs


def same_prompt(left: Prompt, right: Prompt) -> Tensor:
    """Return which rows have the same prompt, whatever its padding, [B] bool."""
    width = max(left.tokens.shape[1], right.tokens.shape[1])
    prompts = [
        pad(torch.where(prompt.mask, prompt.tokens, -1), (width - prompt.tokens.shape[1], 0), value=-1)
        for prompt in (left, right)
    ]
    return (prompts[0] == prompts[1]).all(dim=1)


def diagnose(rollout: Rollout, logprobs: Tensor, ref_logprobs: Tensor, *, max_sampler_gap: float | None) -> Metrics:
    """Return the metrics of a rollout as it was played; raise InvalidState where another policy had sampled it."""
    mask = rollout.mask
    sampler_gap = select(rollout.logprobs - logprobs, mask).abs().max().item()
    if max_sampler_gap is not None and not sampler_gap <= max_sampler_gap:
        raise InvalidState(
            f"sampler_gap={sampler_gap:.2e} nats exceeds max_sampler_gap={max_sampler_gap:.0e}: the network "
            "that learns is not the one that played, or its steps and its whole rows differ; in bfloat16 pass a larger "
            "limit."
        )
    return {
        "reward": masked_mean(rollout.rewards, mask).item(),
        "kl": masked_mean(kl_k1(logprobs, ref_logprobs), mask).item(),
        "sampler_gap": sampler_gap,
        "steps": float(mask.sum()),
    }


def first_ratio(step: Metrics, *, max_first_ratio_gap: float | None) -> float:
    """Return 1 + the first minibatch's largest |ratio - 1|; raise InvalidState where that is not 1."""
    if max_first_ratio_gap is not None and not step["ratio_gap"] <= max_first_ratio_gap:
        raise InvalidState(
            f"first_ratio={1 + step['ratio_gap']} is not 1 within max_first_ratio_gap={max_first_ratio_gap:.0e}: the "
            "network answers otherwise with gradient than without; look for dropout, batch statistics, or an autocast "
            "around one of the two, or pass a larger limit where kernels differ so much."
        )
    return 1 + step["ratio_gap"]


def check_pairs(pairs: Pairs) -> None:
    """Raise InvalidArgument unless every pair can be learned from."""
    if not len(pairs):
        raise InvalidArgument("pairs is empty; pass at least one.")
    if len(pairs.rejected) != len(pairs.chosen):
        raise InvalidArgument(f"pairs has {len(pairs.chosen)} chosen and {len(pairs.rejected)} rejected; pair them.")
    for name, episodes in (("chosen", pairs.chosen), ("rejected", pairs.rejected)):
        empty = (~episodes.mask.any(dim=1)).nonzero().flatten().tolist()
        if empty:
            raise InvalidArgument(f"pairs.{name} has no step that counts in row {empty[0]}; leave that pair out.")
