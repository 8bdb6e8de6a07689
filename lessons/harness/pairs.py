"""The pairs of one turn: fresh ones of the world, or a learner's own from a file."""

from collections.abc import Mapping
from pathlib import Path

from lessons.harness.run import Run
from lessons.worlds.learners import Policy
from rl_core.errors import InvalidArgument
from rl_core.pairs import Pairs


def pairs_of_turn(run: Run, writer: Policy, *, needed: bool = False) -> Pairs:
    """Return the pairs of a run's next turn, of the kinds that its settings name, on its device.

    There may be none, where all episodes were equally good; where one is needed, InvalidArgument.
    """
    config = run.config
    if config.preferences is not None:
        return run.world.read_preferences(Path(config.preferences)).to(run.device)
    kinds = run.world.preferences(writer, config.starts, seed=run.fresh_seed(), noise=config.noise, device=run.device)
    pairs = of_kinds(run, kinds)
    if needed and not len(pairs):
        raise InvalidArgument(
            f"starts={config.starts} gave no pair in iteration {run.iteration + 1}: all episodes were equally good or "
            "equally bad, or too short for a clip; pass more starts, all kinds, or a start that sometimes succeeds."
        )
    return pairs


def of_kinds(run: Run, kinds: Mapping[str, Pairs]) -> Pairs:
    """Return the pairs of the kinds that a run's settings name, or of all."""
    return Pairs.joined([kinds[kind] for kind in run.config.kinds or kinds])
