"""Two hand-written drivers: one who knows how, and a mediocre one to imitate."""

from typing import Any

import torch
from torch import Tensor

from rl_core.types import Output, Prompt


class Driver:
    """A policy without parameters: pushes to the side of a weighted sum, with some random pushes."""

    memoryless = True

    def __init__(self, weights: tuple[float, float, float, float], *, random_pushes: float) -> None:
        """Build the driver; weights are for position, velocity, angle and angular velocity."""
        self.weights, self.random_pushes = weights, random_pushes

    def start(self, prompt: Prompt) -> Any:
        """Return the memory of a driver who has none."""
        return ()

    def select(self, state: Any, rows: Tensor) -> Any:
        """Return the memory of a driver who has none."""
        return state

    def step(self, obs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the logits for one observation per row."""
        leans_right = (obs @ obs.new_tensor(self.weights) > 0).float()
        # A random push goes the intended way half of the time.
        right = leans_right * (1 - self.random_pushes) + self.random_pushes / 2
        return torch.stack([1 - right, right], dim=-1).log(), ()

    def __call__(self, prompt: Prompt, obs: Tensor) -> Output:
        """Return the logits of whole rows; a driver expects nothing."""
        logits, _ = self.step(obs, ())
        return Output(logits, torch.zeros_like(logits[..., 0]))


EXPERT = Driver((0.05, 0.3, 1.0, 0.5), random_pushes=0.0)
"""Weighs all four numbers: where the pole is going matters as much as where it is."""

MEDIOCRE = Driver((0.0, 0.0, 1.0, 0.0), random_pushes=0.3)
"""Pushes to the side the pole leans, blind to every speed, with 30 % random pushes."""
