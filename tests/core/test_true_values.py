"""The true value of a state against pencils and sums over everything that can happen, in both worlds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from rl_core.adapters.gym import GymEnv
from rl_core.adapters.language import TokenEnv, TokenNetwork
from rl_core.errors import InvalidArgument, InvalidType
from rl_core.evaluate import evaluate_actions
from rl_core.rollout import rollout
from rl_core.true_values import Rewards, some_steps, states_at, true_values
from rl_core.types import Episodes, Output, Prompt
from tests.support.toy_mdp import PREFIXES, STEPS, enumerate_trajectories
from tests.support.updates import padded
from tests.support.worlds import CARTPOLE, LANGUAGE, WORLDS, language_model, left_padded, seeded

each_of_both = pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])


class Corridor:
    """Places 0, 1, 2 ...; every step leads to the next, action 1 pays a point, and at the last place it is over."""

    single_action_space = Discrete(2)

    def __init__(self, num_envs, last=5, limit=None):
        self.num_envs, self.last, self.limit = num_envs, last, limit
        self.single_observation_space = Discrete(last + 1)
        self.place = self.steps = np.zeros(num_envs, dtype=np.int64)

    def draw_starts(self, count, generator):
        return np.zeros(count, dtype=np.int64)

    def restart(self, rows, starts):
        self.place, self.steps = self.place.copy(), self.steps.copy()
        self.place[rows], self.steps[rows] = starts, 0
        return starts

    def advance(self, actions, live):
        self.place, self.steps = self.place + live, self.steps + live
        return self.place, actions.astype(float), self.place == self.last, self.steps == (self.limit or -1)

    def branch(self, obs):
        return Corridor(len(obs), self.last, self.limit), obs


class Pusher:
    """Takes action 1 with one probability everywhere, and values place s at 10 s."""

    memoryless = True

    def __init__(self, share):
        self.logits = torch.tensor([1 - share, share]).log()

    def start(self, prompt):
        return ()

    def select(self, state, rows):
        return state

    def step(self, obs, state):
        return self.logits.expand(len(obs), 2), ()

    def __call__(self, prompt, obs):
        return Output(self.logits.expand(*obs.shape, 2), 10.0 * obs)


def walked(share, *, rows=1, **options):
    """Return a corridor's environment beside what was played in it by whom who takes action 1 so often."""
    env = GymEnv(Corridor(rows, **options), rows)
    return env, rollout(env, Pusher(share), seeded(0))


def test_a_policy_without_chance_has_exact_values_and_advantages():
    env, played = walked(1.0)  # took the point five times
    truth = true_values(env, Pusher(0.0), played, seeded(1), rewards=Rewards(gamma=0.5))
    assert truth.values.tolist() == [[0, 0, 0, 0, 0]] and truth.advantages.tolist() == [[1, 1, 1, 1, 1]]
    truth = true_values(env, Pusher(1.0), played, seeded(1), rewards=Rewards(gamma=0.5))
    assert truth.values.tolist() == [[1.9375, 1.875, 1.75, 1.5, 1.0]]  # 1 + 1/2 + 1/4 + ...
    assert not truth.advantages.any() and not truth.errors.any() and not truth.advantage_errors.any()
    assert truth.mask.all() and truth.advantage_mask.all()


def test_a_policy_of_chance_is_worth_what_its_chances_are():
    env, played = walked(0.3)
    truth = true_values(env, Pusher(0.3), played, seeded(1), rewards=Rewards(gamma=1.0), samples=400)
    expected = 0.3 * torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0]])
    assert ((truth.values - expected).abs() <= 4 * truth.errors).all()
    # Of n independent choices with chance 0.3 the sum has variance 0.21 n, and the mean of 400 sums a 400th of that.
    spread = (0.21 * torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0]]) / 400).sqrt()
    assert torch.allclose(truth.errors, spread, rtol=0.15)
    apart = (truth.advantages - (played.actions - 0.3)).abs()
    assert (apart <= 4 * truth.advantage_errors).all()


def test_a_time_limit_begins_anew_and_what_lies_beyond_it_is_worth_what_the_critic_says():
    env, played = walked(1.0, last=50, limit=4)  # places 0 to 3 seen; 4 is where the watching stops
    assert played.mask.shape[1] == 4 and not played.terminated.any()
    truth = true_values(env, Pusher(1.0), played, seeded(1), rewards=Rewards(gamma=0.5))
    # From place s: 1 + 1/2 + 1/4 + 1/8, and 1/16 of the critic's 10 (s + 4).
    assert truth.values.tolist() == [[1.875 + 10 * (s + 4) / 16 for s in range(4)]]
    assert truth.advantages[0, 3] == 1 + 0.5 * 40 - truth.values[0, 3]


def test_where_chooses_the_states_and_an_advantage_needs_both_of_its_own():
    env, played = walked(1.0)
    where = torch.tensor([[True, True, False, False, True]])
    truth = true_values(env, Pusher(1.0), played, seeded(1), rewards=Rewards(gamma=1.0), where=where)
    assert truth.values.tolist() == [[5, 4, 0, 0, 1]] and torch.equal(truth.mask, where)
    assert truth.advantage_mask.tolist() == [[True, False, False, False, True]]


def test_steps_are_chosen_evenly_from_the_first_to_the_last():
    mask = torch.arange(9) < torch.tensor([[9], [3], [1], [0]])
    chosen = [row.nonzero().flatten().tolist() for row in some_steps(mask, 5)]
    assert chosen == [[0, 2, 4, 6, 8], [0, 1, 2], [0], []]
    assert some_steps(torch.ones(1, 500, dtype=torch.bool), 16).nonzero()[-1].tolist() == [0, 499]


def token_world(on_cut="terminate"):
    """Return (environment, network, reference) of 3 tokens and answers of at most 3, of which 0 ends one."""
    networks = [TokenNetwork(language_model("qwen2", seed, vocab_size=3)).double() for seed in (1, 2)]
    return TokenEnv([[1, 2]], worth, 40, max_new_tokens=STEPS, eos=0, on_cut=on_cut), *networks


def worth(prompts, answers):
    """Return a number that depends on every token and its place."""
    return [sum((place + 1.5) * token for place, token in enumerate(answer)) - 2.0 for answer in answers]


def log_chances(network, answer):
    """Return the log-probability of each token of an answer to the prompt 1 2."""
    whole = torch.tensor([[2, *answer[:-1]]])
    episodes = Episodes(left_padded([[1]]), whole, torch.tensor([answer]), torch.ones_like(whole, dtype=torch.bool))
    return evaluate_actions(network, episodes).logprobs[0]


@torch.no_grad()
def exact_value(network, reference, prefix, beta):
    """Return the mean over all ways to go on from a prefix of the score less the KL still to be paid."""
    value = 0.0
    for answer in enumerate_trajectories(prefix):
        ours, theirs = (log_chances(each, answer)[len(prefix) :] for each in (network, reference))
        value += ours.sum().exp().item() * (worth([], [answer])[0] - beta * (ours - theirs).sum().item())
    return value


@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_values_of_a_language_model_are_the_sum_over_all_that_it_may_write(beta):
    env, network, reference = token_world()
    played = rollout(env, network, seeded(0))
    rewards = Rewards(gamma=1.0, reference=reference, beta=beta)
    truth = true_values(env, network, played, seeded(1), rewards=rewards, samples=300)
    exact = {prefix: exact_value(network, reference, prefix, beta) for prefix in PREFIXES}
    seen = set()
    for row, column in played.mask.nonzero().tolist():
        prefix = tuple(played.actions[row, :column].tolist())
        seen.add(prefix)
        assert abs(truth.values[row, column] - exact[prefix]) <= 4 * truth.errors[row, column]
    assert len(seen) > 4
    # What the first token was worth: the exact value after it, less that before it and the KL paid for it.
    for row in range(len(played)):
        answer = tuple(played.actions[row][played.mask[row]].tolist())
        after = worth([], [answer])[0] if len(answer) == 1 else exact[answer[:1]]
        paid = beta * (log_chances(network, answer) - log_chances(reference, answer))[0].item()
        apart = truth.advantages[row, 0] - (after - paid - exact[()])
        assert abs(apart) <= 4 * truth.advantage_errors[row, 0] + 1e-6


def test_continuations_that_are_discarded_do_not_count():
    env, network, _ = token_world(on_cut="mask")
    played = rollout(env, network, seeded(0))
    played = played.rows(played.mask.any(dim=1))
    truth = true_values(env, network, played, seeded(1), rewards=Rewards(gamma=1.0), samples=300)
    ended = [answer for answer in enumerate_trajectories() if answer[-1] == 0]
    chances = torch.tensor([log_chances(network, answer).sum().exp().item() for answer in ended])
    expected = (chances * torch.tensor(worth([], ended))).sum() / chances.sum()
    assert ((truth.values[:, 0] - expected).abs() <= 4 * truth.errors[:, 0]).all()


@each_of_both
def test_who_acts_without_chance_goes_on_from_any_state_as_before(world):
    env, network = world.env(4), world.network()
    played = rollout(env, network, seeded(0), greedy=True)
    cells = some_steps(played.mask, 4).nonzero()
    onward = rollout(env.restart(states_at(played, cells)), network, seeded(1), greedy=True)
    for number, (row, column) in enumerate(cells.tolist()):
        rest = played.mask[row, column:].sum()
        assert onward.mask[number].sum() == rest
        assert torch.allclose(onward.last_obs[number].double(), played.last_obs[row].double(), atol=1e-4)
        for name in ("obs", "actions", "rewards", "terminated"):
            before, now = getattr(played, name)[row, column:][:rest], getattr(onward, name)[number, :rest]
            assert torch.allclose(before.double(), now.double(), atol=1e-4), name


@each_of_both
def test_playing_on_leaves_the_environment_as_it_was_and_padding_without_a_trace(world):
    env, network = world.env(4), world.network()
    played = rollout(env, network, seeded(0))
    rewards = Rewards(gamma=0.9, scorer=world.scorer(), reference=world.network(seed=5), beta=0.1)
    before = str(env.state_dict())
    where = some_steps(played.mask, 3)
    truth = true_values(env, network, played, seeded(1), rewards=rewards, where=where, samples=4)
    assert str(env.state_dict()) == before
    wider = torch.cat([where, torch.ones(4, 2, dtype=torch.bool)], dim=1)
    again = true_values(env, network, padded(played), seeded(1), rewards=rewards, where=wider, samples=4)
    for name in ("values", "errors", "advantages", "advantage_errors"):
        assert torch.allclose(getattr(truth, name), getattr(again, name)[:, :-2], atol=1e-5), name
        assert not getattr(again, name)[:, -2:].any()
    assert not again.mask[:, -2:].any() and torch.equal(truth.mask, where)


@pytest.mark.parametrize("name", WORLDS)
def test_a_prompt_read_once_for_a_group_is_as_good_as_read_by_each(name):
    world = WORLDS[name]
    apart, together = (
        rollout(world.env(6, group_size=3, seed=2), world.network(), seeded(0), group_size=size) for size in (1, 3)
    )
    assert torch.equal(apart.actions, together.actions) and torch.equal(apart.mask, together.mask)
    assert torch.allclose(apart.logprobs, together.logprobs, atol=1e-5)


def test_what_cannot_be_gone_back_to_is_said():
    env, network = WORLDS["acrobot"].env(2), WORLDS["acrobot"].network()
    played = rollout(env, network, seeded(0))
    with pytest.raises(InvalidType, match=r"Acrobot.*branch"):
        env.restart(played.episodes())
    env, network = LANGUAGE.env(2, eos=(0,)), LANGUAGE.network()
    played = rollout(env, network, seeded(0)).episodes()
    nothing = torch.zeros_like(played.mask)
    with pytest.raises(InvalidArgument, match="row 0 has no live step"):
        env.restart(replace(played, mask=nothing))
    written = torch.ones(1, 9, dtype=torch.int64)
    over = Episodes(Prompt.empty(1), written, written, torch.ones(1, 9, dtype=torch.bool))
    with pytest.raises(InvalidArgument, match="8 tokens with max_new_tokens=8"):
        env.restart(over)
    with pytest.raises(InvalidArgument, match="samples=1"):
        true_values(env, network, rollout(env, network, seeded(0)), seeded(1), rewards=Rewards(1.0), samples=1)
