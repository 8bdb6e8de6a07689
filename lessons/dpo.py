"""DPO in one world: `python -m lessons.dpo --world cartpole`, or language."""

import copy
import time
from collections.abc import Iterator

from lessons.harness.pairs import of_kinds, pairs_of_turn
from lessons.harness.recipe import Recipe, Record
from lessons.harness.run import Run
from lessons.harness.session import main
from lessons.harness.settings import DPOSettings
from lessons.worlds import Results
from lessons.worlds.learners import Policy
from rl_core.algorithms.dpo import DPOConfig, dpo, implicit_accuracy, with_reference
from rl_core.optimize import mean_metrics
from rl_core.pairs import ReferencedPairs
from rl_core.types import Metrics

SETTINGS = {
    "cartpole": DPOSettings(
        iterations=5,
        learning_rate=1e-2,
        evaluate_every=1024,
        starts=500,
        passes=16,
        kinds=("drives",),
        anchor="round",
        update=DPOConfig(beta=0.1, minibatch_rows=32),
    ),
    "language": DPOSettings(
        iterations=80,
        learning_rate=1e-3,
        evaluate_every=4096,
        starts=64,
        update=DPOConfig(beta=0.2, minibatch_rows=32),
    ),
    "chat_model": DPOSettings(
        iterations=2,
        learning_rate=1e-3,
        evaluate_every=65_536,
        starts=96,
        passes=2,
        update=DPOConfig(beta=0.1, minibatch_rows=16, micro_rows=8),
    ),
}

ROWS = 64  # pairs that the reference reads at a time, where memory sets no limit


def train(run: Run) -> Iterator[Record]:
    """Return the records of a run's iterations, one as each is done: some passes over a round of fresh pairs.

    Pairs from a file are the same in every round, and so is what the reference at the start says of them.
    """
    assert run.reference is not None  # the recipe asks for one
    is_fixed = run.config.preferences is not None and run.config.anchor == "start"
    pairs: ReferencedPairs | None = None
    while run.iteration < run.config.iterations:
        began = time.perf_counter()
        reference = run.reference if run.config.anchor == "start" else copy.deepcopy(run.network)
        if pairs is None or not is_fixed:
            writer = run.network if run.config.writer == "policy" else run.reference
            fresh = pairs_of_turn(run, writer)
            pairs = with_reference(reference, fresh, rows=rows_of(run)) if len(fresh) else None
        yield run.record(passes_over(run, reference, pairs), time.perf_counter() - began)


def passes_over(run: Run, reference: Policy, pairs: ReferencedPairs | None) -> Metrics:
    """Return the metrics of some passes over the pairs; where all episodes were equally good there is none to learn."""
    passes = [{"pairs": 0.0, "steps": 0.0}]
    for _ in range(run.config.passes):
        if pairs is not None:
            passes.append(dpo(run.network, reference, run.optimizer, pairs, run.config.update, run.generator))
        run.schedule.step()
    return mean_metrics(passes[1:] or passes)


def held_out(run: Run, seed: int, quick: bool) -> Results:
    """Return how often the policy's own reward prefers the better of two episodes that its reference played."""
    assert run.reference is not None  # the recipe asks for one
    starts = run.judged(quick=quick)
    kinds = run.world.preferences(run.reference, starts, seed=seed, held_out=True, device=run.device)
    pairs = of_kinds(run, kinds)
    if not len(pairs):
        return {}
    known = with_reference(run.reference, pairs, rows=rows_of(run))
    return {"implicit_accuracy": implicit_accuracy(run.network, known, rows=rows_of(run)), "pairs": float(len(pairs))}


def rows_of(run: Run) -> int:
    """Return how many pairs are read at a time."""
    return run.config.update.micro_rows or ROWS


RECIPE = Recipe("dpo", SETTINGS, train, needs_reference=True, same_start_pairs=True, extra_evaluation=held_out)

if __name__ == "__main__":
    main(RECIPE, __doc__)
