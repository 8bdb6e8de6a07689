"""Playing: a network acts in an environment until every row has ended."""

from dataclasses import replace

import torch
from torch import Tensor

from rl_core.checks import check_shared_prompts
from rl_core.errors import InvalidArgument, check_count
from rl_core.evaluate import sample
from rl_core.interfaces import Env, Network, Scorer
from rl_core.masked import select
from rl_core.types import Rollout

LEAVE = 0.75  # ended rows leave the batch once so much of it, or less, still plays: to copy a memory costs time


@torch.no_grad()
def rollout(
    env: Env, network: Network, generator: torch.Generator, *, greedy: bool = False, group_size: int = 1
) -> Rollout:
    """Return one played row for each row of the environment, from its reset until it ends or is cut off.

    Rows that end early are padded: their mask is False, their later actions are ignored. The generator lives on the
    environment's device. `group_size` tells that so many rows in a row share a prompt, which is then read only once;
    raises InvalidArgument where they do not.
    """
    prompt, timestep = env.reset()
    check_shared_prompts(prompt, group_size)
    live = torch.ones_like(timestep.terminated)  # [B]
    valid = live  # [B]: not discarded
    read = torch.arange(len(live), device=live.device)  # the rows that the network still reads
    state = network.start(prompt.rows(slice(None, None, group_size)))
    state = network.select(state, read // group_size) if group_size > 1 else state
    seen, columns = [timestep.obs], []
    while live.any():
        stays = live[read]
        if stays.sum() <= LEAVE * len(read):
            read, state = read[stays], network.select(state, stays.nonzero().flatten())
        logits, state = network.step(seen[-1][read], state)
        sampled = sample(logits, generator, greedy=greedy)
        actions, logprobs = (_among(len(live), read, x) for x in sampled)
        timestep = env.step(actions)
        seen.append(timestep.obs)
        columns.append((actions, live, logprobs, timestep.reward, timestep.terminated & live))
        live = live & ~(timestep.terminated | timestep.truncated)
        valid = valid & ~timestep.discarded
    obs = torch.stack(seen, dim=1)  # [B, T + 1, *O]
    actions, mask, logprobs, rewards, terminated = (torch.stack(c, dim=1) for c in zip(*columns, strict=True))
    # What each row saw last stands in the column after its last step.
    last_obs = obs[torch.arange(len(mask), device=mask.device), mask.sum(dim=1)]
    mask = mask & valid.unsqueeze(1)
    return Rollout(prompt, obs[:, :-1], actions, mask, last_obs, logprobs, select(rewards, mask), terminated)


def _among(count: int, rows: Tensor, x: Tensor) -> Tensor:
    """Return numbers of some rows in their places among `count` rows, 0 in the others."""
    return x.new_zeros(count).index_copy(0, rows, x)


@torch.no_grad()
def relabel(played: Rollout, scorer: Scorer, *, micro_rows: int | None = None) -> Rollout:
    """Return the rollout with the scorer's rewards in place of the environment's.

    The rows are scored in one batch, or `micro_rows` at a time; a row in which nothing counts is not, and gets 0.
    Raises InvalidArgument when the scores are not one finite number per step.
    """
    if micro_rows is not None:
        check_count("micro_rows", micro_rows, 1)
    live = played.mask.any(dim=1)
    counted = played.episodes().rows(live)
    size = micro_rows or max(1, len(counted))
    parts = [scorer.score(counted.rows(slice(row, row + size))) for row in range(0, len(counted), size)]
    scores = torch.cat(parts).to(played.rewards.dtype) if parts else played.rewards[live]
    if scores.shape != counted.mask.shape or not select(scores, counted.mask).isfinite().all():
        raise InvalidArgument(
            f"scorer gave rewards of shape {tuple(scores.shape)}, finite: {bool(scores.isfinite().all())}; "
            f"return one finite number per step, shape {tuple(counted.mask.shape)}."
        )
    rewards = torch.zeros_like(played.rewards)
    rewards[live] = select(scores, counted.mask)
    return replace(played, rewards=rewards)


def best_of_n(played: Rollout, n: int) -> Rollout:
    """Return the row of the highest return of each n consecutive rows, which share a start; the first of equals.

    Discarded rows are chosen only where all n are discarded.
    Nothing is trained: this is what choosing alone is worth, at n times the price. The KL of what is chosen to the
    policy that played is at most log n − (n − 1)/n nats.
    """
    check_count("n", n, 1)
    if len(played) % n:
        raise InvalidArgument(f"rollout has {len(played)} rows, no multiple of n={n}; play groups of n.")
    returns = select(played.rewards, played.mask).sum(dim=1).masked_fill(~played.mask.any(dim=1), float("-inf"))
    best = returns.view(-1, n).argmax(dim=1)  # [B / n]
    return played.rows(best + n * torch.arange(len(best), device=best.device))
