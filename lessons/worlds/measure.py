"""Measurements that both worlds take alike."""

from collections.abc import Sequence
from math import log, sqrt

import torch
from torch import Tensor

from rl_core.errors import check_between
from rl_core.evaluate import evaluate_actions
from rl_core.interfaces import Network, Scorer
from rl_core.masked import masked_sum
from rl_core.pairs import Pairs
from rl_core.rollout import best_of_n, relabel
from rl_core.types import Episodes, Rollout


@torch.no_grad()
def kl_per_episode(played: Rollout, reference: Network) -> float:
    """Return the mean over rows of log π − log π_ref summed over the row: KL(π || π_ref) of whole episodes, nats."""
    ref = evaluate_actions(reference, played)
    return (masked_sum(played.logprobs - ref.logprobs, played.mask) / len(played)).item()


def chosen(played: Rollout, n: int, scorer: Scorer | None) -> Rollout:
    """Return the best of each n rows from one start, by the scorer, or by the rewards that were played."""
    return best_of_n(played if scorer is None else relabel(played, scorer), n)


def most_kl_of_best(n: int) -> float:
    """Return the KL of the best of n to the policy that played, at most: log n − (n − 1)/n nats an episode.

    It is exact where no two of the n are equally good; ties make it less. With the mean of log π − log π_ref over what
    is chosen added, it is an upper bound of the KL to the reference.
    """
    return log(n) - (n - 1) / n


def better_and_worse(played: Episodes, liked: Tensor) -> Pairs:
    """Return each two consecutive rows as a pair, the one liked more first; `liked` is [2N], ties are dropped."""
    liked = liked.view(-1, 2)
    first = liked.argmax(dim=1) + 2 * torch.arange(len(liked), device=liked.device)
    first = first[liked[:, 0] != liked[:, 1]]
    return Pairs(played.rows(first).trim(), played.rows(first ^ 1).trim())  # rows 2i and 2i + 1 are partners


def swapped(pairs: Pairs, share: float, generator: torch.Generator) -> Pairs:
    """Return the pairs, of which about this share is judged the wrong way round.

    Raise InvalidArgument for a share outside [0, 1].
    """
    check_between("noise", share, 0, 1)
    wrong = torch.rand(len(pairs), generator=generator) < share
    both = Pairs.joined([pairs, Pairs(pairs.rejected, pairs.chosen)])
    index = torch.arange(len(pairs)) + len(pairs) * wrong
    return both.rows(index.to(pairs.chosen.mask.device))


def mean(numbers: Sequence[float]) -> float:
    """Return the mean."""
    return sum(numbers) / len(numbers)


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share seen in `count` trials.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)
