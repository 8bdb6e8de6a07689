"""Perceptrons over observations: a policy with its critic, and a scorer of what was done."""

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from rl_core.errors import InvalidArgument, check_count, check_positive
from rl_core.masked import select
from rl_core.types import Episodes, Output, Prompt


class MLPNetwork(nn.Module):
    """A policy and a critic, two perceptrons side by side, that answer each observation on its own."""

    memoryless = True

    def __init__(
        self,
        obs_shape: tuple[int, ...],
        obs_count: int | None,
        action_count: int,
        *,
        hidden: int = 64,
        critic: bool = True,
        value_scale: float = 1.0,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build both; `obs_count` is None for real observations of `obs_shape`, else they are integers below it.

        `value_scale` is about the size of a return: the critic's last layer says 1 for so much. A critic that must say
        100 with weights of 1 gets there soonest by saturating its units, and then says 100 of every state.
        """
        super().__init__()
        check_positive("temperature", temperature)
        check_positive("value_scale", value_scale)
        self.obs_shape, self.obs_count, self.temperature = obs_shape, obs_count, temperature
        self.value_scale = value_scale
        width = int(np.prod(obs_shape)) if obs_count is None else obs_count
        self.policy = _perceptron(width, hidden, action_count, 0.01, generator)
        self.critic = _perceptron(width, hidden, 1, 1.0, generator) if critic else None

    @classmethod
    def for_env(cls, env: Any, **options: Any) -> Self:
        """Return a network that fits a `GymEnv`; options as in the constructor."""
        return cls(env.obs_shape, env.obs_count, env.action_count, **options).to(env.device)

    def critic_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that only the values depend on; none without a critic."""
        return [] if self.critic is None else list(self.critic.parameters())

    def start(self, prompt: Prompt) -> tuple[()]:
        """Return the memory of a network that has none."""
        return ()

    def select(self, state: tuple[()], rows: Tensor) -> tuple[()]:
        """Return the memory of a network that has none."""
        return state

    def step(self, obs: Tensor, state: tuple[()]) -> tuple[Tensor, tuple[()]]:
        """Return the logits for one observation per row."""
        return self.policy(self._features(obs)) / self.temperature, ()

    def forward(self, prompt: Prompt, obs: Tensor) -> Output:
        """Return logits and values of whole rows [B, T, *O]."""
        x = self._features(obs)
        logits = self.policy(x) / self.temperature
        if self.critic is None:
            return Output(logits, logits.new_zeros(logits.shape[:-1]))
        return Output(logits, self.value_scale * self.critic(x).squeeze(-1))

    def _features(self, obs: Tensor) -> Tensor:
        return _features(obs, self.obs_shape, self.obs_count, next(self.parameters()).dtype)


class MLPScorer(nn.Module):
    """A reward for each step from what was seen and done in it: the reward model of a world without words."""

    def __init__(
        self,
        obs_shape: tuple[int, ...],
        obs_count: int | None,
        action_count: int,
        *,
        hidden: int = 64,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build it; it says 0 until it has learnt something. Arguments as those of `MLPNetwork`."""
        super().__init__()
        self.obs_shape, self.obs_count, self.action_count = obs_shape, obs_count, action_count
        width = int(np.prod(obs_shape)) if obs_count is None else obs_count
        self.reward = _perceptron(width + action_count, hidden, 1, 0.0, generator)

    @classmethod
    def for_env(cls, env: Any, **options: Any) -> Self:
        """Return a scorer that fits a `GymEnv`; options as in the constructor."""
        return cls(env.obs_shape, env.obs_count, env.action_count, **options).to(env.device)

    def score(self, episodes: Episodes) -> Tensor:
        """Return the reward of each step, [B, T], with gradient; 0 where the mask is False."""
        dtype = next(self.parameters()).dtype
        if (episodes.actions >= self.action_count).any():
            raise InvalidArgument(
                f"actions up to {int(episodes.actions.max())} exceed the {self.action_count} of this scorer; build it "
                "for this environment, as MLPScorer.for_env(env) does."
            )
        seen = _features(episodes.obs, self.obs_shape, self.obs_count, dtype)
        done = nn.functional.one_hot(episodes.actions, self.action_count).to(dtype)
        return select(self.reward(torch.cat([seen, done], dim=-1)).squeeze(-1), episodes.mask)

    forward = score

    @torch.no_grad()
    def scale_by(self, factor: float) -> None:
        """Make all rewards so many times as large from now on."""
        for parameter in self.reward[-1].parameters():
            parameter.mul_(factor)


def _features(obs: Tensor, shape: tuple[int, ...], count: int | None, dtype: torch.dtype) -> Tensor:
    """Return observations [..., *O] as vectors: flat numbers, or one-hot where there are `count` of them.

    Raises InvalidArgument for observations that another environment gave.
    """
    fits = obs.shape[obs.dim() - len(shape) :] == shape and obs.is_floating_point() == (count is None)
    if not fits or (count is not None and obs.numel() and not 0 <= int(obs.min()) <= int(obs.max()) < count):
        expected = f"numbers of shape {shape}" if count is None else f"integers from 0 to {count - 1}"
        raise InvalidArgument(
            f"obs of shape {tuple(obs.shape)} and {obs.dtype} are no {expected}; build the network for this "
            "environment, as MLPNetwork.for_env(env) does."
        )
    if count is not None:
        return nn.functional.one_hot(obs, count).to(dtype)
    return obs.reshape(*obs.shape[: obs.dim() - len(shape)], -1).to(dtype)


def _perceptron(width: int, hidden: int, out: int, gain: float, generator: torch.Generator | None) -> nn.Sequential:
    """Return a tanh perceptron of two hidden layers, orthogonal, whose last layer starts with the given gain."""
    check_count("hidden", hidden, 1)
    layers = [nn.Linear(width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, out)]
    for layer, size in zip(layers, (2**0.5, 2**0.5, gain), strict=True):
        nn.init.orthogonal_(layer.weight, size, generator=generator)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
