"""What the core believes of every environment: rows end once, their end counts, groups share a start, seeds decide."""

import copy

import pytest
import torch

from rl_core.errors import InvalidArgument
from rl_core.rollout import LEAVE, rollout
from tests.support.worlds import ENDS, LANGUAGE, LONGEST, WORLDS, seeded

each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
FIELDS = ("obs", "actions", "mask", "logprobs", "last_obs", "rewards", "terminated")


def play(world, device="cpu", *, actor=3, **options):
    """Return an environment beside a rollout played in it."""
    env = world.env(device=device, **options)
    return env, rollout(env, world.network(device=device), seeded(actor, device))


def same(left, right):
    """Return whether two rollouts are equal to the bit."""
    fields = all(torch.equal(getattr(left, name), getattr(right, name)) for name in FIELDS)
    prompts = torch.equal(left.prompt.tokens, right.prompt.tokens) and torch.equal(left.prompt.mask, right.prompt.mask)
    return fields and prompts


def starts_of(played):
    """Return what each row saw before its first action, as text."""
    prompt = [tokens[mask].tolist() for tokens, mask in zip(played.prompt.tokens, played.prompt.mask, strict=True)]
    return [f"{tokens} {first.tolist()}" for tokens, first in zip(prompt, played.obs[:, 0], strict=True)]


@each_world
def test_a_row_lives_from_its_start_to_its_end_and_never_again(world, device):
    _, played = play(world, device)
    lengths = played.mask.sum(dim=1)
    columns = torch.arange(played.mask.shape[1], device=device)
    assert torch.equal(played.mask, columns < lengths[:, None])
    assert lengths.min() >= 1 and lengths.max() == len(columns)
    assert (len(set(lengths.tolist())) > 1) is world.lengths_vary
    assert played.rewards[~played.mask].eq(0).all()
    early = played.terminated & (columns < lengths[:, None] - 1)
    assert not early.any() and not played.terminated[~played.mask].any()
    ended_early = lengths < len(columns)
    assert played.terminated.any(dim=1)[ended_early].all()


@each_world
def test_rows_that_have_ended_leave_the_batch(world, device):
    env, network, sizes = world.env(rows=24, device=device), world.network(device=device), []
    step = network.step

    def counted(obs, state):
        sizes.append(len(obs))
        return step(obs, state)

    network.step = counted
    played = rollout(env, network, seeded(3, device))
    live = played.mask.sum(dim=0).tolist()  # rows in each column
    assert sizes[0] == 24  # one for each action
    assert all(alive == size or LEAVE * size < alive < size for alive, size in zip(live, sizes, strict=True))


@each_world
def test_rewards_and_live_steps_add_up_to_the_episodes_that_finished(world, device):
    env, played = play(world, device)
    sums = played.rewards.double().sum(dim=1).tolist()
    rows = sorted(zip(sums, played.mask.sum(dim=1).tolist(), strict=True))
    finished = sorted(env.finished())
    assert [length for _, length in finished] == [length for _, length in rows]
    assert [total for total, _ in finished] == pytest.approx([total for total, _ in rows], abs=1e-5)
    assert env.finished() == []


def test_the_end_token_is_an_action_that_counts(device):
    _, played = play(WORLDS["qwen2, separate critic"], device, rows=32)
    is_end = torch.isin(played.actions, torch.tensor(ENDS, device=device))
    lengths = played.mask.sum(dim=1)
    last = is_end.gather(1, lengths[:, None] - 1)[:, 0]
    assert torch.equal((is_end & played.mask).sum(dim=1).bool(), last)
    assert (is_end & played.mask).sum() == last.sum()  # none before the last live column
    assert torch.equal(last | (lengths == LONGEST), torch.ones_like(last))
    assert {last.sum().item() > 0, (~last).sum().item() > 0} == {True}  # both kinds were seen
    written = played.actions.gather(1, lengths[:, None] - 1)[:, 0][last]
    assert set(written.tolist()) == set(ENDS)  # each of several end tokens ends


def test_the_push_under_which_the_pole_falls_counts(device):
    _, played = play(WORLDS["cartpole"], device)
    last = played.mask.sum(dim=1) - 1
    assert played.terminated.gather(1, last[:, None]).all()
    assert torch.equal(played.rewards, played.mask.float())  # 1 a step, the last included


@each_world
def test_the_rows_of_a_group_share_their_start(world, device):
    _, played = play(world, device, rows=12, group_size=3)
    starts = starts_of(played)
    groups = [starts[first : first + 3] for first in range(0, 12, 3)]
    assert all(len(set(group)) == 1 for group in groups)
    if world.starts_vary:
        assert len({group[0] for group in groups}) == 4
    choices = [tuple(actions.tolist()) for actions in played.actions[:3]]
    assert len(set(choices)) > 1  # one start, several ways on


@each_world
def test_seeds_alone_decide_a_rollout(world, device):
    torch.manual_seed(0)
    _, first = play(world, device, seed=5)
    torch.manual_seed(1)
    _, again = play(world, device, seed=5)
    assert same(first, again)
    assert not same(first, play(world, device, seed=5, actor=4)[1])
    if world.starts_vary:
        assert starts_of(first) != starts_of(play(world, device, seed=6)[1])


@each_world
def test_every_reset_starts_elsewhere(world, device):
    env, network = world.env(device=device), world.network(device=device)
    first, second = (rollout(env, network, seeded(3, device)) for _ in range(2))
    if world.starts_vary:
        assert starts_of(first) != starts_of(second)
    assert not same(first, second)


@each_world
def test_greedy_play_needs_no_luck_and_takes_the_likeliest(world, device):
    network = world.network(device=device)
    played = [rollout(world.env(device=device), network, seeded(s, device), greedy=True) for s in (0, 1)]
    assert same(*played)
    logits = network(played[0].prompt, played[0].obs).logits
    best = logits.log_softmax(dim=-1).max(dim=-1).values
    torch.testing.assert_close(played[0].logprobs[played[0].mask], best[played[0].mask].detach(), rtol=0, atol=1e-5)


@each_world
def test_what_is_done_in_a_dead_row_changes_no_other(world, device):
    env, played = play(world, device)
    mask, width = played.mask, played.mask.shape[1]
    twin = world.env(device=device)
    env = world.env(device=device)
    env.reset(), twin.reset()
    for t in range(width):
        other = torch.where(mask[:, t], played.actions[:, t], 1 - played.actions[:, t].clamp(max=1))
        here, there = env.step(played.actions[:, t]), twin.step(other)
        live = mask[:, t]
        assert torch.equal(here.obs[live], there.obs[live]) and torch.equal(here.reward, there.reward)
        assert torch.equal(here.terminated, there.terminated) and torch.equal(here.truncated, there.truncated)
        for nothing in (here.reward, here.terminated, here.truncated, here.discarded):
            assert not nothing[~live].any()
    assert env.finished() == twin.finished()


@each_world
def test_what_an_environment_gave_out_does_not_change_under_its_next_steps(world, device):
    env = world.env(device=device)
    prompt, first = env.reset()
    kept = copy.deepcopy((prompt, first))
    action = torch.ones(8, dtype=torch.int64, device=device)
    second = env.step(action)
    kept_second = copy.deepcopy(second)
    for _ in range(2):
        env.step(action)
    env.reset()
    assert torch.equal(first.obs, kept[1].obs) and torch.equal(prompt.tokens, kept[0].tokens)
    for name in ("obs", "reward", "terminated", "truncated"):
        assert torch.equal(getattr(second, name), getattr(kept_second, name))


@each_world
def test_the_state_of_a_fresh_environment_begins_anew_from_its_seed(world, device):
    used, _ = play(world, device)
    used.load_state_dict(world.env(device=device, seed=7).state_dict())
    assert used.finished() == []
    again = rollout(used, world.network(device=device), seeded(3, device))
    assert same(again, play(world, device, seed=7)[1])
    assert not same(again, play(world, device)[1])


@pytest.mark.parametrize("size", [0, 3, 4])
def test_a_group_that_shares_no_prompt_is_refused_before_anything_is_played(size):
    env, network = LANGUAGE.env(8, group_size=2), LANGUAGE.network()
    with pytest.raises(InvalidArgument, match=f"group_size={size}"):
        rollout(env, network, seeded(0), group_size=size)
    assert len(rollout(env, network, seeded(0), group_size=2)) == 8
