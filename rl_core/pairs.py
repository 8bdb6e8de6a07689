"""Two episodes from one start, of which one was preferred."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from rl_core.errors import check_count
from rl_core.types import Episodes, Metrics, Tensors


@dataclass(frozen=True)
class Pairs(Tensors):
    """Two episodes from one start in each row, the one that was preferred and the other."""

    chosen: Episodes
    rejected: Episodes

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.chosen)

    def lengths(self) -> Tensor:
        """Return the live steps of the longer of the two, [N]."""
        return torch.maximum(self.chosen.mask.sum(dim=1), self.rejected.mask.sum(dim=1))

    def counts(self) -> Metrics:
        """Return how many pairs there are, and how many live steps in them."""
        return {"pairs": float(len(self)), "steps": float(self.chosen.mask.sum() + self.rejected.mask.sum())}

    def in_parts(self, rows: int) -> Iterator[Self]:
        """Return the pairs, so many at a time, each part without the columns that are padding in all of it."""
        check_count("rows", rows, 1)
        return (self.rows(slice(first, first + rows)).trim() for first in range(0, len(self), rows))

    def trim(self) -> Self:
        """Return the same pairs without the columns that are padding in all of them."""
        return replace(self, chosen=self.chosen.trim(), rejected=self.rejected.trim())

    @classmethod
    def joined(cls, parts: Sequence["Pairs"]) -> "Pairs":
        """Return the pairs of all parts, one part after another."""
        return Pairs(Episodes.joined([p.chosen for p in parts]), Episodes.joined([p.rejected for p in parts]))


@dataclass(frozen=True)
class ReferencedPairs(Pairs):
    """Pairs with what the frozen reference says of them: log-probabilities of whole episodes, [N], nats."""

    ref_chosen: Tensor
    ref_rejected: Tensor
