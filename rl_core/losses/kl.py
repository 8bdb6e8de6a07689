"""Three estimators of how far the policy is from its reference, from the actions that it took."""

import torch
from torch import Tensor

from rl_core.masked import check_alike


def kl_k1(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Return the unbiased estimator of KL(π || π_ref) that can be negative, [B, T], nats.

        k1 = log π(a|s) − log π_ref(a|s)

    | symbol      | argument            |
    | ----------- | ------------------- |
    | log π       | logprobs [B, T]     |
    | log π_ref   | ref_logprobs [B, T] |

    Its place is the reward: as a loss, its gradient is zero in expectation.
    Source: Schulman 2020, "Approximating KL Divergence", joschu.net/blog/kl-approx.html.
    """
    check_alike(logprobs=logprobs, ref_logprobs=ref_logprobs)
    return logprobs - ref_logprobs


def kl_k2(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Return the biased, low-variance estimator of KL(π || π_ref), [B, T], nats, never negative.

        k2 = ½ (log π(a|s) − log π_ref(a|s))²

    Biased as a value, but as a loss on the step's own samples its gradient is that of KL(π || π_ref).
    Source and arguments: as `kl_k1`.
    """
    check_alike(logprobs=logprobs, ref_logprobs=ref_logprobs)
    return (logprobs - ref_logprobs).square() / 2


def kl_k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Return the unbiased, low-variance estimator of KL(π || π_ref), [B, T], nats, never negative.

        k3 = exp(d) − 1 − d,    d = log π_ref(a|s) − log π(a|s)

    Unbiased as a value; as a loss its gradient is that of KL(π_ref || π), the other direction.
    `expm1` keeps its digits near d = 0, where exp(d) − 1 − d cancels. Source and arguments: as `kl_k1`.
    """
    check_alike(logprobs=logprobs, ref_logprobs=ref_logprobs)
    difference = ref_logprobs - logprobs
    return torch.expm1(difference) - difference
