"""A run under way: its parts, what it has seen so far, and its checkpoint."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lessons.settings import PPORun
from lessons.worlds import World, load
from rl_core import checkpoint
from rl_core.interfaces import Env
from rl_core.types import Metrics

RECENT = 100  # finished episodes that the running means look back on

Record = dict[str, float | int | str | None]


@dataclass
class Run:
    """All that decides how a run goes on, and nothing else."""

    world: World
    config: PPORun
    seed: int
    device: str
    network: nn.Module
    reference: nn.Module | None
    env: Env
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    iteration: int = 0
    steps: int = 0
    seconds: float = 0.0
    recent: list[tuple[float, int]] = field(default_factory=list)
    probed_at: int = 0
    solved_at: tuple[int, float] | None = None

    @classmethod
    def start(cls, world: str, config: PPORun, *, seed: int, device: str) -> "Run":
        """Return a run that has not begun."""
        place = load(world)
        network = place.network(config.start, seed=seed, device=device)
        # From scratch there is nothing to stay close to.
        reference = place.reference(device) if config.start == "reference" else None
        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
        return cls(
            world=place,
            config=config,
            seed=seed,
            device=device,
            network=network,
            reference=reference,
            env=place.env(rows=config.rows, steps=config.steps, seed=seed, device=device),
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, config.iterations),
            generator=torch.Generator(device).manual_seed(seed),
        )

    def record(self, metrics: Metrics, seconds: float) -> Record:
        """Return one iteration's record, in the same words in both worlds, and count it."""
        self.iteration += 1
        self.steps += int(metrics["steps"])
        self.seconds += seconds
        self.recent = (self.recent + self.env.finished())[-RECENT:]
        count = len(self.recent)
        mean_length = sum(length for _, length in self.recent) / count if count else None
        return metrics | {
            "world": self.world.name,
            "iteration": self.iteration,
            "steps": self.steps,
            "seconds": self.seconds,
            "return": sum(value for value, _ in self.recent) / count if count else None,
            "length": mean_length,
            "kl_per_episode": metrics["kl"] * mean_length if mean_length is not None else None,
            "steps_per_second": metrics["steps"] / seconds,
        }

    def probe(self, *, seed: int) -> dict[str, float]:
        """Return a quick look at the truth when one is due, else nothing; its time is not the run's."""
        if self.steps - self.probed_at < self.config.probe_every:
            return {}
        self.probed_at += self.config.probe_every * ((self.steps - self.probed_at) // self.config.probe_every)
        gold = self.world.probe(self.network, seed=seed, device=self.device)
        if self.solved_at is None and self.world.solved(gold):
            self.solved_at = (self.steps, self.seconds)
        return gold

    def save(self, path: Path, algorithm: str) -> None:
        """Write all parts and counters to a checkpoint."""
        checkpoint.save(path, self._parts(), self._about(algorithm) | self._counters())

    def load(self, path: Path, algorithm: str) -> None:
        """Go back to a checkpoint of a run like this one."""
        found = checkpoint.load(path, self._parts(), self._about(algorithm))
        for name in self._counters():
            setattr(self, name, found[name])

    def _parts(self) -> dict[str, Any]:
        names = ("network", "env", "optimizer", "schedule", "generator")
        return {name: getattr(self, name) for name in names}

    def _about(self, algorithm: str) -> dict[str, Any]:
        return {"algorithm": algorithm, "world": self.world.name, "seed": self.seed, "config": asdict(self.config)}

    def _counters(self) -> dict[str, Any]:
        names = ("iteration", "steps", "seconds", "recent", "probed_at", "solved_at")
        return {name: getattr(self, name) for name in names}


Trainer = Callable[[Run], Iterator[Record]]
