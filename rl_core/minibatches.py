"""Ways to deal rows into minibatches, as index tensors drawn with a given generator."""

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument, check_at_least


def shuffled(count: int, parts: int, generator: torch.Generator) -> list[Tensor]:
    """Return a random deal of `count` rows into `parts` minibatches whose sizes differ by one at most."""
    check_at_least("minibatches", parts, 1)
    if parts > count:
        raise InvalidArgument(f"minibatches={parts} exceeds the {count} rows there are; pass {count} or fewer.")
    order = torch.randperm(count, generator=generator, device=generator.device)
    return list(order.tensor_split(parts))


def parts_of(live: int, parts: int, *, rows: int | None) -> int:
    """Return into how many minibatches the `live` ones are dealt: `parts`, or as many as there are.

    How many of the `rows` of a rollout are cut off and discarded is chance, as is the number of its steps (`rows`
    None), and must not end a run. Raises InvalidArgument when `parts` are too many even if every row counted.
    """
    if rows is not None and parts > rows:
        raise InvalidArgument(f"minibatches={parts} exceeds the {rows} rows there are; pass {rows} or fewer.")
    return min(parts, live)


def grouped_by_length(lengths: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """Return a random deal into minibatches of `size` rows (the last may be smaller), rows of like length together.

    Padding is wasted work: a random minibatch of short and long rows costs as much as one of long rows only.
    The rows are shuffled, sorted by length (ties stay shuffled), dealt, and the minibatches shuffled again.
    """
    check_at_least("minibatch_rows", size, 1)
    device = generator.device
    shuffle = torch.randperm(len(lengths), generator=generator, device=device)
    order = shuffle[torch.argsort(lengths.to(device)[shuffle], stable=True)]
    deals = list(order.split(size))
    return [deals[i] for i in torch.randperm(len(deals), generator=generator, device=device).tolist()]
