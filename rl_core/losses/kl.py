"""Three estimators of how far the policy is from its reference, from the actions that it took."""

import torch
from torch import Tensor

from rl_core.masked import check_shapes


def kl_k1(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Return the unbiased estimator of KL(π || π_ref) that can be negative, [B, T], nats.

        k1 = log π(a|s) − log π_ref(a|s)

    | symbol      | argument                                                |
    | ----------- | ------------------------------------------------------- |
    | log π       | logprobs [B, T], nats, of actions that π itself took    |
    | log π_ref   | ref_logprobs [B, T], nats, of the same actions          |

    Trap: its place is the reward; as a loss, its gradient is zero in expectation.

    Raises InvalidArgument for shapes that differ.
    Source: Schulman 2020, "Approximating KL Divergence", joschu.net/blog/kl-approx.html.

    π takes the action with 1/2 where the reference has 1/2, 1/4 and 1: log 1, log 2 and log 1/2 nats.

        >>> logprobs, ref_logprobs = torch.tensor([[0.5, 0.5, 0.5]]).log(), torch.tensor([[0.5, 0.25, 1.0]]).log()
        >>> kl_k1(logprobs, ref_logprobs)
        tensor([[ 0.0000,  0.6931, -0.6931]])
    """
    check_shapes(logprobs=logprobs, ref_logprobs=ref_logprobs)
    return logprobs - ref_logprobs


def kl_k2(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Return the biased, low-variance estimator of KL(π || π_ref), [B, T], nats, never negative.

        k2 = ½ (log π(a|s) − log π_ref(a|s))²

    Symbols, errors and source: as `kl_k1`.

    Trap: biased as a value, but as a loss on the step's own samples its gradient is that of KL(π || π_ref).

    The same actions as there; ½ (log 2)² is 0.2402:

        >>> logprobs, ref_logprobs = torch.tensor([[0.5, 0.5, 0.5]]).log(), torch.tensor([[0.5, 0.25, 1.0]]).log()
        >>> kl_k2(logprobs, ref_logprobs)
        tensor([[0.0000, 0.2402, 0.2402]])
    """
    check_shapes(logprobs=logprobs, ref_logprobs=ref_logprobs)
    return (logprobs - ref_logprobs).square() / 2


def kl_k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Return the unbiased, low-variance estimator of KL(π || π_ref), [B, T], nats, never negative.

        k3 = exp(d) − 1 − d,    d = log π_ref(a|s) − log π(a|s)

    Symbols, errors and source: as `kl_k1`. `expm1` keeps its digits near d = 0, where exp(d) − 1 − d cancels.

    Trap: unbiased as a value; as a loss its gradient is that of KL(π_ref || π), the other direction.

    The same actions as there; 1/2 − 1 + log 2 is 0.1931, and 2 − 1 − log 2 is 0.3069:

        >>> logprobs, ref_logprobs = torch.tensor([[0.5, 0.5, 0.5]]).log(), torch.tensor([[0.5, 0.25, 1.0]]).log()
        >>> kl_k3(logprobs, ref_logprobs)
        tensor([[0.0000, 0.1931, 0.3069]])
    """
    check_shapes(logprobs=logprobs, ref_logprobs=ref_logprobs)
    difference = ref_logprobs - logprobs
    return torch.expm1(difference) - difference
