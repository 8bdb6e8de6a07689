"""What a run is made of, each part built from the run's settings, and what is checked before."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from lessons.harness.play_settings import PlaySettings, PPOSettings
from lessons.harness.settings import PairSettings, Settings
from lessons.worlds import World
from lessons.worlds.learners import Learner, Policy, RewardModel
from rl_core.errors import InvalidArgument, check_choice
from rl_core.interfaces import Env


def frozen(world: World, start: str, *, seed: int, device: str) -> Policy:
    """Return the policy that starts there, as one that will not change."""
    if start == "reference":
        return world.reference(device)
    return world.network(start, seed=seed, device=device, critic=False).requires_grad_(False)


def check_data(world: World, config: Settings, *, same_start: bool) -> None:
    """Raise InvalidArgument for kinds of pairs that cannot be used, and for a broken file of pairs.

    `same_start` tells that the two episodes of a pair must have begun alike.
    """
    if not isinstance(config, PairSettings):
        return
    for kind in config.kinds:
        check_choice("kinds", kind, world.kinds)
    apart = [kind for kind in config.kinds or world.kinds if kind not in world.same_start]
    if same_start and apart:
        raise InvalidArgument(
            f"kinds={config.kinds!r} has {apart[0]}, whose two episodes begin apart, and here they must have one "
            f"start; pass {' '.join(world.same_start)}."
        )
    if config.preferences is not None:
        world.read_preferences(Path(config.preferences))


def env_of(world: World, config: Settings, seed: int, device: str) -> Env | None:
    """Return the environment of a recipe that plays, with the groups that its update compares."""
    if not isinstance(config, PlaySettings):
        return None
    return world.env(
        rows=config.rows,
        steps=config.steps,
        seed=seed,
        device=device,
        group_size=config.group_size or 1,
        whole=config.group_size is not None,
    )


def scorer_of(world: World, config: Settings, seed: int, device: str, *, is_trained: bool) -> RewardModel | None:
    """Return the reward model that is trained, or a trained one that rewards, or none."""
    if is_trained:
        return world.scorer(config.start, seed=seed, device=device)
    if not isinstance(config, PlaySettings) or config.scorer is None:
        return None
    return saved_scorer(world, config.scorer, device)


def saved_scorer(world: World, folder: str, device: str) -> RewardModel:
    """Return the reward model in a folder, frozen; InvalidArgument where none was saved.

    A fresh one would reward everything alike, and nothing would be learned, without a word.
    """
    if not world.holds_scorer(Path(folder)):
        raise InvalidArgument(
            f"scorer={folder!r} holds no reward model; pass a folder that lessons.reward_model saved."
        )
    return world.scorer(folder, seed=0, device=device).requires_grad_(False)


def optimizer_of(learner: Learner, config: Settings) -> torch.optim.Optimizer:
    """Return Adam over all that can learn."""
    return torch.optim.Adam(trainable(learner.parameters()), lr=config.learning_rate, eps=config.adam_eps, fused=True)


def two_rates(network: Policy, config: PPOSettings) -> torch.optim.Optimizer:
    """Return Adam over a policy, first, and its critic, second, each at its own rate."""
    critic = trainable(network.critic_parameters())
    policy = [parameter for parameter in trainable(network.parameters()) if all(parameter is not p for p in critic)]
    groups = [
        {"params": policy, "lr": config.learning_rate},
        {"params": critic, "lr": config.critic_learning_rate},
    ]
    return torch.optim.Adam(groups, eps=config.adam_eps, fused=True)


def trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Return those that are not frozen."""
    return [parameter for parameter in parameters if parameter.requires_grad]


def schedule_of(optimizer: torch.optim.Optimizer, config: Settings) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the schedule of the learning rates, which moves once an iteration, or once a pass."""
    if config.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    if config.schedule == "one_cycle":
        return one_cycle(optimizer, config.learning_rate, config.passes_in_all, climb=0.1)
    # A warm-up spends nothing of the way down.
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda move: 1 - max(0, move - config.passes_before) / config.passes_in_all
    )


def one_cycle(
    optimizer: torch.optim.Optimizer, highest: float, moves: int, *, climb: float
) -> torch.optim.lr_scheduler.OneCycleLR:
    """Return a learning rate that climbs for a share of its moves and comes down as a cosine."""
    total = moves + 1
    if climb * total == 1:  # torch divides by the climb's width, climb * total - 1 moves; then begin at the top
        climb *= 1 - 1e-6
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, highest, total_steps=total, pct_start=climb, cycle_momentum=False
    )
