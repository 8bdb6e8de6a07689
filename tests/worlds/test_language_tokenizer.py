"""Holds the language world's tokenizer to its promises: lossless, deterministic, and a chat format that masks right."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lessons.worlds.language.bpe import build_tokenizer
from lessons.worlds.language.demonstrations import Chat, chats, raw_texts
from lessons.worlds.language.facts import FACTS
from lessons.worlds.language.phrases import TONES, answers, wordings
from lessons.worlds.language.play import decode_each


@pytest.fixture(scope="module")
def texts() -> list[str]:
    shown = [message["content"] for chat in chats(3000, seed=1) for message in chat]
    return raw_texts(6000, seed=0) + shown


@pytest.fixture(scope="module")
def tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    return build_tokenizer(texts)


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def contains(tokens: list[int], part: list[int]) -> bool:
    return any(tokens[start : start + len(part)] == part for start in range(len(tokens) - len(part) + 1))


HOSTILE = [
    "",
    " ",
    "\n\n x",
    "  two  spaces ",
    "I'm  .. ok ?",
    "naïve café",
    "日本語です",
    "🙂🙃",
    "\t\r\n",
    "a\u0000b",
    "１２３ 45",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_string_decodes_to_itself(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(ids_of(tokenizer, text)) == text


def test_every_text_of_the_world_decodes_to_itself(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    for text in texts[:500] + texts[-500:]:
        assert tokenizer.decode(ids_of(tokenizer, text)) == text


def test_pad_is_not_the_end_and_the_vocabulary_is_small(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.pad_token == "<|endoftext|>" and tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.bos_token is None and tokenizer.model_max_length == 128
    assert len(tokenizer) <= 1000
    assert all(
        len(ids_of(tokenizer, s)) == 1 for s in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "user", "assistant")
    )


def test_every_digit_is_a_token_of_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    digits = [ids_of(tokenizer, digit) for digit in "0123456789"]
    assert all(len(ids) == 1 for ids in digits)
    assert [tokenizer.decode([token]) for token in ids_of(tokenizer, "We get 13=1 0")][-6:] == [
        "1",
        "3",
        "=",
        "1",
        " ",
        "0",
    ]
    for text in ("It is 7+8=15.", "算出7+8=15。", "20252025"):
        tokens = ids_of(tokenizer, text)
        assert sum([token] in digits for token in tokens) == sum(
            letter.isascii() and letter.isdigit() for letter in text
        )


def test_a_fact_is_the_same_tokens_wherever_it_stands(tokenizer: PreTrainedTokenizerFast) -> None:
    for fact in FACTS:
        if fact.topic not in ("capitals", "colours", "opposites"):
            continue
        space = " " if fact.language == "en" else ""
        key, answer = ids_of(tokenizer, space + fact.key), ids_of(tokenizer, space + fact.answer)
        assert all(contains(ids_of(tokenizer, text), key) for text in wordings(fact))
        for tone in TONES:
            assert all(contains(ids_of(tokenizer, "\n" + text), answer) for text in answers(fact, tone))


def test_questions_and_answers_are_short(tokenizer: PreTrainedTokenizerFast) -> None:
    for fact in FACTS:
        assert max(len(ids_of(tokenizer, text)) for text in wordings(fact)) <= 20
        assert max(len(ids_of(tokenizer, text)) for tone in TONES for text in answers(fact, tone)) <= 24


def test_a_chat_is_written_as_chatml(tokenizer: PreTrainedTokenizerFast) -> None:
    chat = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello."}]
    written = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.apply_chat_template(chat, tokenize=False) == written + "Hello.<|im_end|>\n"
    assert tokenizer.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True) == written
    system = [{"role": "system", "content": "Be nice."}, *chat[:1]]
    start = "<|im_start|>system\nBe nice.<|im_end|>\n<|im_start|>user\nHello!<|im_end|>\n"
    assert tokenizer.apply_chat_template(system, tokenize=False) == start


def masked_text(tokenizer: PreTrainedTokenizerFast, chat: Chat) -> str:
    seen = tokenizer.apply_chat_template(chat, return_assistant_tokens_mask=True, return_dict=True)
    assert len(seen["assistant_masks"]) == len(seen["input_ids"])
    return tokenizer.decode(
        [token for token, mask in zip(seen["input_ids"], seen["assistant_masks"], strict=True) if mask]
    )


def test_the_assistant_mask_is_the_answer_with_its_end_token(tokenizer: PreTrainedTokenizerFast) -> None:
    for chat in chats(300, seed=9):
        assert masked_text(tokenizer, chat) == chat[1]["content"] + "<|im_end|>"
    talk = [*chats(1, seed=1)[0], *chats(1, seed=2)[0]]
    assert masked_text(tokenizer, talk) == talk[1]["content"] + "<|im_end|>" + talk[3]["content"] + "<|im_end|>"
    odd = [{"role": "user", "content": "\n"}, {"role": "assistant", "content": "\n \n a"}]
    assert masked_text(tokenizer, odd) == "\n \n a<|im_end|>"


def test_the_prompts_tokens_begin_the_whole_chats_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    odd = [[{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": text}] for text in HOSTILE]
    for chat in chats(300, seed=10) + odd:
        prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=True)["input_ids"]
        whole = tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"]
        answer = ids_of(tokenizer, chat[1]["content"])
        assert whole == prompt + answer + ids_of(tokenizer, "<|im_end|>\n")


def test_training_twice_gives_the_same_tokenizer(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    again = build_tokenizer(texts)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_a_saved_tokenizer_comes_back_whole(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.chat_template == tokenizer.chat_template and loaded.model_max_length == 128
    assert (loaded.pad_token_id, loaded.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    for chat in chats(50, seed=11):
        both = [t.apply_chat_template(chat, return_dict=True)["input_ids"] for t in (tokenizer, loaded)]
        assert both[0] == both[1]
        assert masked_text(loaded, chat) == chat[1]["content"] + "<|im_end|>"
    assert all(loaded.decode(ids_of(loaded, text)) == text for text in HOSTILE)


@pytest.mark.parametrize("text", ["加拿大的首都是渥太华。", "It is 13. 祝您愉快！", "尚硅谷🙂"])
def test_characters_of_several_tokens_are_told_whole(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = ids_of(tokenizer, text)
    pieces = decode_each(tokenizer, ids)
    assert len(pieces) == len(ids) and "".join(pieces) == text and "\ufffd" not in "".join(pieces)
    assert decode_each(tokenizer, []) == []


def test_a_text_that_ends_within_a_character_says_so(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = ids_of(tokenizer, "It is 🙂")[:-1]
    pieces = decode_each(tokenizer, ids)
    assert "".join(pieces) == tokenizer.decode(ids) and pieces[-1].endswith("\ufffd")
