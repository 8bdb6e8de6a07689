"""The critic beside the truth: what it says of a state, and what playing on from there many times is worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lessons.harness.report.numbers import signed
from lessons.harness.report.style import COLOURS, EDGE, INK, PALE
from lessons.harness.run import Run
from rl_core.interfaces import Env
from rl_core.true_values import Rewards, TrueValues, some_steps, true_values
from rl_core.types import Rollout, ValuedBatch

TOLD, LAST = 2, 8  # rows of which the last steps are all looked at, and how many of them
ROWS, SPREAD = 6, 2  # rows of which some states are looked at, and how many: the first and the last
HEAD = ("critic's V", "true V", "true advantage")
Beside = tuple[str, str, str]


def truth_of(run: Run, env: Env, played: Rollout, *, seed: int) -> TrueValues | None:
    """Return the true values of some states of a run's rows; None where no critic has learned anything yet."""
    if not (run.recipe.needs_critic and run.iteration and run.config.replays):
        return None
    update = run.config.update
    return true_values(
        env,
        run.network,
        played,
        torch.Generator(run.device).manual_seed(seed),
        rewards=Rewards(update.gamma, run.scorer, run.reference, update.beta),
        samples=run.config.replays,
        where=states_to_try(played.mask),
    )


def states_to_try(mask: Tensor) -> Tensor:
    """Return the mask [B, T] of the last live steps of the rows that a page shows, and of some states of a few more."""
    row = torch.arange(len(mask), device=mask.device).unsqueeze(1)
    left = mask.sum(dim=1, keepdim=True) - mask.cumsum(dim=1)  # [B, T]: live steps that follow
    return mask & (row < TOLD) & (left < LAST) | some_steps(mask, SPREAD) & (row < ROWS)


def beside(batch: ValuedBatch, truth: TrueValues, row: int) -> list[Beside]:
    """Return the critic's value, the true one and the true advantage of each live step, as `HEAD`; "" if unknown."""
    lines: list[Beside] = []
    for step in batch.mask[row].nonzero().flatten().tolist():
        value = plus_minus(truth.values[row, step], truth.errors[row, step]) if truth.mask[row, step] else ""
        advantage = (
            plus_minus(truth.advantages[row, step], truth.advantage_errors[row, step])
            if truth.advantage_mask[row, step]
            else ""
        )
        lines.append((signed(batch.values[row, step].item()), value, advantage))
    return lines


def plus_minus(estimate: Tensor, error: Tensor) -> str:
    """Return an estimate with its standard error."""
    return f"{signed(estimate.item())} ± {error.item():.2f}"


def draw_calibration(looks: Sequence[tuple[str, ValuedBatch, TrueValues | None]], path: Path) -> None:
    """Write the picture of the critic against the truth, a dot a state; none where no critic was looked at.

    Of each world: its title, its rows with the critic's values, and their true ones.
    """
    if all(truth is None for _, _, truth in looks):
        return
    figure = Figure(figsize=(4.6 * len(looks), 4.4), dpi=110, layout="constrained")
    for place, (title, batch, truth) in enumerate(looks):
        axes = figure.add_subplot(1, len(looks), place + 1)
        axes.set_title(title, color=INK, fontsize=12, loc="left", weight="bold")
        if truth is None:
            axes.axis("off")
            continue
        mask = truth.mask
        draw_dots(axes, batch.values[mask], truth.values[mask], truth.errors[mask], COLOURS[place % len(COLOURS)])
    figure.savefig(path)


def draw_dots(axes: Axes, values: Tensor, true: Tensor, errors: Tensor, colour: str) -> None:
    """Draw the critic's values against the true ones with their standard errors, and the line on which both agree."""
    ends = torch.cat([values, true])
    margin = 0.06 * (ends.max() - ends.min()).item() + 1e-3
    low, high = ends.min().item() - margin, ends.max().item() + margin
    axes.plot([low, high], [low, high], color=EDGE, lw=1.2, zorder=1)
    axes.errorbar(true, values, xerr=errors, fmt="o", ms=4, color=colour, ecolor=colour, elinewidth=0.8, alpha=0.6)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel(f"true value, by playing on\n{verdict(values, true)}", color=INK, fontsize=8)
    axes.set_ylabel("value by the critic", color=INK, fontsize=8)
    axes.grid(color=PALE, lw=0.8)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def verdict(values: Tensor, true: Tensor) -> str:
    """Return in a few words how far the critic is from the truth, in units of reward."""
    apart = (values - true).double()
    words = f"critic − truth: mean {signed(apart.mean().item())}, mean size {apart.abs().mean():.2f}"
    if values.std() > 0 and true.std() > 0:
        both: Any = torch.stack([values.double(), true.double()])
        words += f", correlation {signed(torch.corrcoef(both)[0, 1].item())}"
    return words
