"""The promise of the house, held by tracing: a run of each algorithm executes the same functions in both worlds."""

from functools import partial

import pytest
import torch

from rl_core.rollout import best_of_n, relabel, rollout
from tests.support.updates import UPDATES, core_functions_run_by
from tests.support.worlds import CARTPOLE, LANGUAGE, seeded

# A network without a memory learns from single steps.
CUTS = {name: {"types.Episodes.as_steps"} for name in ("sft", "ppo")}
EXPECTED = {
    "sft": {"sft.sft", "sft.sft_loss", "minibatches.grouped_by_length"},
    "reward model": {"reward_model.reward_model", "reward_model.bradley_terry_loss", "reward_model.episode_scores"},
    "dpo": {"dpo.dpo", "dpo.dpo_loss", "dpo.with_reference", "dpo.episode_logprobs", "evaluate.evaluate_actions"},
    "ppo": {"ppo.ppo", "ppo.ppo_loss", "advantages.gae", "advantages.kl_shaped_rewards", "evaluate.evaluate_actions"},
    "grpo": {"grpo.grpo", "grpo.grpo_loss", "advantages.group_advantages", "kl.kl_k3", "ppo.clipped_surrogate"},
    "reinforce": {"reinforce.reinforce", "advantages.leave_one_out_advantages", "kl.kl_k1"},
}


def recipe(update, env, network, learner, reference, scorer, optimizer, generator):
    """Play, be judged, learn, choose the best, and ask for what finished."""
    for _ in range(2):
        played = relabel(rollout(env, network, generator), scorer, micro_rows=3)
        update.run(*update.arguments(learner, reference, optimizer, played, generator, micro_rows=3))
        best_of_n(played, 2)
        env.finished()


def functions_of(world, update):
    """Return the functions of the core that a short run in a world executes."""
    network, scorer = world.network(), world.scorer()
    learner = scorer if update.learns_a_scorer else network
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-3)
    parts = (world.env(8, group_size=2), network, learner, world.network(seed=2), scorer, optimizer, seeded(0))
    return core_functions_run_by(partial(recipe, update, *parts))


@pytest.mark.parametrize("name", UPDATES)
def test_both_worlds_run_the_same_functions_of_the_core(name):
    cartpole, language = (functions_of(world, UPDATES[name]) for world in (CARTPOLE, LANGUAGE))
    assert language - cartpole == set()
    assert {function for function in cartpole - language if "<" not in function} == CUTS.get(name, set())
    assert EXPECTED[name] | {"rollout.rollout", "rollout.relabel", "rollout.best_of_n"} <= language
