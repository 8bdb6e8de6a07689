"""What is preferred in a drive, how often judgments err, and what a run makes of them."""

from dataclasses import replace
from math import sqrt

import pytest
import torch

from lessons.harness.run import Run
from lessons.side_by_side import RECIPES
from lessons.worlds import NAMES, load
from lessons.worlds.cartpole.preferences import CLIP, longer_drives, steadier_clips
from lessons.worlds.measure import wilson
from rl_core.algorithms.reward_model import episode_scores
from rl_core.types import Episodes, Prompt
from tests.support.small_runs import begun
from tests.support.worlds import seeded

each_world = pytest.mark.parametrize("world", NAMES)


def drives(*leans):
    """Return drives, each two from one start, told by the lean of the pole at each step."""
    longest = max(map(len, leans))
    mask = torch.arange(longest) < torch.tensor([len(lean) for lean in leans])[:, None]
    obs = torch.zeros(len(leans), longest, 4)
    for row, lean in enumerate(leans):
        obs[row, : len(lean), 2] = torch.tensor(lean)
    return Episodes(Prompt.empty(len(leans)), obs, torch.zeros(mask.shape, dtype=torch.int64), mask)


def test_the_longer_drive_is_chosen_and_a_tie_teaches_nothing():
    pairs = longer_drives(drives([0.0] * 3, [0.0] * 5, [0.0] * 4, [0.0] * 4, [0.0] * 6, [0.0] * 2))
    lengths = [part.mask.sum(dim=1).tolist() for part in (pairs.chosen, pairs.rejected)]
    assert lengths == [[5, 6], [3, 2]]


@pytest.mark.parametrize("steady", [0, 1])
def test_the_clip_that_leans_less_is_chosen_to_whichever_side_it_leans(steady):
    upright, swinging = [0.01, -0.01] * 20, [0.1, -0.1] * 10  # the mean of both is 0; what counts is the size
    two = (upright, swinging) if steady == 0 else (swinging, upright)
    pairs = steadier_clips(drives(*two), seeded(0))
    sizes = [part.obs[..., 2].abs().mean().item() for part in (pairs.chosen, pairs.rejected)]
    assert sizes == pytest.approx([0.01, 0.1])
    assert pairs.chosen.mask.shape == pairs.rejected.mask.shape == (1, CLIP) and pairs.chosen.mask.all()


def test_a_drive_shorter_than_a_clip_is_left_out():
    assert len(steadier_clips(drives([0.0] * CLIP, [0.1] * (CLIP - 1)), seeded(0))) == 0
    assert len(steadier_clips(drives([0.0] * CLIP, [0.1] * CLIP), seeded(0))) == 1


def test_wilsons_interval_holds_what_would_not_be_surprised_by_the_share():
    for share, count in ((0.0, 20), (0.1, 50), (0.5, 10), (1.0, 129)):
        for edge in wilson(share, count):  # by definition: where the share seen lies 1.96 deviations off
            deviation = sqrt(edge * (1 - edge) / count)
            assert abs(share - edge) == pytest.approx(1.96 * deviation, abs=1e-6)
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


@each_world
def test_a_reward_model_scaled_is_the_same_in_another_unit(world):
    scorer = load(world).scorer("reference", seed=0)
    with torch.no_grad():
        for number, weight in enumerate(scorer.parameters()):
            weight.add_(0.1 * torch.randn(weight.shape, generator=seeded(number)))
    pairs = next(iter(load(world).preferences(load(world).reference(), 8, seed=0).values()))
    before = episode_scores(scorer, pairs.chosen).detach()
    scorer.scale_by(2.5)
    torch.testing.assert_close(episode_scores(scorer, pairs.chosen).detach(), 2.5 * before)


@each_world
@pytest.mark.parametrize("name", ["sft", "reward_model", "dpo"])
def test_every_turn_has_data_of_its_own(name, world, monkeypatch):
    run, seeds = begun(RECIPES[name], world), []
    made = "demonstrations" if name == "sft" else "preferences"
    sound = getattr(type(run.world), made)

    def listen(self, *given, seed, **options):
        seeds.append(seed)
        return sound(self, *given, seed=seed, **options)

    monkeypatch.setattr(type(run.world), made, listen)
    list(RECIPES[name].train(run))
    assert len(seeds) == len(set(seeds)) == run.config.iterations


def test_a_reward_model_is_taught_the_kinds_that_it_is_told():
    recipe, told = RECIPES["reward_model"], {}
    for kinds in (("drives",), ("clips",), ()):
        config = replace(recipe.settings["cartpole"], iterations=1, starts=24, kinds=kinds)
        run = Run.start(recipe, load("cartpole"), config, seed=0, device="cpu")
        told[kinds] = next(recipe.train(run))["pairs"]
    assert told["drives",] + told["clips",] == told[()] and min(told.values()) > 0


def test_in_rounds_each_round_is_anchored_where_it_began(monkeypatch):
    from lessons import dpo

    run, references = begun(RECIPES["dpo"], "cartpole"), []
    assert run.config.anchor == "round"
    sound = dpo.with_reference

    def listen(reference, pairs, **options):
        references.append(torch.cat([weight.detach().flatten().clone() for weight in reference.policy.parameters()]))
        return sound(reference, pairs, **options)

    monkeypatch.setattr(dpo, "with_reference", listen)
    starts = [torch.cat([weight.detach().flatten().clone() for weight in run.network.policy.parameters()])]
    for _ in RECIPES["dpo"].train(run):
        starts.append(torch.cat([weight.detach().flatten().clone() for weight in run.network.policy.parameters()]))
    assert len(references) == run.config.iterations and not torch.equal(starts[0], starts[1])
    assert all(map(torch.equal, references, starts))
