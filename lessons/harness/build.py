"""What a run is made of, each part built from the run's settings, and what is checked before."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from lessons.harness.settings import PlaySettings, Settings
from lessons.worlds import World
from rl_core.errors import InvalidArgument, check_choice
from rl_core.interfaces import Env


def frozen(world: World, start: str, *, seed: int, device: str) -> nn.Module:
    """Return the policy that starts there, as one that will not change."""
    if start == "reference":
        return world.reference(device)
    return world.network(start, seed=seed, device=device, critic=False).requires_grad_(False)


def check_data(world: World, config: Any, *, same_start: bool) -> None:
    """Nothing; an error for kinds of pairs that cannot be used, and for a broken file of pairs.

    `same_start` tells that the two episodes of a pair must have begun alike.
    """
    kinds = getattr(config, "kinds", ())
    for kind in kinds:
        check_choice("kinds", kind, world.kinds)
    apart = [kind for kind in kinds or world.kinds if kind not in world.same_start]
    if same_start and apart:
        raise InvalidArgument(
            f"kinds={kinds!r} has {apart[0]}, whose two episodes begin apart, and here they must have one start; "
            f"pass {' '.join(world.same_start)}."
        )
    if getattr(config, "preferences", None) is not None:
        world.read_preferences(Path(config.preferences))


def env_of(world: World, config: Settings, seed: int, device: str) -> Env | None:
    """Return the environment of a lesson that plays, with the groups that its update compares."""
    if not isinstance(config, PlaySettings):
        return None
    group_size = getattr(config.update, "group_size", None)
    return world.env(
        rows=config.rows,
        steps=config.steps,
        seed=seed,
        device=device,
        group_size=group_size or 1,
        whole=group_size is not None,
    )


def scorer_of(world: World, config: Any, seed: int, device: str, *, learns: bool) -> nn.Module | None:
    """Return the reward model that is trained, or a trained one that rewards, or none."""
    if learns:
        return world.scorer(config.start, seed=seed, device=device)
    saved = getattr(config, "scorer", None)
    return None if saved is None else saved_scorer(world, saved, device)


def saved_scorer(world: World, folder: str, device: str) -> nn.Module:
    """Return the reward model in a folder, frozen; InvalidArgument where none was saved.

    A fresh one would reward everything alike, and nothing would be learnt, without a word.
    """
    if not world.holds_scorer(Path(folder)):
        raise InvalidArgument(
            f"scorer={folder!r} holds no reward model; pass a folder that lessons.reward_model saved."
        )
    return world.scorer(folder, seed=0, device=device).requires_grad_(False)


def schedule_of(optimizer: torch.optim.Optimizer, config: Settings) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the learning rate's way, a move a turn, or a pass."""
    if config.schedule == "constant" or not config.learning_rate:
        return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    if config.schedule == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=config.passes_in_all + 1, pct_start=0.1, cycle_momentum=False
        )
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, config.passes_in_all)
