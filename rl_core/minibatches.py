"""Ways to divide rows into minibatches, as index tensors drawn with a given generator."""

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument, check_at_least


def shuffled(count: int, parts: int, generator: torch.Generator) -> list[Tensor]:
    """Return `parts` random minibatches of `count` rows whose sizes differ by one at most, as indices."""
    check_at_least("minibatches", parts, 1)
    if parts > count:
        raise InvalidArgument(f"minibatches={parts} exceeds the {count} rows there are; pass {count} or fewer.")
    order = torch.randperm(count, generator=generator, device=generator.device)
    return list(order.tensor_split(parts))


def possible_minibatches(parts: int, *, live: int, most: int) -> int:
    """Return how many minibatches the `live` rows allow: `parts`, or as many as there are rows.

    How many rows of a rollout are discarded is chance, as is the number of its live steps, and must not end a run.
    Raise InvalidArgument where `parts` exceeds `most`, the number of rows if all of them counted.
    """
    if parts > most:
        raise InvalidArgument(f"minibatches={parts} exceeds the {most} rows there are; pass {most} or fewer.")
    return min(parts, live)


def grouped_by_length(lengths: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """Return minibatches of `size` rows (the last may be smaller), rows of like length together, as indices.

    Padding is wasted work: a random minibatch of short and long rows costs as much as one of long rows only.
    The rows are shuffled, sorted by length (ties stay shuffled), divided, and the minibatches shuffled again.
    """
    check_at_least("minibatch_rows", size, 1)
    device = generator.device
    shuffle = torch.randperm(len(lengths), generator=generator, device=device)
    order = shuffle[torch.argsort(lengths.to(device)[shuffle], stable=True)]
    minibatches = list(order.split(size))
    return [minibatches[i] for i in torch.randperm(len(minibatches), generator=generator, device=device).tolist()]
