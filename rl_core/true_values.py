"""What a state is really worth: play on from it many times and average. To judge a critic by, not to learn from."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rl_core.advantages import gae, kl_shaped_rewards, with_last
from rl_core.errors import check_count
from rl_core.evaluate import evaluate_actions, last_values
from rl_core.interfaces import Env, Network, Scorer
from rl_core.masked import check_shapes, select
from rl_core.rollout import relabel, rollout
from rl_core.types import Episodes, Rollout


@dataclass(frozen=True)
class Rewards:
    """What the critic is taught to foresee: who pays, how much less per nat of KL, and how it is discounted."""

    gamma: float
    """Discount per step, in [0, 1]."""
    scorer: Scorer | None = None
    """Whose rewards take the place of the environment's; None: the environment's own."""
    reference: Network | None = None
    """From which the KL is measured; None: no KL."""
    beta: float = 0.0
    """Reward lost per nat of it, >= 0."""

    @torch.no_grad()
    def of(self, played: Rollout) -> Tensor:
        """Return the rewards of each step, [B, T]."""
        if self.scorer is not None:
            played = relabel(played, self.scorer)
        if self.reference is None:
            return select(played.rewards, played.mask)
        ref_logprobs = evaluate_actions(self.reference, played.episodes()).logprobs
        return kl_shaped_rewards(played.rewards, played.logprobs, ref_logprobs, played.mask, beta=self.beta)


@dataclass(frozen=True)
class TrueValues:
    """Monte Carlo estimates for the states of played rows, all [B, T]; 0 where the mask is False."""

    values: Tensor  # V(s_t)
    errors: Tensor  # one standard error of each
    mask: Tensor  # bool: the states that were played on from
    advantages: Tensor  # A(s_t, a_t) of what was done
    advantage_errors: Tensor
    advantage_mask: Tensor  # bool: those of which both values are known


@torch.no_grad()
def true_values(
    env: Env,
    network: Network,
    played: Rollout,
    generator: torch.Generator,
    *,
    rewards: Rewards,
    samples: int = 64,
    where: Tensor | None = None,
    most_rows: int = 512,
) -> TrueValues:
    """Return what the states of played rows are worth to the policy, and with it what its actions were worth.

        V(s_t)      = mean over samples of Σ_k γ^k r_{t+k}          played on from s_t by the policy itself
        A(s_t, a_t) = r_t + γ V(s_{t+1}) − V(s_t)                   V(s_{t+1}) = 0 where the step terminated

    | symbol  | argument                                                                                    |
    | ------- | ------------------------------------------------------------------------------------------- |
    | s_t     | the cells of `where` [B, T] bool that are live in `played`; None: all live cells            |
    | r_t, γ  | `rewards`: what the critic is taught, so that the two can be compared                       |
    | samples | continuations of each state, >= 2: the standard error falls as their square root            |

    A continuation is a row like any other: one that is cut off is worth γ^L V(s_L) more, by the network's own critic,
    as is the last step of a cut row; at γ = 0.99 and L = 500 that is 0.7 % of V. Discarded continuations do not count.
    The environment is left as it was. `most_rows` are played at once, which changes memory and not what is estimated.

    Raises InvalidArgument for fewer than 2 samples, and what `restart` raises where a state cannot be gone back to.
    """
    check_count("samples", samples, 2)
    check_count("most_rows", most_rows, 1)
    where = played.mask if where is None else where
    check_shapes(mask=played.mask, where=where)
    values, errors = torch.zeros_like(played.rewards), torch.zeros_like(played.rewards)
    mask = torch.zeros_like(played.mask)
    cells = (where & played.mask).nonzero()  # [N, 2]
    left = played.mask.sum(dim=1)[cells[:, 0]] - cells[:, 1]
    cells = cells[left.argsort(stable=True)]  # states as far from their ends play on about as long
    for part in cells.split(max(1, most_rows // samples)):
        returns, counts = _play_on(env, network, played, part, samples, generator, rewards)  # [n, samples]
        count = counts.sum(dim=1)  # [n]
        mean = returns.sum(dim=1) / count.clamp(min=1)
        squares = select(returns - mean.unsqueeze(1), counts).square().sum(dim=1)
        place = tuple(part.unbind(dim=1))
        values[place] = select(mean, count > 1).to(values.dtype)
        errors[place] = (squares / (count * (count - 1)).clamp(min=1)).sqrt().to(errors.dtype)
        mask[place] = count > 1
    return _with_advantages(played, last_values(network, played), values, errors, mask, rewards)


def some_steps(mask: Tensor, most: int) -> Tensor:
    """Return the mask [B, T] of at most so many live steps of each row, evenly spread from its first to its last."""
    check_count("most", most, 2)
    lengths = mask.sum(dim=1, keepdim=True)  # [B, 1]
    number = mask.cumsum(dim=1) - 1  # [B, T]: which live step this is
    spread = (lengths - 1).clamp(min=most - 1)
    place, before = ((step * (most - 1)).div(spread, rounding_mode="floor") for step in (number, number - 1))
    return mask & (place > before)


def _play_on(
    env: Env,
    network: Network,
    played: Rollout,
    cells: Tensor,
    samples: int,
    generator: torch.Generator,
    rewards: Rewards,
) -> tuple[Tensor, Tensor]:
    """Return the discounted return of each continuation of each cell, and which of them count, both [n, samples]."""
    states = states_at(played, cells.repeat_interleave(samples, dim=0))
    onward = rollout(env.restart(states), network, generator, group_size=samples)
    paid = rewards.of(onward)
    # At λ = 1 the critic's target is the discounted return, with the value of what a cut row saw last.
    beyond = with_last(torch.zeros_like(paid), last_values(network, onward), onward.mask)
    _, returns = gae(paid, beyond, onward.terminated, onward.mask, gamma=rewards.gamma, lam=1.0)
    return returns[:, 0].view(-1, samples), onward.mask[:, 0].view(-1, samples)


def states_at(played: Episodes, cells: Tensor) -> Episodes:
    """Return one row for each cell (row, column) of `cells` [N, 2]: the played row up to what was seen there."""
    row, column = cells.unbind(dim=1)
    rows = Episodes(played.prompt, played.obs, played.actions, played.mask).rows(row)
    until = torch.arange(played.mask.shape[1], device=cells.device) <= column.unsqueeze(1)  # [N, T]
    return replace(rows, mask=rows.mask & until)


def _with_advantages(
    played: Rollout, last: Tensor, values: Tensor, errors: Tensor, mask: Tensor, rewards: Rewards
) -> TrueValues:
    """Return the estimates with the advantages of the steps whose two values are known, or which ended a row."""
    live = played.mask
    beyond = torch.zeros_like(live[:, :1])
    is_last = live & ~torch.cat([live[:, 1:], beyond], dim=1)
    known = mask & (is_last | torch.cat([mask[:, 1:], beyond], dim=1))
    all_seen = with_last(values, last, live)  # [B, T + 1]: what a cut row saw last has the critic's value
    # With the true V the one-step TD error is the true advantage of what was done, up to the chance of one transition.
    advantages, _ = gae(rewards.of(played), all_seen, played.terminated, live, gamma=rewards.gamma, lam=0.0)
    following = select(torch.cat([errors[:, 1:], torch.zeros_like(errors[:, :1])], dim=1), ~is_last)
    advantage_errors = (errors.square() + (rewards.gamma * following).square()).sqrt()
    return TrueValues(values, errors, mask, select(advantages, known), select(advantage_errors, known), known)
