"""The pairs of one turn: fresh ones of the world, or a learner's own from a file."""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from lessons.run import Run
from rl_core.errors import check_choice
from rl_core.types import Pairs


def pairs_of_turn(run: Run, writer: nn.Module) -> Pairs:
    """Return the pairs of a run's next turn, of the kinds that its settings name, on its device.

    Raises InvalidArgument for a kind that the world has not.
    """
    config = run.config
    if config.preferences is not None:
        return run.world.read_preferences(Path(config.preferences)).to(run.device)
    kinds = run.world.preferences(writer, config.starts, seed=run.fresh_seed(), noise=config.noise, device=run.device)
    return of_kinds(run, kinds)


def of_kinds(run: Run, kinds: Mapping[str, Pairs]) -> Pairs:
    """Return the pairs of the kinds that a run's settings name, or of all; InvalidArgument for an unknown kind."""
    for kind in run.config.kinds:
        check_choice("kinds", kind, kinds)
    return Pairs.joined([kinds[kind] for kind in run.config.kinds or kinds])
