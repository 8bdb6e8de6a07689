"""What a learner may pass to a recipe by mistake is refused in words that help, before anything is trained."""

import sys
from dataclasses import replace
from math import log

import pytest
import torch
from safetensors.torch import save_file

from benchmarks import learning
from lessons import chat, chat_model
from lessons.harness.command_line import Options, parse_command_line
from lessons.harness.evaluation import judged
from lessons.harness.machine import configure_torch
from lessons.harness.run import Run
from lessons.harness.session import run_session
from lessons.make import base_model
from lessons.side_by_side import RECIPES
from lessons.worlds import NAMES, load
from rl_core.errors import CheckpointError, InvalidArgument
from tests.support.small_runs import small
from tests.support.worlds import seeded

each_world = pytest.mark.parametrize("world", NAMES)


@each_world
@pytest.mark.parametrize("algorithm", ["ppo", "grpo", "reinforce"])
def test_a_policys_folder_is_no_reward_model(algorithm, world, tmp_path):
    policy = load(world).network("reference", seed=0, critic=False)
    load(world).save(policy, tmp_path)
    recipe = RECIPES[algorithm]
    for folder in (str(tmp_path), "reference", str(tmp_path / "nothing")):
        config = replace(small(recipe, world), scorer=folder)
        with pytest.raises(InvalidArgument, match=r"scorer=.*holds no reward model.*lessons\.reward_model"):
            Run.start(recipe, load(world), config, seed=0, device="cpu")


@each_world
def test_a_saved_reward_model_is_one(world, tmp_path):
    load(world).save_scorer(load(world).scorer("reference", seed=0), tmp_path)
    config = replace(small(RECIPES["grpo"], world), scorer=str(tmp_path))
    run = Run.start(RECIPES["grpo"], load(world), config, seed=0, device="cpu")
    assert not any(weight.requires_grad for weight in run.scorer.parameters())


@each_world
def test_preferences_from_scratch_are_anchored_to_the_policy_as_it_was_drawn(world):
    config = replace(small(RECIPES["dpo"], world), start="scratch", iterations=1)
    run = Run.start(RECIPES["dpo"], load(world), config, seed=3, device="cpu")
    drawn, frozen = run.network.state_dict(), run.reference.state_dict()
    assert all((drawn[name] == weight).all() for name, weight in frozen.items())
    assert len(list(RECIPES["dpo"].train(run))) == 1


@pytest.mark.parametrize("given", [["--world", "cartpole"], ["--world", "sums"]])
def test_a_model_where_there_is_none_to_choose_is_refused(given, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["recipe", *given, "--model", "smollm2"])
    with pytest.raises(InvalidArgument, match=r"model='smollm2'.*none to choose"):
        parse_command_line(RECIPES["grpo"].settings, None, description="")


def test_a_rough_type_widens_the_guard_of_the_real_model_alone():
    options = Options(model="smollm2", dtype="bfloat16")
    guards = [
        RECIPES["ppo"].settings[key].adjusted(start=None, quick=False, dtype=options.dtype_of(name))
        for key, name in (("cartpole", "cartpole"), ("chat_model", "language"))
    ]
    assert [config.update.max_sampler_gap for config in guards] == [1e-4, 1.0]
    assert Options(dtype="bfloat16").dtype_of("language") == "float32"


def test_another_vocabulary_is_refused(tmp_path):
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"50 tokens.*1,000.*--model"):
        load("language").network(str(tmp_path), seed=0)


@each_world
def test_pairs_of_which_all_are_ties_are_counted_as_none_and_one_kind_of_two_is_left_out(world):
    kinds = load(world).preferences(load(world).reference(), 12, seed=0, held_out=True)
    scorer = load(world).scorer("reference", seed=0)
    none = {kind: pairs.rows(slice(0, 0)) for kind, pairs in kinds.items()}
    assert judged(scorer, none) == {"pairs": 0.0}
    some = judged(scorer, {"empty": next(iter(none.values())), **kinds})
    assert "accuracy_empty" not in some and some["pairs"] == sum(map(len, kinds.values()))


@each_world
def test_choosing_the_best_of_n_costs_the_same_bound_in_every_world(world):
    policy = load(world).reference()
    results = load(world).evaluate(policy, seed=0, quick=True, best_of=4)
    assert results["kl"] == pytest.approx(log(4) - 3 / 4, abs=1e-4)


def test_rlhf_goes_on_from_wherever_its_folder_lies(tmp_path):
    recipe, config = RECIPES["rlhf"], small(RECIPES["rlhf"], "cartpole")

    def begun(folder):
        return recipe.make_run(recipe, load("cartpole"), config, seed=0, device="cpu", folder=folder, quick=True)

    run = begun(tmp_path / "here")
    for _ in zip(range(5), recipe.train(run), strict=False):
        pass
    run.save(tmp_path / "run.pt")
    (tmp_path / "here").rename(tmp_path / "there")
    other = begun(tmp_path / "there")
    other.load(tmp_path / "run.pt")
    assert other.iteration == 5 and other.now.recipe.name == "ppo"


@pytest.mark.parametrize("content", [b"", b"no tensors", None], ids=["empty", "broken", "of another shape"])
def test_a_broken_policy_or_reward_model_of_a_pole_is_named(content, tmp_path):
    pole = load("cartpole")
    for name, build in (("policy", pole.network), ("reward", pole.scorer)):
        path = tmp_path / f"{name}.safetensors"
        if content is None:
            save_file({"0.weight": torch.zeros(3, 3)}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"start=.*{name}\.safetensors is broken, or of another network"):
            build(str(tmp_path), seed=0)
        path.unlink()


def test_kinds_and_files_of_pairs_are_checked_before_anything_is_played(tmp_path):
    settings, (dpo, taste) = RECIPES["dpo"].settings, (RECIPES["dpo"], RECIPES["reward_model"])
    for recipe in (dpo, taste):
        config = replace(recipe.settings["cartpole"], kinds=("drive",))
        with pytest.raises(InvalidArgument, match=r"kinds='drive' is unknown; did you mean 'drives'"):
            Run.start(recipe, load("cartpole"), config, seed=0, device="cpu")
    for kinds in ((), ("clips",), ("drives", "clips")):
        with pytest.raises(InvalidArgument, match=r"kinds=.*clips, whose two episodes begin apart.*pass drives"):
            Run.start(dpo, load("cartpole"), replace(settings["cartpole"], kinds=kinds), seed=0, device="cpu")
    rlhf = RECIPES["rlhf"]
    later = replace(rlhf.settings["cartpole"].reward_model, kinds=("drive",))
    with pytest.raises(InvalidArgument, match=r"kinds='drive'"):
        config = replace(rlhf.settings["cartpole"], reward_model=later)
        rlhf.make_run(rlhf, load("cartpole"), config, seed=0, device="cpu", folder=tmp_path)
    broken = tmp_path / "mine.jsonl"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(InvalidArgument, match=r"mine\.jsonl.*line 1"):
        Run.start(dpo, load("language"), replace(settings["language"], preferences=str(broken)), seed=0, device="cpu")


def test_a_turn_without_a_pair_is_told_with_what_to_change():
    recipe = RECIPES["reward_model"]
    config = replace(recipe.settings["cartpole"], start="scratch", starts=1, kinds=("clips",))
    run = Run.start(recipe, load("cartpole"), config, seed=0, device="cpu")
    with pytest.raises(InvalidArgument, match=r"starts=1 gave no pair in iteration \d+.*more starts"):
        list(recipe.train(run))


@pytest.mark.parametrize("options, words", [
    ({"jobs": 0}, "jobs=0"),
    ({"only": ("grpo sum",)}, "did you mean 'grpo sums'"),
    ({"content": "{"}, "holds no results"),
    ({"content": "[]"}, "holds no results"),
])  # fmt: skip
def test_a_benchmark_that_could_not_be_stored_is_not_begun(options, words, tmp_path):
    path = tmp_path / "results.json"
    if content := options.pop("content", None):
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidArgument, match=words):
        learning.run(learning.Options(out=path, **options))


def test_whom_to_talk_with_is_found_by_name_or_by_vocabulary(tmp_path):
    load("language").save(load("language").network("reference", seed=0, critic=False), tmp_path / "small")
    assert not chat.is_real("sft") and not chat.is_real("nobody") and not chat.is_real(str(tmp_path / "small"))
    assert chat.is_real("smollm2") and chat.is_real("Qwen/Qwen2-0.5B-Instruct")
    assert chat.partner("sft").answer("What is 1+1?", seeded(0), greedy=True)
    with pytest.raises(
        InvalidArgument, match="model='nobody' is nobody's name, and no folder with a model; Pass base, sft, smollm2"
    ):
        chat.partner("nobody")


@pytest.mark.parametrize("program, words", [
    (chat, ["--say", "hi"]), (base_model, ["--out", "nowhere"]), (chat_model, ["--out", "nowhere"]),
])  # fmt: skip
@pytest.mark.parametrize("seed", [2**64, -(10**20)])
def test_a_seed_that_no_generator_takes_is_refused_before_anything_is_made(
    program, words, seed, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["program", *words, "--seed", str(seed)])
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert caught.value.code == 2 and not list(tmp_path.iterdir())
    assert f"seed={seed} is no whole number of 64 bits; pass one" in capsys.readouterr().err


@pytest.mark.parametrize("threads", [0, 1025, 99999999999])
def test_threads_that_no_machine_has_are_refused(threads):
    with pytest.raises(InvalidArgument, match=rf"threads={threads} lies outside \[1, 1024\]; pass"):
        configure_torch("cpu", threads)


def test_noise_in_a_learners_own_pairs_is_refused():
    with pytest.raises(InvalidArgument, match=r"noise=0\.2 with preferences='mine'"):
        replace(RECIPES["dpo"].settings["language"], noise=0.2, preferences="mine")


def test_the_same_quantities_are_known_of_dpo_before_and_after(tmp_path):
    config = replace(small(RECIPES["dpo"], "cartpole"), iterations=1)
    summary = run_session(RECIPES["dpo"], {"cartpole": config}, Options(quick=True, out=tmp_path), tmp_path)
    half = summary["worlds"]["cartpole"]
    assert half["before"]["implicit_accuracy"] == 0.5 and set(half["before"]) == set(half["after"])
