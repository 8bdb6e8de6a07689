"""Measurements that both worlds take alike."""

from math import sqrt

import torch
from torch import nn

from rl_core.evaluate import evaluate
from rl_core.masked import masked_sum
from rl_core.types import Rollout


@torch.no_grad()
def kl_per_episode(played: Rollout, reference: nn.Module) -> float:
    """Return the mean over rows of log π − log π_ref summed over the row: KL(π || π_ref) of whole episodes, nats."""
    ref = evaluate(reference, played)
    return (masked_sum(played.logprobs - ref.logprobs, played.mask) / len(played)).item()


def mean(numbers: list[float]) -> float:
    """Return the mean."""
    return sum(numbers) / len(numbers)


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share seen in `count` trials.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)
