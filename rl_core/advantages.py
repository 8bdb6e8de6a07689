"""Was that better than expected? From rewards and values to advantages; tensors in, tensors out."""

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument, check_at_least, check_between, check_count
from rl_core.losses.kl import kl_k1
from rl_core.masked import check_shapes, masked_mean, rounding_noise, select, select_all


def gae(
    rewards: Tensor, values: Tensor, terminated: Tensor, mask: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return advantages and value targets, both [B, T]: generalised advantage estimation.

        δ_t = r_t + γ V(s_{t+1}) − V(s_t)            V(s_{t+1}) = 0 where the step terminated
        A_t = δ_t + γ λ A_{t+1}                      A = 0 beyond the row's last live step
        R_t = A_t + V(s_t)

    | symbol   | argument                                                                                   |
    | -------- | ------------------------------------------------------------------------------------------ |
    | r_t      | rewards [B, T]                                                                             |
    | V(s_t)   | values [B, T + 1]; column L of a row of L live steps belongs to what it saw last           |
    | γ, λ     | gamma, lam, in [0, 1]: λ = 1 gives return − V, λ = 0 the one-step TD error                 |
    | 0 beyond | terminated [B, T] bool; a row that ends without it was cut off, and bootstraps from V      |

    The mask [B, T] is a prefix of each row; masked cells come out 0, whatever they held. In units of the reward.

    Trap: the value targets R are those before any normalisation of the advantages; a critic cannot learn from others.

    Raises InvalidArgument for γ or λ outside [0, 1] and for shapes that do not fit.
    Source: Schulman et al. 2015, arXiv:1506.02438, equations 11, 12 and 16.

    Three steps are paid 1 each and the critic says 2, 1 and 0.5; then the row ends for good. With γ = λ = 1 all that
    is to come is 3, 2 and 1, and an advantage is that less the value:

        >>> rewards, values = torch.ones(1, 3), torch.tensor([[2.0, 1.0, 0.5, 9.0]])
        >>> terminated, mask = torch.tensor([[False, False, True]]), torch.ones(1, 3, dtype=torch.bool)
        >>> gae(rewards, values, terminated, mask, gamma=1.0, lam=1.0)
        (tensor([[1.0000, 1.0000, 0.5000]]), tensor([[3., 2., 1.]]))
    """
    check_between("gamma", gamma, 0, 1)
    check_between("lam", lam, 0, 1)
    check_shapes(mask=mask, rewards=rewards, terminated=terminated)
    _check_values(values, rewards)
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


def with_last(values: Tensor, last: Tensor, mask: Tensor) -> Tensor:
    """Return values [B, T] with those of what each row saw last, [B], behind its last live step: [B, T + 1].

    A row of L live steps has the last in column L; cells that do not count are 0.

        >>> mask = torch.tensor([[True, True, False], [True, True, True]])
        >>> with_last(torch.tensor([[1.0, 2.0, 9.0], [1.0, 2.0, 3.0]]), torch.tensor([5.0, 7.0]), mask)
        tensor([[1., 2., 5., 0.],
                [1., 2., 3., 7.]])
    """
    all_seen = torch.cat([select(values, mask), torch.zeros_like(values[:, :1])], dim=1)
    return all_seen.scatter(1, mask.sum(dim=1, keepdim=True), last.unsqueeze(1).to(values.dtype))


def normalize(x: Tensor, mask: Tensor) -> Tensor:
    """Return x with mean 0 and population standard deviation 1 over the mask, [B, T]; 0 where x does not vary.

        z = (x − mean(x)) / std(x)

    | symbol | argument                                                                        |
    | ------ | ------------------------------------------------------------------------------- |
    | x      | x [B, T], such as advantages                                                    |
    | mean   | over the cells where mask [B, T] is True; std likewise, divided by their number |

    Trap: statistics of all cells would be pulled towards 0 by the padding.

    Raises InvalidArgument for shapes that differ and for a mask without a live cell.
    Source: common practice, in the code of most PPOs and in no equation of the paper.

    The mean of 1, 3 and 5 is 3, and their mean square distance from it 8/3; the 99 is padding:

        >>> x, mask = torch.tensor([[1.0, 3.0, 5.0, 99.0]]), torch.tensor([[True, True, True, False]])
        >>> normalize(x, mask)
        tensor([[-1.2247,  0.0000,  1.2247,  0.0000]])
    """
    centred = select(x - masked_mean(x, mask), mask)
    deviation = masked_mean(centred.square(), mask).sqrt()
    return _in_deviations(centred, deviation, rounding_noise(x, mask))


def kl_shaped_rewards(rewards: Tensor, logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, *, beta: float) -> Tensor:
    """Return the rewards less β times each step's KL to the reference, [B, T].

        r'_t = r_t − β (log π(a_t|s_t) − log π_ref(a_t|s_t))

    | symbol           | argument                                      |
    | ---------------- | --------------------------------------------- |
    | r_t              | rewards [B, T]                                |
    | log π, log π_ref | logprobs, ref_logprobs [B, T], nats           |
    | β                | beta >= 0: price of a nat, in units of reward |

    This is `kl_k1` in the reward: of the usual places for a KL term it is the one whose policy gradient is exactly that
    of the whole episode's KL(π || π_ref).

    Trap: k2 or k3 in the reward would be biased.

    Raises InvalidArgument for β < 0 and for shapes that differ. Source: Ziegler et al. 2019, arXiv:1909.08593, eq. 2.

    The second step, which π finds 2 nats likelier than the reference does, costs 0.1 · 2; the third is 1 nat cheaper:

        >>> rewards, mask = torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1, 3, dtype=torch.bool)
        >>> logprobs, ref_logprobs = torch.tensor([[-1.0, -1.0, -3.0]]), torch.tensor([[-1.0, -3.0, -2.0]])
        >>> kl_shaped_rewards(rewards, logprobs, ref_logprobs, mask, beta=0.1)
        tensor([[ 0.0000, -0.2000,  1.1000]])
    """
    check_at_least("beta", beta, 0)
    rewards, logprobs, ref_logprobs = select_all(mask, rewards=rewards, logprobs=logprobs, ref_logprobs=ref_logprobs)
    return rewards - beta * kl_k1(logprobs, ref_logprobs)


def group_advantages(
    episode_returns: Tensor, group_size: int, *, scale: bool = True, counts: Tensor | None = None
) -> Tensor:
    """Return each episode's return less the mean of its group, [B], in standard deviations of the group if `scale`.

        A_i = (R_i − mean(R)) / std(R)               scale
        A_i =  R_i − mean(R)                         not scale

    | symbol | argument                                                                                     |
    | ------ | -------------------------------------------------------------------------------------------- |
    | R      | episode_returns [B]: a group is `group_size` consecutive episodes from one start, >= 2       |
    | -      | counts [B] bool, or None for all: an episode that does not count takes no part, and gets 0   |

    A group of equal returns says nothing and gets exactly 0. The standard deviation is that of the sample (N − 1).

    Trap: scaled, a question that nearly always goes well weighs as much as one that goes either way.

    Raises InvalidArgument for groups of fewer than 2, for returns that are no whole number of groups, and for one that
    counts and is not finite.
    Source: Shao et al. 2024, arXiv:2402.03300, section 4.1.2; without the scale: Liu et al. 2025 (Dr. GRPO),
    arXiv:2503.20783, section 3.

    Of three answers one is right. Their mean is 1/3, and their deviation √(((2/3)² + 2 (1/3)²) / 2) = √(1/3):

        >>> group_advantages(torch.tensor([1.0, 0.0, 0.0]), 3)
        tensor([ 1.1547, -0.5774, -0.5774])
        >>> group_advantages(torch.tensor([1.0, 0.0, 0.0]), 3, scale=False)
        tensor([ 0.6667, -0.3333, -0.3333])
    """
    returns, counts = _groups(episode_returns, group_size, counts)  # [N, G]
    size = counts.sum(dim=1, keepdim=True)
    mean = returns.sum(dim=1, keepdim=True) / size.clamp(min=1)
    centred = select(returns - mean, counts)
    deviation = (centred.square().sum(dim=1, keepdim=True) / (size - 1).clamp(min=1)).sqrt()
    return _in_deviations(centred, deviation, rounding_noise(returns, counts, dim=1), scale=scale).flatten()


def leave_one_out_advantages(episode_returns: Tensor, group_size: int, *, counts: Tensor | None = None) -> Tensor:
    """Return each episode's return less the mean of the *others* of its group, [B].

        A_i = R_i − 1/(G − 1) Σ_{j ≠ i} R_j

    | symbol | argument                                                                                |
    | ------ | --------------------------------------------------------------------------------------- |
    | R, G   | episode_returns [B], group_size >= 2; counts as in `group_advantages`                   |

    The baseline does not depend on the episode that it is subtracted from, so the policy gradient stays exact in
    expectation. An episode without another in its group gets 0.

    Trap: with the episode in its own baseline the expected gradient is (G − 1)/G of the exact one.

    Raises as `group_advantages`.
    Source: Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free!"; on language models: Ahmadian et al.
    2024, arXiv:2402.14740, section 3.

    The others of the 6 have 3 on average, those of the 4 have 4, those of the 2 have 5:

        >>> leave_one_out_advantages(torch.tensor([6.0, 4.0, 2.0]), 3)
        tensor([ 3.,  0., -3.])
    """
    returns, counts = _groups(episode_returns, group_size, counts)  # [N, G]
    others = counts.sum(dim=1, keepdim=True) - 1
    baseline = (returns.sum(dim=1, keepdim=True) - returns) / others.clamp(min=1)
    return select(returns - baseline, counts & (others > 0)).flatten()


def on_every_step(advantages: Tensor, mask: Tensor) -> Tensor:
    """Return an episode's advantage [B] on each of its live steps, [B, T]."""
    if advantages.shape != mask.shape[:1]:
        raise InvalidArgument(
            f"advantages has shape {tuple(advantages.shape)} for {mask.shape[0]} rows; pass one number for each row."
        )
    return select(advantages.unsqueeze(1).expand(mask.shape), mask)


def _in_deviations(centred: Tensor, deviation: Tensor, noise: Tensor, *, scale: bool = True) -> Tensor:
    """Return what is centred in standard deviations, or as it is; exactly 0 where rounding alone makes it vary."""
    divisor = deviation.clamp(min=torch.finfo(centred.dtype).tiny) if scale else torch.ones_like(deviation)
    return torch.where(deviation > noise, centred / divisor, 0.0)


def _check_values(values: Tensor, rewards: Tensor) -> None:
    """Raise InvalidArgument unless there is one value more in each row than there are steps."""
    if rewards.dim() != 2 or values.shape != (rewards.shape[0], rewards.shape[1] + 1):
        raise InvalidArgument(
            f"values has shape {tuple(values.shape)} for rewards of {tuple(rewards.shape)}; pass [B, T] rewards, and "
            "values of T + 1 columns: one for each step, and one for what a row saw last."
        )


def _groups(episode_returns: Tensor, group_size: int, counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the returns, 0 where they do not count, and which of them do, both [groups, G]."""
    check_count("group_size", group_size, 2)
    if episode_returns.dim() != 1 or len(episode_returns) % group_size:
        raise InvalidArgument(
            f"episode_returns has shape {tuple(episode_returns.shape)}, no multiple of group_size={group_size}; "
            "pass one return for each episode, whole groups only."
        )
    counts = torch.ones_like(episode_returns, dtype=torch.bool) if counts is None else counts
    check_shapes(counts=counts, episode_returns=episode_returns)
    returns = select(episode_returns, counts)
    if not returns.isfinite().all():
        row = int((~returns.isfinite()).nonzero()[0])
        raise InvalidArgument(f"episode_returns[{row}]={returns[row].item()}; look for what is not finite in rewards.")
    return returns.view(-1, group_size), counts.view(-1, group_size)
