"""Who gets the credit: each step of a played row with its reward, KL and advantage; and the nouns behind them."""

from lessons.harness.report.numbers import markdown_table, signed
from lessons.harness.report.snapshot import Snapshot
from lessons.harness.report.true_value import HEAD, beside
from lessons.harness.run import Run

NOUNS = ("state", "action", "policy", "reward", "advantage", "value", "environment", "trajectory")
Line = tuple[str, ...]
LONG = 40  # steps shown of a long row
PART = "…"  # a token that ends within a character, which the next ones complete


def credit(run: Run, look: Snapshot, row: int) -> list[Line]:
    """Return (step in words, reward, KL, advantage) of each live step of a row."""
    batch = look.batch
    mask = batch.mask[row]
    words = run.world.words(look.played, row)
    rewards = look.played.rewards[row][mask].tolist()
    kls = (batch.logprobs - batch.ref_logprobs)[row][mask].tolist()
    advantages = batch.raw_advantages[row][mask].tolist()
    columns = zip(words, rewards, kls, advantages, strict=True)
    return [(repr(word)[1:-1] or PART, signed(r), signed(k, 3), signed(a)) for word, r, k, a in columns]


def nouns(run: Run, look: Snapshot) -> dict[str, str]:
    """Return what each noun is in this world, told from the objects of a look."""
    played, batch = look.played, look.batch
    mask = batch.mask[0]
    rewards, values = played.rewards[0][mask], batch.values[0][mask]
    first, last, total = rewards[0], rewards[-1], rewards.sum()
    advantages = batch.raw_advantages[0][mask]
    return run.world.analogy(played, run.now.network) | {
        "reward": f"{first:+z.1f} at the first step, {last:+z.1f} at the last, {total:+z.1f} in all",
        "advantage": f"{advantages.min():+z.2f} to {advantages.max():+z.2f}, in units of reward",
        "value": f"{values[0]:z.2f} expected at the first step, {values[-1]:z.2f} at the last",
        "trajectory": f"{int(mask.sum())} steps; actions {list(played.actions.shape)} {played.actions.dtype}",
    }


def as_quoted(text: str) -> list[str]:
    """Return the lines of a quotation in Markdown."""
    return [f"> {line}" for line in text.splitlines()]


def credit_page(run: Run, before: Snapshot, after: Snapshot, shown: str, rows: int = 3) -> str:
    """Return a page of the same starts before and after, step by step."""
    lines = [f"# {run.world.title}: the same starts before and after", "", f"See also [{shown}]({shown}).", ""]
    for row in range(rows):
        for when, look in (("before", before), ("after", after)):
            lines += [f"## Start {row + 1}, {when}", "", *as_quoted(run.world.question(look.played, row)), ""]
            head: Line = ("step", "reward", "KL to the reference", "advantage")
            steps = credit(run, look, row)
            if look.truth is not None:
                head += HEAD
                steps = [(*step, *more) for step, more in zip(steps, beside(look.batch, look.truth, row), strict=True)]
            left_out = [(f"… {len(steps) - LONG} steps before", *[""] * (len(head) - 1))] if len(steps) > LONG else []
            lines += [markdown_table(head, [*left_out, *steps[-LONG:]], align="l" + "r" * (len(head) - 1)), ""]
            total, count = look.played.rewards[row].sum().item(), len(steps)
            lines += [f"**Return {total:+z.1f} after {count} {run.world.step_name}s.**", ""]
    return "\n".join(lines)
