"""Was that better than expected? From rewards and values to advantages; tensors in, tensors out."""

import torch
from torch import Tensor

from rl_core.errors import check_at_least, check_between
from rl_core.losses.kl import kl_k1
from rl_core.masked import check_same_shape, keep, masked_mean


def gae(
    rewards: Tensor, values: Tensor, terminated: Tensor, mask: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return the generalised advantage estimates beside the returns that the critic should learn, both [B, T].

        δ_t = r_t + γ V(s_{t+1}) − V(s_t)            V(s_{t+1}) = 0 where the step terminated
        A_t = δ_t + γ λ A_{t+1}                      A = 0 beyond the row's last live step
        R_t = A_t + V(s_t)

    | symbol   | argument                                                                                   |
    | -------- | ------------------------------------------------------------------------------------------ |
    | r_t      | rewards [B, T]                                                                             |
    | V(s_t)   | values [B, T + 1]; column L of a row of L live steps belongs to what it saw last           |
    | γ, λ     | gamma, lam, in [0, 1]: λ = 1 gives return − V, λ = 0 the one-step TD error                 |
    | 0 beyond | terminated [B, T] bool; a row that ends without it was cut off, and bootstraps from V      |

    The mask [B, T] is a prefix of each row; masked cells come out 0, whatever they held. Returns come before any
    normalisation of the advantages: a critic cannot learn from those.

    Raises InvalidArgument for γ or λ outside [0, 1] and for shapes that do not fit.
    Source: Schulman et al. 2015, arXiv:1506.02438, equations 11, 12 and 16.
    """
    check_between("gamma", gamma, 0, 1)
    check_between("lam", lam, 0, 1)
    check_same_shape(mask, rewards=rewards, terminated=terminated)
    check_same_shape(torch.cat([mask[:, :1], mask], dim=1), values=values)
    rewards = keep(rewards, mask)
    now = keep(values[:, :-1], mask)
    following = keep(values[:, 1:], mask & ~terminated)
    deltas = rewards + gamma * following - now
    advantages = torch.zeros_like(deltas)
    advantage = torch.zeros_like(deltas[:, 0])  # [B]
    for t in reversed(range(deltas.shape[1])):
        following_advantage = keep(advantage, ~terminated[:, t])
        advantage = keep(deltas[:, t] + gamma * lam * following_advantage, mask[:, t])
        advantages[:, t] = advantage
    return advantages, keep(advantages + now, mask)


def normalize(x: Tensor, mask: Tensor) -> Tensor:
    """Return x with mean 0 and population standard deviation 1 over the mask; exactly 0 where x does not vary.

    Statistics are those of the live cells alone: padding would pull them towards 0.
    """
    check_same_shape(mask, x=x)
    centred = keep(x - masked_mean(x, mask), mask)
    deviation = masked_mean(centred.square(), mask).sqrt()
    # Rounding leaves about eps of a constant's size; dividing by that would turn equal rewards into ±1.
    noise = 10 * torch.finfo(x.dtype).eps * keep(x, mask).abs().max()
    return torch.where(deviation > noise, centred / deviation.clamp(min=torch.finfo(x.dtype).tiny), 0.0)


def kl_shaped_rewards(rewards: Tensor, logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, *, beta: float) -> Tensor:
    """Return the rewards [B, T] less β times the step's KL to the reference.

        r'_t = r_t − β (log π(a_t|s_t) − log π_ref(a_t|s_t))

    This is the k1 estimator in the reward: of the usual places for a KL term it is the one whose policy gradient is
    exactly that of the whole episode's KL(π || π_ref). k2 or k3 in the reward would be biased.

    Raises InvalidArgument for β < 0. Source: Ziegler et al. 2019, arXiv:1909.08593, equation 2.
    """
    check_at_least("beta", beta, 0)
    check_same_shape(mask, rewards=rewards, logprobs=logprobs, ref_logprobs=ref_logprobs)
    return keep(rewards, mask) - beta * keep(kl_k1(logprobs, ref_logprobs), mask)
