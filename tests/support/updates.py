"""The six updates with one face, for tests of what must hold of each of them in every world."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

import rl_core
from rl_core.algorithms.dpo import DPOConfig, dpo
from rl_core.algorithms.grpo import GRPOConfig, grpo
from rl_core.algorithms.ppo import PPOConfig, ppo
from rl_core.algorithms.reinforce import ReinforceConfig, reinforce
from rl_core.algorithms.reward_model import RewardModelConfig, reward_model
from rl_core.algorithms.sft import SFTConfig, sft
from rl_core.pairs import Pairs
from rl_core.rollout import relabel, rollout
from rl_core.types import Prompt, Rollout
from tests.support.worlds import seeded

CORE = Path(rl_core.__file__).parent


def played_in(world, device="cpu", dtype=torch.float64, rows=10, **options):
    """Return what the world's network played, in groups of two, and a scorer judged: no two rows are worth the same."""
    network, env = world.network(device=device, dtype=dtype), world.env(rows, device=device, group_size=2, **options)
    played = relabel(rollout(env, network, seeded(3, device)), world.scorer(seed=4, device=device, dtype=dtype))
    return replace(played, rewards=played.rewards.to(dtype))


def pairs_in(played):
    """Return the first row of each two as the chosen one, the second as the rejected."""
    return Pairs(played.episodes().rows(slice(0, None, 2)), played.episodes().rows(slice(1, None, 2)))


def fitting(config, network):
    """Return the config as it fits the network: PPO's does not train a critic that is not there."""
    heads = [getattr(network, name) for name in ("critic", "value_head") if hasattr(network, name)]
    return replace(config, value_weight=0.0) if isinstance(config, PPOConfig) and heads == [None] else config


@dataclass(frozen=True)
class Update:
    """One algorithm: its update, its config, and what it learns from."""

    run: Callable[..., Any]
    config: Any
    data_of: Callable[[Rollout], Any]
    has_reference: bool = True

    @property
    def learns_a_scorer(self):
        """Return whether what learns is the world's scorer, and not its network."""
        return self.run is reward_model

    def learner(self, world, **options):
        """Return what learns, fresh."""
        return (world.scorer if self.learns_a_scorer else world.network)(**options)

    def arguments(self, learner, reference, optimizer, played, generator, **options):
        """Return what one update on what was played is called with; options change the config."""
        references = [reference] if self.has_reference else []
        config = replace(fitting(self.config, learner), **options)
        return learner, *references, optimizer, self.data_of(played), config, generator

    def once(self, *parts, **options):
        """Return the metrics of one update."""
        return self.run(*self.arguments(*parts, **options))


free = {"max_grad_norm": None}
UPDATES = {
    "sft": Update(sft, SFTConfig(minibatch_rows=6, **free), Rollout.episodes, False),
    "reward model": Update(reward_model, RewardModelConfig(minibatch_rows=4, **free), pairs_in, False),
    "dpo": Update(dpo, DPOConfig(minibatch_rows=4, **free), pairs_in),
    "ppo": Update(ppo, PPOConfig(beta=0.1, entropy_weight=0.01, epochs=2, minibatches=2, **free), lambda x: x),
    "grpo": Update(grpo, GRPOConfig(group_size=2, beta=0.1, epochs=2, minibatches=2, **free), lambda x: x),
    "reinforce": Update(reinforce, ReinforceConfig(group_size=2, beta=0.1, **free), lambda x: x),
}


def descend(learner, rate=0.05):
    """Return an optimizer whose step is the gradient itself."""
    return torch.optim.SGD(learner.parameters(), lr=rate)


def weights(module):
    """Return all parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


@cache
def is_core(code):
    """Return whether some code is the core's, adapters aside."""
    path = Path(code.co_filename)
    return path.is_relative_to(CORE) and "adapters" not in path.parts


def core_functions_run_by(play):
    """Return the functions of the core that the core, or a lesson, calls while `play`, a partial, runs."""
    names = set()

    def listen(frame, event, _):
        if event != "call" or not is_core(frame.f_code):
            return
        caller = frame.f_back
        while caller is not None and "torch" in caller.f_code.co_filename:
            caller = caller.f_back  # a decorator stands in between
        lesson = caller is not None and caller.f_code is play.func.__code__
        if lesson or (caller is not None and is_core(caller.f_code) and caller.f_code.co_name != "as_steps"):
            names.add(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}")

    sys.setprofile(listen)
    try:
        play()
    finally:
        sys.setprofile(None)
    return names


def padded(played, columns=2):
    """Return a rollout with so many more columns that do not count: behind every row, and before every prompt."""
    more = {
        "obs": played.obs[:, :1].expand_as(played.obs[:, :1].repeat_interleave(columns, dim=1)),
        "actions": torch.ones_like(played.actions[:, :1]).expand(-1, columns),
        "mask": torch.zeros_like(played.mask[:, :1]).expand(-1, columns),
        "logprobs": torch.full_like(played.logprobs[:, :1], 1e4).expand(-1, columns),
        "rewards": (1e3 * torch.arange(len(played)).to(played.rewards))[:, None].expand(-1, columns),
        "terminated": torch.zeros_like(played.mask[:, :1]).expand(-1, columns),
    }
    front = torch.zeros(len(played), columns, dtype=torch.int64, device=played.mask.device)
    prompt = Prompt(
        torch.cat([front, played.prompt.tokens], dim=1), torch.cat([front.bool(), played.prompt.mask], dim=1)
    )
    rows = {name: torch.cat([getattr(played, name), extra], dim=1) for name, extra in more.items()}
    return Rollout(prompt, last_obs=played.last_obs, **rows)
