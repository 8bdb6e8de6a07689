"""Group-relative policy optimisation: PPO's surrogate without a critic, with the KL in the loss."""

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument, check_at_least, check_choice
from rl_core.losses.kl import kl_k3
from rl_core.losses.ppo import clipped_surrogate
from rl_core.masked import check_same_shape, masked_mean, select
from rl_core.types import Metrics

AVERAGES = ("token", "episode")


def grpo_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    ref_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: float | None,
    beta: float,
    average: str,
) -> tuple[Tensor, Metrics]:
    """Return the loss of GRPO, a scalar to minimise.

        L = − mean [ J_t − β k3_t ]

    | symbol  | argument                                                                              |
    | ------- | ------------------------------------------------------------------------------------- |
    | J_t     | `clipped_surrogate` of logprobs (with gradient), old_logprobs, advantages, clip        |
    | k3_t    | `kl_k3` of logprobs and ref_logprobs: nats per step, with gradient                      |
    | β       | beta >= 0: price of a nat                                                             |
    | A_t     | advantages [B, T], inside J_t: one number an episode, `group_advantages`, on all its steps |
    | mean    | average "episode": over each row's live steps, then over the rows (the paper's);       |
    |         | "token": over all live steps, so that a long episode counts by its length               |

    With "episode" a step of a long answer weighs less than one of a short answer: a wrong answer is punished less for
    being long. In expectation an answer y counts π(y) (R(y) − E R) ∇ log π(y) / |y|, whatever the minibatch.
    "token" divides by the live steps of the minibatch, which its own answers decide, so that it is no unbiased policy
    gradient either: where answers have 1 to 3 tokens, all of them summed over, the expected step is off by 20 % of its
    length with one pair of answers in a minibatch, 9 % with two, 2 % with eight, and inversely to their number beyond.
    Divided by a constant, as in Dr. GRPO, it is the exact gradient times (G − 1) / G.

    The k3 term is the paper's; its gradient, on the steps of the policy itself, is that of
    KL(π_ref || π) and not of KL(π || π_ref).

    Raises InvalidArgument for β < 0, a clip <= 0, an unknown average, shapes that differ, or no live cell.
    Source: Shao et al. 2024, arXiv:2402.03300, equations 3 and 4. "token" is the average of Yu et al. 2025 (DAPO),
    arXiv:2503.14476, equation 8.
    """
    check_at_least("beta", beta, 0)
    check_choice("average", average, AVERAGES)
    check_same_shape(
        mask, logprobs=logprobs, old_logprobs=old_logprobs, ref_logprobs=ref_logprobs, advantages=advantages
    )
    # Selected before `exp`: a masked cell may hold anything.
    logprobs, old_logprobs, ref_logprobs, advantages = (
        select(x, mask) for x in (logprobs, old_logprobs, ref_logprobs, advantages)
    )
    mean = masked_mean if average == "token" else mean_of_episodes

    policy_loss = -mean(clipped_surrogate(logprobs, old_logprobs, advantages, clip=clip), mask)
    loss = policy_loss + beta * mean(kl_k3(logprobs, ref_logprobs), mask) if beta else policy_loss

    ratio = torch.exp(logprobs.detach() - old_logprobs)
    clipped = (ratio - 1).abs() > clip if clip is not None else torch.zeros_like(mask)
    metrics = {
        "loss": loss.item(),
        "policy_loss": policy_loss.item(),
        "clip_fraction": masked_mean(clipped.to(logprobs.dtype), mask).item(),
        "ratio_gap": (ratio - 1).abs().max().item(),
    }
    return loss, metrics


def mean_of_episodes(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over rows of each row's mean over its live cells, a scalar; rows without one do not count."""
    lengths = mask.sum(dim=1)  # [B]
    if not mask.any():
        raise InvalidArgument(f"mask of shape {tuple(mask.shape)} is False everywhere; pass at least one live cell.")
    means = select(x, mask).sum(dim=1) / lengths.clamp(min=1)
    return means.sum() / (lengths > 0).sum()
