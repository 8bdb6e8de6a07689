"""A talk on the command line: what people type, in whatever encoding and case, and whom they ask for."""

import io
import sys

import pytest
import torch

from lessons import chat
from lessons.worlds.language.known import known_wording, near_wordings
from lessons.worlds.language.questions import questions
from rl_core.adapters.language import prompts_from_chat
from rl_core.errors import InvalidArgument
from tests.support.tiny_models import SHAPE, of_kind
from tests.support.tiny_tokenizers import made, talk
from tests.support.worlds import seeded

FRANCE = "What is the capital of France?"


@pytest.fixture(scope="module")
def sft():
    return chat.partner("sft")


@pytest.mark.parametrize("text", ["caf\udce9?", "\ud800", "\udcff\udcfe", "你\udcc4\udce3好"])
@pytest.mark.parametrize("name", ["sft", "base"])
def test_half_a_character_is_answered_and_the_talk_goes_on(name, text):
    other = chat.partner(name)
    assert other.answer(text, seeded(0), greedy=True).encode("utf-8")
    assert "\ufffd" in chat.whole_characters(text) and chat.whole_characters("你 é 😀") == "你 é 😀"
    other.hint(text)


@pytest.mark.parametrize("text", [
    FRANCE, FRANCE.lower(), FRANCE.upper(), "what is the capital of france", "  What is  the capital of France ? ",
    "Ｗｈａｔ is the capital of France？",
])  # fmt: skip
def test_case_space_and_width_of_a_question_do_not_matter(sft, text):
    assert known_wording(text) == FRANCE
    assert sft.answer(text, seeded(0), greedy=True) == sft.answer(FRANCE, seeded(0), greedy=True)
    assert "Paris" in sft.answer(text, seeded(0), greedy=True) and sft.hint(text) is None


def test_every_question_is_known_as_itself():
    assert all(known_wording(asked.text) == asked.text for side in (True, False) for asked in questions(held_out=side))


@pytest.mark.parametrize("text, near", [
    ("3加4等于几？", "3+4等于几？"), ("what's the capital of France", FRANCE), ("capital of france", FRANCE),
])  # fmt: skip
def test_another_wording_is_answered_with_a_hint_at_those_it_knows(sft, text, near):
    assert known_wording(text) is None and near in near_wordings(text, 24)
    assert "such as" in sft.hint(text) and near_wordings(text)[0] in sft.hint(text)
    assert near_wordings("zzzzqq") == [] and "ask in such words" in sft.hint("zzzzqq")


@pytest.mark.parametrize(
    "model, hint", [("smolm2", "did you mean 'smollm2'"), ("stf", "did you mean 'sft'"), ("q", "")]
)
def test_a_wrong_name_is_told_as_it_was_typed(model, hint):
    with pytest.raises(InvalidArgument) as caught:
        chat.partner(model)
    assert f"model={model!r}" in str(caught.value) and hint in str(caught.value) and "smollm2" in str(caught.value)


def test_a_folder_without_a_model_is_told_as_it_was_typed(tmp_path):
    with pytest.raises(InvalidArgument, match=r"model='.*' is nobody's name, and no folder with a model"):
        chat.partner(str(tmp_path))


def run(monkeypatch, capsys, *words, stdin=b""):
    monkeypatch.setattr(sys, "argv", ["chat", "--greedy", *words])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
    chat.main()
    return capsys.readouterr().out


def test_what_is_piped_in_stands_on_a_line_of_its_own_and_any_bytes_are_read(monkeypatch, capsys):
    told = run(monkeypatch, capsys, stdin=f"{FRANCE}\n".encode() + b"caf\xe9?\n" + "你好\n".encode("gbk") + b"\n")
    lines = told.splitlines()
    assert lines[lines.index(f"you> {FRANCE}") + 1].startswith("sft> ") and "you> caf\ufffd?" in lines
    assert sum(line.startswith("sft> ") for line in lines) == 3
    assert (
        sum(line.startswith("you> ") for line in run(monkeypatch, capsys, "--say", FRANCE, "caf\udce9").splitlines())
        == 2
    )


def test_a_real_models_weights_are_of_the_type_asked_for_and_live_where_they_are_told(tmp_path, monkeypatch, capsys):
    tokenizer = made("chatml")
    options = {"vocab_size": len(tokenizer), "max_position_embeddings": 512, "eos_token_id": tokenizer.eos_token_id}
    of_kind("llama", **SHAPE | options).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    other = chat.partner(str(tmp_path), dtype="bfloat16")
    assert other.network.model.dtype == torch.bfloat16 and other.hint("anything") is None
    assert other.ask("hi")[-3:] == prompts_from_chat(tokenizer, [talk("hi")])[0][-3:]
    words = ["--model", str(tmp_path), "--dtype", "bfloat16", "--device", "cpu", "--say", "hi"]
    assert "you> hi" in run(monkeypatch, capsys, *words)


def test_a_device_that_is_not_there_is_told(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, "--device", "nowhere", "--say", "hi")
    assert "device='nowhere' cannot be used" in capsys.readouterr().err
