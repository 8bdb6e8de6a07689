"""Held-out evaluation of what a run trains: a policy by its world, a reward model by pairs that it never saw."""

from collections.abc import Mapping
from typing import Any

from lessons.harness.recipe import Recipe
from lessons.worlds import Advance, Results, World, all_reached, nobody
from lessons.worlds.learners import Policy, RewardModel
from rl_core.algorithms.reward_model import accuracy
from rl_core.losses.reward_model import ranking_accuracy
from rl_core.pairs import Pairs


class Evaluated:
    """What can be asked of a run about what it trains; a run adds its parts."""

    recipe: Recipe
    world: World
    config: Any
    device: str
    network: Policy
    reference: Policy | None
    scorer: RewardModel | None
    steps: int
    seconds: float
    evaluated_at: int
    solved_at: tuple[int, float] | None

    def evaluate(self, *, seed: int, quick: bool = False, advance: Advance = nobody) -> Results:
        """Return the held-out evaluation of the policy, or of the reward model on pairs that it never saw."""
        if self.recipe.trains_reward_model:
            starts = self.judged(quick=quick)
            kinds = self.world.preferences(self.network, starts, seed=seed, held_out=True, device=self.device)
            return judged(self.scorer, kinds)
        results = self.world.evaluate(
            self.network, seed=seed, device=self.device, quick=quick, reference=self.reference, advance=advance
        )
        extra = self.recipe.extra_evaluation
        return results | (extra(self, seed, quick) if extra else {})

    def quick_evaluate(self, *, seed: int) -> Results:
        """Return a quick evaluation when one is due, else nothing; its time is not the run's."""
        if self.steps - self.evaluated_at < self.config.evaluate_every:
            return {}
        self.evaluated_at += self.config.evaluate_every * (
            (self.steps - self.evaluated_at) // self.config.evaluate_every
        )
        if self.recipe.trains_reward_model:
            return self.evaluate(seed=seed, quick=True)
        results = self.world.quick_evaluate(self.network, seed=seed, device=self.device, reference=self.reference)
        if self.solved_at is None and all_reached(self.world.targets, results):
            self.solved_at = (self.steps, self.seconds)
        return results

    def judged(self, *, quick: bool) -> int:
        """Return from how many held-out starts the pairs are played on which a reward model is evaluated."""
        return self.world.held_out_pairs // 10 if quick else self.world.held_out_pairs

    @property
    def headline(self) -> str:
        """Return the name of the result that sums up the others."""
        return "accuracy" if self.recipe.trains_reward_model else self.world.headline

    def trials(self, name: str, results: Results) -> int | None:
        """Return the sample size behind a result that is a proportion, else None."""
        if name.startswith(("accuracy", "count_steps", "implicit_accuracy")):
            kind = name.partition("accuracy" if "accuracy" in name else "count_steps")[2]
            return int(results[f"pairs{kind}"])
        if name.startswith("pass_at_"):  # of questions, each with so many answers
            return int(results[self.world.trials]) // int(name.removeprefix("pass_at_"))
        return int(results[self.world.trials]) if name in self.world.shares else None

    def bounds(self, before: Results, after: Results) -> Results:
        """Return what any policy must pay at the least for the way from before to after."""
        return {} if self.recipe.trains_reward_model else self.world.bounds(before, after)


def judged(scorer: Any, kinds: Mapping[str, Pairs]) -> Results:
    """Return a reward model's accuracy on each kind of pairs, with that of counting the steps.

    Where all episodes are equally good there is no pair, and nothing to be right or wrong about.
    """
    kinds = {kind: pairs for kind, pairs in kinds.items() if len(pairs)}
    count = sum(len(pairs) for pairs in kinds.values())
    results: Results = {}
    for kind, pairs in kinds.items():
        lengths = [episodes.mask.sum(dim=1).float() for episodes in (pairs.chosen, pairs.rejected)]
        results |= {
            f"accuracy_{kind}": accuracy(scorer, pairs),
            f"count_steps_{kind}": ranking_accuracy(*lengths),
            f"pairs_{kind}": float(len(pairs)),
        }
    hits = sum(results[f"accuracy_{kind}"] * len(pairs) for kind, pairs in kinds.items())
    return ({"accuracy": hits / count} if count else {}) | {"pairs": float(count)} | results
