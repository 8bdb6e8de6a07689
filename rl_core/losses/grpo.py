"""Group-relative policy optimisation: PPO's surrogate without a critic, with the KL in the loss."""

from torch import Tensor

from rl_core.errors import check_at_least, check_choice
from rl_core.losses.kl import kl_k3
from rl_core.losses.ppo import clipped_surrogate, loss_metrics, ratio_metrics
from rl_core.masked import check_any, masked_mean, select, select_all
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
    """Return the loss of GRPO, a scalar to minimise, and its metrics.

        L = − mean [ J_t − β k3_t ]

    | symbol  | argument                                                                                   |
    | ------- | ------------------------------------------------------------------------------------------ |
    | J_t     | `clipped_surrogate` of logprobs (with gradient), old_logprobs, advantages, clip            |
    | k3_t    | `kl_k3` of logprobs and ref_logprobs: nats per step, with gradient                         |
    | β       | beta >= 0: price of a nat                                                                  |
    | A_t     | advantages [B, T], inside J_t: one number an episode, `group_advantages`, on all its steps |
    | mean    | average "episode": over each row's live steps, then over the rows (the paper's);           |
    |         | "token": over all live steps, so that a long episode counts by its length                  |

    Trap: with "episode" a step of a long answer weighs less than one of a short answer: a wrong answer is punished less
    for being long. In expectation an answer y counts π(y) (R(y) − E R) ∇ log π(y) / |y|, whatever the minibatch.
    "token" divides by the live steps of the minibatch, which its own answers decide, so that it is no unbiased policy
    gradient either: where answers have 1 to 3 tokens, all of them summed over, the expected step is off by 20 % of its
    length with one pair of answers in a minibatch, 9 % with two, 2 % with eight, and inversely to their number beyond.
    Divided by a constant, as in Dr. GRPO, it is the exact gradient times (G − 1) / G.

    The k3 term is the paper's; its gradient, on the steps of the policy itself, is that of
    KL(π_ref || π) and not of KL(π || π_ref).

    Raises InvalidArgument for β < 0, a clip <= 0, an unknown average, shapes that differ, or no live cell.
    Source: Shao et al. 2024, arXiv:2402.03300, equations 3 and 4. "token" is the average of Yu et al. 2025 (DAPO),
    arXiv:2503.14476, equation 8.

    A right answer of one token and a wrong one of two, before anything is learned, so that every ratio is 1. By tokens
    the mean of J is (1 − 1 − 1) / 3, by episodes (1 − 1) / 2. Each action has 1/2, and 1/4 by the reference: k3 is
    1/2 − 1 + log 2 = 0.1931 on every step, here at β = 1:

        >>> import torch
        >>> logprobs, mask = torch.full((2, 2), 0.5).log(), torch.tensor([[True, False], [True, True]])
        >>> ref_logprobs, advantages = torch.full((2, 2), 0.25).log(), torch.tensor([[1.0, 0.0], [-1.0, -1.0]])
        >>> given = (logprobs, logprobs, ref_logprobs, advantages, mask)
        >>> [grpo_loss(*given, clip=0.2, beta=1.0, average=name)[0] for name in ("token", "episode")]
        [tensor(0.5265), tensor(0.1931)]
    """
    check_at_least("beta", beta, 0)
    check_choice("average", average, AVERAGES)
    logprobs, old_logprobs, ref_logprobs, advantages = select_all(
        mask, logprobs=logprobs, old_logprobs=old_logprobs, ref_logprobs=ref_logprobs, advantages=advantages
    )

    mean = masked_mean if average == "token" else mean_of_episodes
    policy_loss = -mean(clipped_surrogate(logprobs, old_logprobs, advantages, clip=clip), mask)
    loss = policy_loss + beta * mean(kl_k3(logprobs, ref_logprobs), mask) if beta else policy_loss

    return loss, loss_metrics(loss, policy_loss=policy_loss) | ratio_metrics(logprobs, old_logprobs, mask, clip=clip)


def mean_of_episodes(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over rows of each row's mean over its live cells, a scalar; rows without one do not count."""
    check_any(mask)
    lengths = mask.sum(dim=1)  # [B]
    means = select(x, mask).sum(dim=1) / lengths.clamp(min=1)
    return means.sum() / (lengths > 0).sum()
