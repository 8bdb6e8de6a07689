"""Playing: a network acts in an environment until every row has ended."""

from dataclasses import replace

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument
from rl_core.evaluate import sample
from rl_core.interfaces import Env, Network, Scorer
from rl_core.masked import keep
from rl_core.types import Rollout


@torch.no_grad()
def rollout(env: Env, network: Network, generator: torch.Generator, *, greedy: bool = False) -> Rollout:
    """Return one played row for each row of the environment, from its reset until all have ended.

    Rows that end early are padded: their mask is False, their later actions go nowhere. The generator lives on the
    environment's device.
    """
    prompt, seen = env.reset()
    state = network.start(prompt)
    live = torch.ones_like(seen.terminated)  # [B]
    usable = live
    columns: list[tuple[Tensor, ...]] = []
    while live.any():
        output, state = network.step(seen.obs, state)
        actions, logprobs = sample(output.logits, generator, greedy=greedy)
        obs, seen = seen.obs, env.step(actions)
        columns.append((obs, actions, live, logprobs, output.value, seen.reward, seen.terminated & live))
        live = live & ~(seen.terminated | seen.truncated)
        usable = usable & ~seen.discarded
    last_value = network.step(seen.obs, state)[0].value
    obs, actions, mask, logprobs, values, rewards, terminated = (
        torch.stack(c, dim=1) for c in zip(*columns, strict=True)
    )
    mask = mask & usable.unsqueeze(1)
    values = torch.cat([values, last_value.unsqueeze(1)], dim=1)  # [B, T + 1]
    return Rollout(prompt, obs, actions, mask, logprobs, values, keep(rewards, mask), terminated)


def relabel(played: Rollout, scorer: Scorer) -> Rollout:
    """Return the rollout with the scorer's rewards in place of the environment's.

    Raises InvalidArgument when the scores are not one finite number per step.
    """
    rewards = scorer.score(played.episodes())
    if rewards.shape != played.rewards.shape or not keep(rewards, played.mask).isfinite().all():
        raise InvalidArgument(
            f"scorer gave rewards of shape {tuple(rewards.shape)}, finite: {bool(rewards.isfinite().all())}; "
            f"return one finite number per step, shape {tuple(played.rewards.shape)}."
        )
    return replace(played, rewards=keep(rewards.detach(), played.mask))
