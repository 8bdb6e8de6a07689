"""Pictures that several lessons draw: the loop, and a row under the credit microscope; alike for both worlds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import cos, sin

import torch
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from lessons.harness.report.numbers import number, signed
from lessons.harness.report.style import BAD, COLOURS, EDGE, GOOD, INK, PAPER
from notebooks.figures.page import label, panels
from rl_core.advantages import gae
from rl_core.true_values import TrueValues
from rl_core.types import Rollout

SIGNS = LinearSegmentedColormap.from_list("signs", [BAD, PAPER, GOOD])
MOST = 14  # steps that fit side by side
_FONT = font_manager.get_font(font_manager.findfont("DejaVu Sans"))


def drawable(words: Sequence[str]) -> bool:
    """Return whether the figures' font, which comes with matplotlib, has every character, none of them broken."""
    return all(_FONT.get_char_index(ord(letter)) and letter != "\ufffd" for word in words for letter in word)


@dataclass(frozen=True)
class Credit:
    """Some steps of a played row, each with what it earned and what was made of it."""

    words: list[str]
    lines: dict[str, list[float]]  # name -> one number a step
    first: int  # the number of the first step shown
    states: Tensor  # [N, *O] what was seen
    errors: dict[str, list[float]] = field(default_factory=dict)  # standard errors of the lines that are estimates
    question: str = ""  # what the row began with, in words
    verdict: str = ""  # what came of it

    @property
    def is_pole(self) -> bool:
        """Return whether what was seen can be drawn as a cart with its pole."""
        return self.states.is_floating_point() and self.states.shape[1:] == (4,)


def steps_shown(played: Rollout, row: int, around: int | None = None) -> slice:
    """Return which steps of a row a microscope shows, 14 at most: those `around` a step, or the last."""
    length = int(played.mask[row].sum())
    start = max(0, min(length if around is None else around - MOST // 2, length - MOST))
    return slice(start, min(length, start + MOST))


def states_shown(played: Rollout, row: int, around: int | None = None) -> Tensor:
    """Return the mask [B, T] of those steps and the one behind them: what true values and advantages are needed of."""
    steps = steps_shown(played, row, around)
    mask = torch.zeros_like(played.mask)
    mask[row, steps.start : steps.stop + 1] = True
    return mask & played.mask


def credit_of(
    played: Rollout,
    row: int,
    words: Sequence[str],
    values: Tensor,
    *,
    gamma: float,
    lam: float,
    around: int | None = None,
    truth: TrueValues | None = None,
    question: str = "",
) -> Credit:
    """Return reward, value, TD error and advantage of the steps shown; the TD error is the advantage at λ = 0.

    The values [B, T + 1] are the critic's, of all that the rows saw. With the truth the true value stands below them,
    and the true advantage below the estimate.
    """
    signals = (played.rewards, values, played.terminated, played.mask)
    errors, _ = gae(*signals, gamma=gamma, lam=0.0)
    advantages, _ = gae(*signals, gamma=gamma, lam=lam)
    steps = steps_shown(played, row, around)
    lines = {"reward r": played.rewards, "value V": values}
    lines |= {} if truth is None else {"true V": truth.values}
    lines |= {"TD error δ": errors, "advantage A": advantages}
    lines |= {} if truth is None else {"true A": truth.advantages}
    total = played.rewards[row].sum().item()
    end = "ended" if played.terminated[row].any() else "was cut off"
    return Credit(
        list(words[steps]),
        {name: tensor[row, steps].tolist() for name, tensor in lines.items()},
        steps.start + 1,
        played.obs[row, steps],
        {} if truth is None else {"true A": truth.advantage_errors[row, steps].tolist()},
        question,
        f"{end} after {int(played.mask[row].sum())} steps, return {number(total)}",
    )


def microscope(credits: Sequence[Credit], titles: Sequence[str]) -> Figure:
    """Return a figure with a strip for each row: the question and what was done above, its numbers and verdict below.

    A colour means the same number in all lines of one quantity, in all strips of one world.
    """
    heights = [(1.0 if credit.is_pole else 0.5, 0.5 * len(credit.lines) + 0.1) for credit in credits]
    ratios = [ratio for pair in heights for ratio in pair]
    figure, grid = panels(2 * len(credits), 1, width=9.6, height=0.9 * sum(ratios), height_ratios=ratios)
    for strip, (credit, title) in enumerate(zip(credits, titles, strict=True)):
        above, below = grid[2 * strip][0], grid[2 * strip + 1][0]
        _steps(above, credit)
        _numbers(below, credit, [other for other in credits if other.is_pole == credit.is_pole])
        head = f"{title}: {credit.question}" if credit.question else title
        above.set_title(head, loc="left", color=COLOURS[strip], fontsize=11, weight="bold")
        below.set_xlabel(credit.verdict, loc="left", color=INK, fontsize=9)
    return figure


def _steps(axes: Axes, credit: Credit) -> None:
    """Draw each step: the pole where the state is one, and the action in words."""
    count = len(credit.words)
    axes.set(xlim=(-0.5, count - 0.5), xticks=[], yticks=[])
    axes.grid(False)
    if credit.is_pole:
        poles(axes, credit.states, credit.words)
        return
    axes.set_ylim(0, 1)
    for place, word in enumerate(credit.words):
        shown = word.strip().replace("<|im_end|>", "EOS") or "␣"
        text = shown if drawable([shown]) else f"#{credit.first + place}"
        axes.text(
            place, 0.45, text, ha="center", va="center", fontsize=10 if len(shown) < 8 else 8, color=INK,
            bbox={"boxstyle": "round,pad=0.35", "facecolor": PAPER, "edgecolor": EDGE, "lw": 0.8},
        )  # fmt: skip


def poles(axes: Axes, states: Tensor, words: Sequence[str]) -> None:
    """Draw one cart and pole a step, with its lean, and the step's words below."""
    axes.set_ylim(-0.55, 1.1)
    for place, (state, word) in enumerate(zip(states, words, strict=True)):
        angle = state[2].item()
        axes.add_patch(Rectangle((place - 0.2, -0.14), 0.4, 0.16, facecolor=INK, lw=0))
        axes.plot(
            [place, place + sin(angle)], [0.02, 0.02 + cos(angle)], color=COLOURS[0], lw=4, solid_capstyle="round"
        )
        axes.text(place, -0.4, word, ha="center", va="center", fontsize=8, color=INK)


def _quantity(name: str) -> str:
    """Return what a line tells: a value, whose merit it was (the advantage at any λ), or what only it tells."""
    if name.endswith(" V"):
        return "value"
    return "advantage" if name.startswith(("TD error", "advantage A", "A, λ", "true A")) else name


def _limit(name: str, credits: Sequence[Credit]) -> float:
    """Return the number with the deepest colour: the largest of all lines of the same quantity."""
    lines = [line for credit in credits for other, line in credit.lines.items() if _quantity(other) == _quantity(name)]
    return max(1e-6, *(abs(value) for line in lines for value in line))


def _numbers(axes: Axes, credit: Credit, alike: Sequence[Credit]) -> None:
    """Draw a line of cells for each quantity, coloured on the scale that it shares with those of the credits alike.

    An estimate within two standard errors of 0 has no colour: nobody knows its sign.
    """
    names = list(credit.lines)
    for line, name in enumerate(names):
        limit = _limit(name, alike)
        digits = 1 if limit >= 10 else 2 if limit >= 0.1 else 3
        errors = credit.errors.get(name, [0.0] * len(credit.words))
        for place, (value, error) in enumerate(zip(credit.lines[name], errors, strict=True)):
            is_known = abs(value) >= 2 * error
            colour = SIGNS(0.5 + 0.42 * value / limit) if is_known else "white"
            box = FancyBboxPatch((place - 0.46, line - 0.42), 0.92, 0.84, boxstyle="round,pad=0,rounding_size=0.08",
                                 facecolor=colour, lw=0)  # fmt: skip
            axes.add_patch(box)
            axes.text(place, line, signed(value, digits), ha="center", va="center",
                      fontsize=8, color=INK, alpha=1.0 if is_known else 0.6)  # fmt: skip
    axes.set(xlim=(-0.5, len(credit.words) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.set_xticks(range(len(credit.words)), [str(credit.first + place) for place in range(len(credit.words))])
    axes.grid(False)


BOXES = {"policy": (0.0, "π(a | s)"), "environment": (6.0, "s, a  →  r, s'")}
ARROWS = {
    "action a": (1.52, 2.15, 5.85, ("left / right", "the next token")),
    "reward r, observation s'": (0.48, 5.85, 2.15, ("+1, four numbers", "a score at the end, the token")),
}
INSIDE = {"policy": ("a small MLP", "a language model"), "environment": ("laws of motion", "the text so far, a judge")}


def loop_picture() -> Figure:
    """Return the loop that all lessons are about, with what stands in each place in the two worlds."""
    figure, grid = panels(1, 1, width=8.6, height=2.5)
    axes = grid[0][0]
    axes.set(xlim=(-0.1, 8.1), ylim=(-0.25, 2.25), xticks=[], yticks=[])
    axes.grid(False)
    for name, (x, formula) in BOXES.items():
        style = "round,pad=0,rounding_size=0.15"
        axes.add_patch(FancyBboxPatch((x, 0), 2, 2, boxstyle=style, facecolor=PAPER, edgecolor=EDGE, lw=1.2))
        label(axes, x + 1, 1.68, name, weight="bold", size=12)
        label(axes, x + 1, 1.26, formula, size=11)
        _both(axes, x + 1, 0.72, INSIDE[name])
    for name, (y, start, end, words) in ARROWS.items():
        arrow = {"arrowstyle": "-|>", "mutation_scale": 18, "lw": 1.8, "color": INK}
        axes.annotate("", (end, y), (start, y), arrowprops=arrow)
        label(axes, 4, y + 0.2, name, weight="bold", size=10)
        _both(axes, 4, y - 0.2, words)
    return figure


def _both(axes: Axes, x: float, y: float, words: Sequence[str]) -> None:
    """Write each world's words in its colour, the second below the first."""
    for place, line in enumerate(words):
        label(axes, x, y - 0.3 * place, line, size=9, color=COLOURS[place])
