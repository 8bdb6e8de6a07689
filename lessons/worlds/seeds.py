"""Seeds of streams that never meet: what is evaluated on is never trained on, whatever seed a run has."""

import hashlib

import torch


def spawn(seed: int, *names: str | int) -> int:
    """Return the seed of a stream of random numbers, told from a run's other streams by its names.

    Seeds that are made by adding meet: seed 10 in turn 0 is seed 0 in turn 10. These are hashed, as in NumPy's
    SeedSequence.spawn, and any two of a million streams are the same with a chance of 1 in 10 million.
    """
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *names))).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # 63 bits: what a torch.Generator takes


def seeded(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator with that seed, or with that of one of its streams."""
    return torch.Generator().manual_seed(spawn(seed, *names) if names else seed)
