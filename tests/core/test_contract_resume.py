"""Save, load and go on: the future is the same to the bit, in both worlds and in the middle of an episode.

Both futures are played on one processor; on another the last bits of both are others.
"""

import copy

import pytest
import torch

from rl_core.algorithms.ppo import PPOConfig, ppo
from rl_core.checkpoint import load, save
from rl_core.rollout import rollout
from tests.support.updates import UPDATES, fitting, played_in, weights
from tests.support.worlds import CARTPOLE, LANGUAGE, WORLDS, language_world, seeded

ABOUT = {"algorithm": "ppo"}
FIELDS = ("obs", "actions", "mask", "logprobs", "last_obs", "rewards", "terminated")
CASES = {name: (world, {}) for name, world in WORLDS.items()} | {
    "cartpole in windows": (CARTPOLE, {"window": 7}),
    "acrobot in windows": (WORLDS["acrobot"], {"window": 7}),
    "frozen lake in windows": (WORLDS["frozen lake"], {"window": 5}),
}
each_case = pytest.mark.parametrize(("world", "options"), CASES.values(), ids=CASES)
PARTS = ("env", "network", "reference", "optimizer", "schedule", "generator")


def run_of(world, options, device):
    """Return the parts of a run that has not begun."""
    network = world.network(device=device)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    return {
        "env": world.env(4, device=device, **options),
        "network": network,
        "reference": world.network(seed=2, device=device),
        "optimizer": optimizer,
        "schedule": torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 10),
        "generator": seeded(5, device),
    }


def go_on(parts, iterations):
    """Return all that was seen in a few more iterations of a run, and the parameters that came of it."""
    trace = []
    config = fitting(PPOConfig(beta=0.1, epochs=2, minibatches=2), parts["network"])
    for _ in range(iterations):
        played = rollout(parts["env"], parts["network"], parts["generator"])
        ppo(parts["network"], parts["reference"], parts["optimizer"], played, config, parts["generator"])
        parts["schedule"].step()
        trace += [getattr(played, name) for name in FIELDS]
        trace.append(torch.tensor(parts["env"].finished(), dtype=torch.float64))
    return trace + [parameter.detach().clone() for parameter in parts["network"].parameters()]


def same(left, right):
    """Return whether two futures are equal to the bit."""
    return len(left) == len(right) and all(map(torch.equal, left, right))


@each_case
def test_a_resumed_run_has_the_same_future(world, options, device, tmp_path):
    parts = run_of(world, options, device)
    go_on(parts, 2)
    save(tmp_path / "run", parts, ABOUT)
    future = go_on(parts, 2)
    fresh = run_of(world, options, device)
    load(tmp_path / "run", fresh, ABOUT)
    assert same(go_on(fresh, 2), future)


@pytest.mark.parametrize("forgotten", PARTS)
@pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
def test_forgetting_any_part_changes_the_future(world, forgotten, device, tmp_path):
    parts = run_of(world, {}, device)
    parts["reference"] = world.network(seed=7, device=device)
    go_on(parts, 2)
    kept = {name: part for name, part in parts.items() if name != forgotten}
    save(tmp_path / "run", kept, ABOUT)
    future = go_on(parts, 2)
    fresh = run_of(world, {}, device)
    load(tmp_path / "run", {name: fresh[name] for name in kept}, ABOUT)
    assert not same(go_on(fresh, 2), future)


def walk(env, actions, live):
    """Return every answer to the actions, reset whenever no row is live, beside which rows are live now."""
    answers = []
    for action in actions:
        if not live.any():
            answers.append(env.reset()[1])
            live = torch.ones_like(live)
        answers.append(env.step(action))
        live = live & ~(answers[-1].terminated | answers[-1].truncated)
    return answers, live


@each_case
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_an_environment_goes_on_from_the_middle_of_an_episode(world, options, steps, device):
    env, twin = (world.env(device=device, **options) for _ in range(2))
    env.reset()
    actions = torch.randint(0, 2, (12, 8), generator=seeded(1)).to(device)
    _, live = walk(env, actions[:steps], torch.ones(8, dtype=torch.bool, device=device))
    twin.load_state_dict(copy.deepcopy(env.state_dict()))
    (here, _), (there, _) = (walk(each, actions[steps:], live) for each in (env, twin))
    for left, right in zip(here, there, strict=True):
        for name in ("obs", "reward", "terminated", "truncated", "discarded"):
            assert torch.equal(getattr(left, name), getattr(right, name))
    assert torch.equal(env.reset()[1].obs, twin.reset()[1].obs)
    assert env.finished() == twin.finished()


@each_case
def test_a_state_is_not_changed_by_what_happens_after_it_was_taken(world, options, device):
    env = world.env(device=device, **options)
    env.reset()
    state = env.state_dict()
    kept = copy.deepcopy(state)
    env.step(torch.ones(8, dtype=torch.int64, device=device))
    env.step(torch.ones(8, dtype=torch.int64, device=device))
    twins = [world.env(device=device, **options) for _ in range(2)]
    for twin, given in zip(twins, (state, kept), strict=True):
        twin.load_state_dict(given)
    action = torch.zeros(8, dtype=torch.int64, device=device)
    assert torch.equal(twins[0].step(action).obs, twins[1].step(action).obs)


def kinds_in(state):
    """Return the types found in a state, all the way down."""
    if isinstance(state, dict):
        return {kind for value in state.values() for kind in kinds_in(value)}
    if isinstance(state, list | tuple):
        return {kind for value in state for kind in kinds_in(value)}
    return {type(state)}


@each_case
def test_states_are_tensors_numbers_and_text(world, options, device, tmp_path):
    parts = run_of(world, options, device)
    go_on(parts, 1)
    parts["env"].reset()
    parts["env"].step(torch.ones(4, dtype=torch.int64, device=device))
    for name in ("env", "network", "optimizer"):
        state = parts[name].state_dict()
        assert kinds_in(state) <= {torch.Tensor, int, float, bool, str, type(None)}
        torch.save(state, tmp_path / name)
        torch.load(tmp_path / name, weights_only=True)


def test_tied_embeddings_are_tied_again_after_loading(device, tmp_path):
    world = language_world("qwen2", "separate")
    parts = run_of(world, {}, device)
    go_on(parts, 1)
    save(tmp_path / "run", parts, ABOUT)
    fresh = run_of(world, {}, device)
    load(tmp_path / "run", fresh, ABOUT)
    model = fresh["network"].model
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert torch.equal(model.lm_head.weight, parts["network"].model.lm_head.weight)
    with torch.no_grad():
        model.lm_head.weight.add_(1.0)
    assert torch.equal(model.get_input_embeddings().weight, parts["network"].model.lm_head.weight + 1.0)


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
@pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])
def test_each_algorithm_goes_on_from_where_it_was_saved(world, update, device, tmp_path):
    def fresh():
        learner = update.learner(world, device=device)
        optimizer = torch.optim.Adam(learner.parameters(), lr=0.01)
        return {"learner": learner, "optimizer": optimizer, "generator": seeded(5, device)}

    played, reference = played_in(world, device, torch.float32), world.network(seed=2, device=device)

    def learn(parts, passes):
        options = {"max_sampler_gap": None} if hasattr(update.config, "max_sampler_gap") else {}
        for _ in range(passes):
            update.once(parts["learner"], reference, parts["optimizer"], played, parts["generator"], **options)
        return weights(parts["learner"])

    parts, again = fresh(), fresh()
    learn(parts, 2)
    save(tmp_path / "run", parts, ABOUT)
    future = learn(parts, 2)
    load(tmp_path / "run", again, ABOUT)
    assert torch.equal(learn(again, 2), future)
    assert not torch.equal(learn(fresh(), 3), future)
