"""Who gets the credit: each step of a played row with its reward, KL and advantage; and the nouns behind them."""

from lessons.harness.report.snapshot import Snapshot
from lessons.harness.run import Run

NOUNS = ("state", "action", "policy", "reward", "advantage", "value", "environment", "trajectory")
Line = tuple[str, str, str, str]
LONG = 40  # steps shown of a long row


def credit(run: Run, look: Snapshot, row: int) -> list[Line]:
    """Return (step in words, reward, KL, advantage) of each live step of a row."""
    batch = look.batch
    mask = batch.mask[row]
    words = run.world.words(look.played, row)
    rewards = look.played.rewards[row][mask].tolist()
    kls = (batch.logprobs - batch.ref_logprobs)[row][mask].tolist()
    advantages = batch.raw_advantages[row][mask].tolist()
    columns = zip(words, rewards, kls, advantages, strict=True)
    return [(repr(word)[1:-1], f"{r:+.2f}", f"{k:+.3f}", f"{a:+.2f}") for word, r, k, a in columns]


def nouns(run: Run, look: Snapshot) -> dict[str, str]:
    """Return what each noun is in this world, told from the objects of a look."""
    played, batch = look.played, look.batch
    mask = batch.mask[0]
    rewards, values = played.rewards[0][mask], batch.values[0][mask]
    advantages = batch.raw_advantages[0][mask]
    return run.world.analogy(played, run.now.network) | {
        "reward": f"{rewards[0]:+.1f} at the first step, {rewards[-1]:+.1f} at the last, {rewards.sum():+.1f} in all",
        "advantage": f"{advantages.min():+.2f} to {advantages.max():+.2f}, in units of reward",
        "value": f"{values[0]:.2f} expected at the first step, {values[-1]:.2f} at the last",
        "trajectory": f"{int(mask.sum())} steps; actions {list(played.actions.shape)} {played.actions.dtype}",
    }


def credit_page(run: Run, before: Snapshot, after: Snapshot, shown: str, rows: int = 3) -> str:
    """Return a page of the same starts before and after, step by step."""
    lines = [f"# {run.world.title}: the same starts before and after", "", f"See also [{shown}]({shown}).", ""]
    for row in range(rows):
        for when, look in (("before", before), ("after", after)):
            total = look.played.rewards[row].sum().item()
            lines += [f"## Start {row + 1}, {when}: return {total:+.1f}", ""]
            lines += ["| step | reward | KL to the reference | advantage |", "|---|---:|---:|---:|"]
            steps = credit(run, look, row)
            if len(steps) > LONG:
                lines.append(f"| … {len(steps) - LONG} steps before | | | |")
            lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in step) + " |" for step in steps[-LONG:]]
            lines.append("")
    return "\n".join(lines)
