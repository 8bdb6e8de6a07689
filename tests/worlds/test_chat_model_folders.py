"""Folders with chat models as others have saved them: opened, taught and saved again, or refused at once."""

import json

import pytest
import torch
import transformers

from lessons import chat
from lessons.worlds import load
from lessons.worlds.chat_model import hub
from lessons.worlds.chat_model import models as opening
from lessons.worlds.chat_model.models import open_chat_model
from lessons.worlds.chat_model.world import ChatModel
from rl_core.algorithms.sft import SFTConfig, sft
from rl_core.errors import CheckpointError, InvalidArgument, RLCoreError
from rl_core.evaluate import evaluate_actions
from tests.support.tiny_models import SHAPE, of_kind
from tests.support.tiny_tokenizers import CHATML, IM, OPENS_A_THOUGHT, SYSTEM_LAST, made, tokenizer_of
from tests.support.worlds import seeded, text_episodes


def saved(folder, tokenizer, model):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def words():
    return tokenizer_of(
        "bytes", CHATML, [*IM, "<image>", "<boi>", "<eoi>"], eos="<|im_end|>", pad_token="<|endoftext|>"
    )


@pytest.mark.parametrize("name", ["takes turns", "role tokens", "chatml, another eos"])
def test_an_end_that_only_the_tokens_themselves_flag_is_an_end(tmp_path, name):
    tokenizer = made(name, named=False)
    options = SHAPE | {"vocab_size": len(tokenizer), "max_position_embeddings": 512}
    opened = open_chat_model(
        saved(tmp_path, tokenizer, of_kind("llama", **options, eos_token_id=tokenizer.eos_token_id))
    )
    end = {"takes turns": "<end_of_turn>", "role tokens": "<|end|>"}.get(name, "<|im_end|>")
    assert opened.ends == {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(end)}
    assert opened.has_system == (name != "takes turns")


def test_special_tokens_that_are_none_are_none_and_all_is_saved(tmp_path, words):
    options = SHAPE | {"vocab_size": len(words), "max_position_embeddings": 512}
    ids = {"pad_token_id": -1, "bos_token_id": 10**6, "eos_token_id": [-1, words.eos_token_id]}
    world = ChatModel(saved(tmp_path / "m", words, of_kind("llama", **options, **ids)), lora=0)
    assert world.opened().ends == {words.eos_token_id}
    world.save(world.network("reference", seed=0, critic=False), tmp_path / "policy")
    world.save_scorer(world.scorer("reference", seed=0), tmp_path / "scorer")
    assert json.loads((tmp_path / "policy" / "config.json").read_text())["pad_token_id"] is None
    assert ChatModel(str(tmp_path / "policy"), lora=0).opened() and world.scorer(str(tmp_path / "scorer"), seed=0)


def test_a_text_model_within_one_that_sees_is_opened_taught_and_saved(tmp_path, words):
    image = words.convert_tokens_to_ids("<image>")
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Gemma3Config(
        text_config=SHAPE | {"vocab_size": len(words), "head_dim": 8, "max_position_embeddings": 512},
        vision_config=vision | {"image_size": 28, "patch_size": 14},
        mm_tokens_per_image=1, image_token_id=image, boi_token_id=image + 1, eoi_token_id=image + 2,
    )  # fmt: skip
    world = ChatModel(saved(tmp_path / "m", words, transformers.Gemma3ForConditionalGeneration(config)), lora=0)
    assert words.eos_token_id in world.opened().ends and world.opened().context == 512
    network = world.network("reference", seed=0, critic=True)
    shown = text_episodes([[5, 6]], [[4, words.eos_token_id]])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = [sft(network.train(), optimizer, shown, SFTConfig(), seeded(0))["loss"] for _ in range(3)]
    assert losses[-1] < losses[0]
    world.save(network, tmp_path / "policy")
    again = ChatModel(str(tmp_path / "policy"), lora=0).network("reference", seed=0, critic=False)
    torch.testing.assert_close(
        evaluate_actions(again, shown).logprobs, evaluate_actions(network, shown).logprobs, rtol=0, atol=1e-5
    )
    assert world.scorer("reference", seed=0).score(shown).shape == (1, 2)


def test_a_row_longer_than_a_real_models_context_is_told_when_it_is_read(tmp_path, words):
    options = SHAPE | {"vocab_size": len(words), "max_position_embeddings": 512}
    world = ChatModel(saved(tmp_path / "m", words, of_kind("llama", **options)), lora=0)
    lines = [
        {"prompt": "hi", "chosen": "yes", "rejected": "no"},
        {"prompt": "1 " * 900, "chosen": "a", "rejected": "b"},
    ]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InvalidArgument, match=r"own\.jsonl, line 2: the prompt has \d+ tokens and chosen has \d+.*512"):
        world.read_preferences(tmp_path / "own.jsonl")


def small_llama(tokenizer):
    return of_kind("llama", **SHAPE | {"vocab_size": len(tokenizer), "max_position_embeddings": 512})


def test_a_template_that_moves_the_system_message_is_asked_without(tmp_path):
    tokenizer = tokenizer_of("bytes", SYSTEM_LAST, ["<s>", "</s>", "[INST]", "[/INST]"], eos="</s>", bos_token="<s>")
    opened = open_chat_model(saved(tmp_path, tokenizer, small_llama(tokenizer)))
    assert not opened.has_system and tokenizer.eos_token_id in opened.ends


def test_a_template_that_asks_otherwise_than_it_shows_is_refused(tmp_path):
    controls = ["<bos>", "<eos>", "<User>", "<Assistant>"]
    tokenizer = tokenizer_of("bytes", OPENS_A_THOUGHT, controls, eos="<eos>", bos_token="<bos>")
    with pytest.raises(InvalidArgument, match=r"<think>.*nobody asks"):
        open_chat_model(saved(tmp_path, tokenizer, small_llama(tokenizer)))


def with_config(change):
    def spoil(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return spoil


def of_another_size(folder):
    of_kind("llama", **SHAPE | {"vocab_size": 77, "hidden_size": 16}).save_pretrained(folder / "other")
    (folder / "other" / "model.safetensors").replace(folder / "model.safetensors")


BROKEN = {
    "width of text": with_config(lambda config: config | {"hidden_size": "x"}),
    "heads that do not divide": with_config(lambda config: config | {"num_attention_heads": 3}),
    "end of text": with_config(lambda config: config | {"eos_token_id": "</s>"}),
    "a list": with_config(lambda config: [1]),
    "nothing": with_config(lambda config: None),
    "an unknown type": with_config(lambda config: config | {"dtype": "float31"}),
    "weights of another size": of_another_size,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_transformers_cannot_open_is_told(name, tmp_path, words):
    folder = saved(tmp_path, words, small_llama(words))
    BROKEN[name](tmp_path)
    with pytest.raises(InvalidArgument, match=r"model='.*' cannot be opened \(\w+: .+\); pass 'smollm2'") as caught:
        open_chat_model(folder)
    assert caught.value.__cause__ is not None
    with pytest.raises(RLCoreError, match=folder):
        chat.partner(folder)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_of_the_small_world_is_told(name, tmp_path):
    language = load("language")
    language.save(language.reference(), tmp_path)
    BROKEN[name](tmp_path)
    for opened in (language.network, language.scorer):
        with pytest.raises(CheckpointError, match=r"start='.*' holds (no|a broken) (reward )?model"):
            opened(str(tmp_path), seed=0)


# A hub


WAYS = ["HF_ENDPOINT", "ModelScope", "--model ./folder", "smollm2"]


@pytest.fixture
def loads(monkeypatch):
    """Return the options of every attempt to load, all of which fail."""
    attempts = []

    def fail(source, **options):
        attempts.append(options)
        raise OSError("no connection")

    monkeypatch.setattr(opening.AutoTokenizer, "from_pretrained", fail)
    return attempts


@pytest.mark.parametrize("model", ["smolm2", "SmolLM", "smollm-2"])
def test_a_slip_of_the_pen_is_told_before_a_hub_is_asked(loads, monkeypatch, model):
    monkeypatch.setattr(hub, "get_session", None)
    with pytest.raises(InvalidArgument, match="did you mean 'smollm2'") as caught:
        open_chat_model(model)
    assert all(way in str(caught.value) for way in WAYS)


def test_a_hub_that_cannot_be_reached_is_asked_once_and_all_ways_are_named(loads, monkeypatch):
    asked = []

    class Session:
        def head(self, url, **options):
            asked.append((url, options["timeout"]))
            raise ConnectionError("name not known")

    monkeypatch.setattr(hub, "get_session", Session)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(InvalidArgument, match="name not known") as caught:
        open_chat_model("nobody/nothing")
    assert all(way in str(caught.value) for way in WAYS) and "did you mean" not in str(caught.value)
    assert [timeout <= 5 for _, timeout in asked] == [True] and "nobody/nothing" in asked[0][0]
    assert loads == [{"local_files_only": True}]  # and nothing that tries again and again


def test_offline_no_hub_is_asked(loads, monkeypatch):
    monkeypatch.setattr(hub, "get_session", None)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InvalidArgument, match="HF_HUB_OFFLINE"):
        open_chat_model("nobody/nothing")


def test_a_model_that_the_hub_has_not_is_told(loads, monkeypatch):
    class Session:
        def head(self, url, **options):
            return type("Answer", (), {"status_code": 404})()

    monkeypatch.setattr(hub, "get_session", Session)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(InvalidArgument, match="answers 404"):
        open_chat_model("nobody/nothing")
