"""The critic beside the truth: what it says of a state, and what playing on from there many times is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lessons.harness.report.numbers import signed
from lessons.harness.report.style import COLOURS, EDGE, INK, plain
from lessons.harness.run import Run
from rl_core.interfaces import Env
from rl_core.true_values import Rewards, TrueValues, true_values
from rl_core.types import Rollout, ValuedBatch

TOLD, LAST = 2, 8  # rows of a page whose last steps are all looked at, and how many of them
EARLIER = 4  # rows of an earlier policy, of which every other one of the last steps is looked at
HEAD = ("critic's V", "true V", "true advantage")
PLACES = {"where the policy goes now": "", "where the one before training went": "white"}  # with the fill of the dots
Beside = tuple[str, str, str]


@dataclass(frozen=True)
class Calibration:
    """What the critic says of some states beside what they are worth, each [N]."""

    values: Tensor
    true: Tensor
    errors: Tensor  # standard errors of the true values

    @classmethod
    def of(cls, batch: ValuedBatch, truth: TrueValues) -> Self:
        """Return that of the states whose true values are known."""
        return cls(batch.values[truth.mask], truth.values[truth.mask], truth.errors[truth.mask])


def truth_of(run: Run, env: Env, played: Rollout, where: Tensor, *, seed: int) -> TrueValues | None:
    """Return the true values of the states in `where` [B, T]; None where no critic has learned anything yet."""
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
        where=where,
    )


def last_steps(mask: Tensor, *, rows: int = TOLD, every: int = 1) -> Tensor:
    """Return the mask [B, T] of the last live steps of the first rows, or of every so many of them."""
    row = torch.arange(len(mask), device=mask.device).unsqueeze(1)
    left = mask.sum(dim=1, keepdim=True) - mask.cumsum(dim=1)  # [B, T]: live steps that follow
    return mask & (row < rows) & (left < LAST) & (left % every == 0)


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


def draw_calibration(looks: Sequence[tuple[str, Sequence[Calibration]]], path: Path) -> None:
    """Write the picture of the critic against the truth, a dot a state; none where no critic was looked at.

    Of each world its title and what was seen of its critic: where the policy goes now, and where an earlier one went.
    """
    if not any(calibrations for _, calibrations in looks):
        return
    figure = Figure(figsize=(4.6 * len(looks), 4.6), dpi=110, layout="constrained")
    for place, (title, calibrations) in enumerate(looks):
        axes = figure.add_subplot(1, len(looks), place + 1)
        axes.set_title(title, color=INK, fontsize=12, loc="left", weight="bold")
        if not calibrations:
            axes.axis("off")
            continue
        draw_dots(axes, calibrations, COLOURS[place % len(COLOURS)])
    figure.savefig(path)


def draw_dots(axes: Axes, calibrations: Sequence[Calibration], colour: str) -> None:
    """Draw the critic's values against the true ones with their standard errors, and the line on which both agree."""
    ends = torch.cat([x for calibration in calibrations for x in (calibration.values, calibration.true)])
    margin = 0.06 * (ends.max() - ends.min()).item() + 1e-3
    low, high = ends.min().item() - margin, ends.max().item() + margin
    axes.plot([low, high], [low, high], color=EDGE, lw=1.2, zorder=1)
    for seen, (label, face) in zip(calibrations, PLACES.items(), strict=False):
        axes.errorbar(
            seen.true,
            seen.values,
            xerr=seen.errors,
            label=f"{label}\n{verdict(seen.values, seen.true)}",
            fmt="o",
            ms=5,
            color=colour,
            markerfacecolor=face or colour,
            elinewidth=0.8,
            alpha=0.7,
        )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("true value, by playing on", color=INK, fontsize=8)
    axes.set_ylabel("value by the critic", color=INK, fontsize=8)
    axes.legend(frameon=False, fontsize=7, labelcolor=INK, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    plain(axes)


def verdict(values: Tensor, true: Tensor) -> str:
    """Return in a few words how far the critic is from the truth, in units of reward."""
    apart = (values - true).double()
    words = f"critic − truth: mean {signed(apart.mean().item())}, mean size {apart.abs().mean():.2f}"
    if values.std() > 0 and true.std() > 0:
        both: Any = torch.stack([values.double(), true.double()])
        words += f", correlation {signed(torch.corrcoef(both)[0, 1].item())}"
    return words
