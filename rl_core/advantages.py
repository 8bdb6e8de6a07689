"""Was that better than expected? From rewards and values to advantages; tensors in, tensors out."""

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument, check_at_least, check_between
from rl_core.losses.kl import kl_k1
from rl_core.masked import check_same_shape, masked_mean, rounding_noise, select


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
    rewards = select(rewards, mask)
    now = select(values[:, :-1], mask)
    following = select(values[:, 1:], mask & ~terminated)
    deltas = rewards + gamma * following - now
    advantages = torch.zeros_like(deltas)
    advantage = torch.zeros_like(deltas[:, 0])  # [B]
    for t in reversed(range(deltas.shape[1])):
        # Beyond the row's end every δ is 0, so nothing flows in from there.
        advantage = deltas[:, t] + gamma * lam * select(advantage, ~terminated[:, t])
        advantages[:, t] = advantage
    return advantages, select(advantages + now, mask)


def normalize(x: Tensor, mask: Tensor) -> Tensor:
    """Return x with mean 0 and population standard deviation 1 over the mask; exactly 0 where x does not vary.

    Statistics are those of the live cells alone: padding would pull them towards 0.
    """
    check_same_shape(mask, x=x)
    centred = select(x - masked_mean(x, mask), mask)
    deviation = masked_mean(centred.square(), mask).sqrt()
    return torch.where(
        deviation > rounding_noise(x, mask), centred / deviation.clamp(min=torch.finfo(x.dtype).tiny), 0.0
    )


def kl_shaped_rewards(rewards: Tensor, logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, *, beta: float) -> Tensor:
    """Return the rewards [B, T] less β times the step's KL to the reference.

        r'_t = r_t − β (log π(a_t|s_t) − log π_ref(a_t|s_t))

    This is the k1 estimator in the reward: of the usual places for a KL term it is the one whose policy gradient is
    exactly that of the whole episode's KL(π || π_ref). k2 or k3 in the reward would be biased.

    Raises InvalidArgument for β < 0. Source: Ziegler et al. 2019, arXiv:1909.08593, equation 2.
    """
    check_at_least("beta", beta, 0)
    check_same_shape(mask, rewards=rewards, logprobs=logprobs, ref_logprobs=ref_logprobs)
    return select(rewards, mask) - beta * select(kl_k1(logprobs, ref_logprobs), mask)


def group_advantages(
    episode_returns: Tensor, group_size: int, *, scale: bool = True, counts: Tensor | None = None
) -> Tensor:
    """Return each episode's return less the mean of its group, [B], in standard deviations of the group if `scale`.

        A_i = (R_i − mean(R)) / std(R)               scale
        A_i =  R_i − mean(R)                         not scale

    | symbol | argument                                                                                  |
    | ------ | ----------------------------------------------------------------------------------------- |
    | R      | episode_returns [B]: a group is `group_size` consecutive episodes from one start, >= 2       |
    | -      | counts [B] bool, or None for all: an episode that does not count takes no part, and gets 0   |

    A group of equal returns says nothing and gets exactly 0. The standard deviation is that of the sample (N − 1).
    Scaled, a question that nearly always goes well weighs as much as one that goes either way.

    Raises InvalidArgument for groups of fewer than 2, for returns that are no whole number of groups, and for one that
    counts and is not finite.
    Source: Shao et al. 2024, arXiv:2402.03300, section 4.1.2; without the scale: Liu et al. 2025 (Dr. GRPO),
    arXiv:2503.20783, section 3.
    """
    returns, counts = _groups(episode_returns, group_size, counts)  # [N, G]
    size = counts.sum(dim=1, keepdim=True)
    mean = select(returns, counts).sum(dim=1, keepdim=True) / size.clamp(min=1)
    centred = select(returns - mean, counts)
    variance = centred.square().sum(dim=1, keepdim=True) / (size - 1).clamp(min=1)
    deviation = variance.sqrt()
    divisor = deviation.clamp(min=torch.finfo(returns.dtype).tiny) if scale else torch.ones_like(deviation)
    return torch.where(deviation > rounding_noise(returns, counts, dim=1), centred / divisor, 0.0).flatten()


def leave_one_out_advantages(episode_returns: Tensor, group_size: int, *, counts: Tensor | None = None) -> Tensor:
    """Return each episode's return less the mean of the *others* of its group, [B].

        A_i = R_i − 1/(G − 1) Σ_{j ≠ i} R_j

    The baseline does not depend on the episode that it is subtracted from, so the policy gradient stays exact in
    expectation; with the episode in its own baseline it is (G − 1)/G of it. Arguments and errors: as
    `group_advantages`, unscaled. An episode without another in its group gets 0.

    Source: Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free!"; on language models: Ahmadian et al.
    2024, arXiv:2402.14740, section 3.
    """
    returns, counts = _groups(episode_returns, group_size, counts)  # [N, G]
    others = counts.sum(dim=1, keepdim=True) - 1
    total = select(returns, counts).sum(dim=1, keepdim=True)
    baseline = (total - returns) / others.clamp(min=1)
    return select(returns - baseline, counts & (others > 0)).flatten()


def on_every_step(advantages: Tensor, mask: Tensor) -> Tensor:
    """Return an episode's advantage [B] on each of its live steps, [B, T]."""
    if advantages.shape != mask.shape[:1]:
        raise InvalidArgument(
            f"advantages has shape {tuple(advantages.shape)} for {mask.shape[0]} rows; pass one number for each row."
        )
    return select(advantages.unsqueeze(1).expand(mask.shape), mask)


def _groups(episode_returns: Tensor, group_size: int, counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the returns beside which of them count, both [groups, G]; 0 where they do not count."""
    if not isinstance(group_size, int) or group_size < 2:
        raise InvalidArgument(f"group_size={group_size!r}; compare at least 2 episodes from one start.")
    if episode_returns.dim() != 1 or len(episode_returns) % group_size:
        raise InvalidArgument(
            f"episode_returns has shape {tuple(episode_returns.shape)}, no multiple of group_size={group_size}; "
            "pass one return for each episode, whole groups only."
        )
    counts = torch.ones_like(episode_returns, dtype=torch.bool) if counts is None else counts
    check_same_shape(counts, episode_returns=episode_returns)
    returns = select(episode_returns, counts)
    if not returns.isfinite().all():
        row = int((~returns.isfinite()).nonzero()[0])
        raise InvalidArgument(f"episode_returns[{row}]={returns[row].item()}; look for what is not finite in rewards.")
    return returns.view(-1, group_size), counts.view(-1, group_size)
