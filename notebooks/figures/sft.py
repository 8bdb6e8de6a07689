"""Pictures of imitation: a chat's tokens by what they are for, and a share that was shown against that produced."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from lessons.harness.report.style import BAD, COLOURS, EDGE, END, INK, PAPER, SEEN, STILL
from lessons.worlds.measure import wilson
from notebooks.figures.credit import drawable
from notebooks.figures.page import panels

FACES = {
    "prompt": (PAPER, STILL),
    "seen": (SEEN, INK),
    "action": (COLOURS[1], "white"),
    "end": (END, "white"),
}
LETTER, GAP, PAD = 0.09, 0.05, 0.17  # of a box, inches
LEGEND_LETTER = 0.075  # inches, on average
LINE, BAR = 0.74, 0.24
SHORT = {"\n": "⏎", "<|im_end|>": "EOS", "<|im_start|>": "‹start›"}


@dataclass(frozen=True)
class Piece:
    """A token of a chat: what it is for, and how hard the loss pulls at the step that would write it."""

    word: str
    kind: str  # prompt: before the first observation | seen: an observation only | action, end: counts in the loss
    pull: float = 0.0


def chat_picture(pieces: Sequence[Piece]) -> Figure:
    """Return a figure with a chat line by line: each token a box coloured by its kind, with a bar for its pull."""
    ends = [place + 1 for place, piece in enumerate(pieces) if piece.word == "<|im_end|>"]  # its line break stays
    lines = [pieces[i:j] for i, j in zip([0, *(e + 1 for e in ends)], [e + 1 for e in ends], strict=False)]
    figure, grid = panels(1, 1, width=9.6, height=LINE * len(lines) + 0.35)
    axes = grid[0][0]
    axes.set(xlim=(0, 9.4), ylim=(0.3 - LINE * len(lines), 0.6), xticks=[], yticks=[])
    axes.grid(False)
    most = max(1e-9, *(piece.pull for piece in pieces))
    for number, line in enumerate(lines):
        x = 0.05
        for piece in line:
            x += _token(axes, x, -LINE * number, piece, most) + GAP
    _legend(axes, {"prompt": "prompt", "seen": "seen, not learnt", "action": "learnt", "end": "learnt: the end"})
    return figure


def _token(axes: Axes, x: float, y: float, piece: Piece, most: float) -> float:
    """Return the width of the box that now stands at (x, y)."""
    word = SHORT.get(piece.word, piece.word.strip(" ") or "␣")
    word = word if drawable([word]) else "·"
    width = LETTER * len(word) + PAD
    face, letters = FACES[piece.kind]
    style = "round,pad=0,rounding_size=0.05"
    axes.add_patch(FancyBboxPatch((x, y - 0.13), width, 0.28, boxstyle=style, facecolor=face, lw=0))
    axes.text(x + width / 2, y + 0.005, word, ha="center", va="center", fontsize=9, color=letters)
    height = BAR * piece.pull / most
    axes.add_patch(Rectangle((x, y - 0.16 - height), width, height, facecolor=BAD, lw=0))
    return width


def _legend(axes: Axes, names: dict[str, str]) -> None:
    """Write above the chat what each colour means."""
    x = 0.05
    for kind, label in names.items():
        face, _ = FACES[kind]
        axes.add_patch(Rectangle((x, 0.36), 0.16, 0.13, facecolor=face, lw=0))
        axes.text(x + 0.24, 0.42, label, va="center", fontsize=9, color=INK)
        x += 0.55 + LEGEND_LETTER * len(label)
    axes.add_patch(Rectangle((x, 0.36), 0.16, 0.13, facecolor=BAD, lw=0))
    axes.text(x + 0.24, 0.42, "gradient", va="center", fontsize=9, color=INK)


def shown_and_done(axes: Axes, counts: dict[float, tuple[float, int]], colour: str) -> None:
    """Draw, against the share shown, the share produced with its 95 % interval, and the diagonal.

    `counts` holds (share, trials) for each share shown.
    """
    top = 1.15 * max(*counts, *(share for share, _ in counts.values()))
    axes.plot([0, top], [0, top], color=EDGE, lw=1.2, ls=(0, (4, 3)))
    for shown, (share, trials) in counts.items():
        low, high = wilson(share, trials)
        axes.plot([shown, shown], [low, high], color=colour, lw=2, solid_capstyle="butt", alpha=0.5)
        axes.plot(shown, share, "o", ms=7, color=colour)
        label = {"textcoords": "offset points", "fontsize": 9, "color": INK, "va": "center"}
        axes.annotate(f"{share:.0%}", (shown, share), (9, -5), **label)
    axes.set(xlim=(-0.03, top), ylim=(-0.03, top))
    axes.set_xticks(list(counts), [f"{share:.0%}" for share in counts])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
