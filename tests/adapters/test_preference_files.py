"""Preference files as people have them: what is asked is read once, what is alike is left out, what is odd is named."""

import json
import random
import warnings

import pytest

from lessons.worlds import load
from lessons.worlds.language.world import tokenizer
from rl_core.adapters.language import Preference, pairs_from_chat, read_preferences
from rl_core.errors import InvalidArgument, RLCoreError
from tests.support.tiny_tokenizers import made, said, talk

ASKED = "what is 2+3?"
USER, YES, NO = said("user", ASKED), said("assistant", "5."), said("assistant", "no.")
WISH = said("system", "be kind")
EARLIER = talk("hello", "hi")


def written(folder, *rows):
    path = folder / "pairs.jsonl"
    path.write_bytes(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))
    return path


def row(prompt, chosen, rejected, **more):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


@pytest.mark.parametrize("line, prompt", [
    (row(ASKED, [USER, YES], [USER, NO], score_chosen=9.0), [USER]),  # UltraFeedback
    (row(ASKED + "\n", [USER, YES], [USER, NO]), [USER]),
    (row(ASKED, [WISH, USER, YES], [WISH, USER, NO]), [WISH, USER]),
    (row(ASKED, [*EARLIER, USER, YES], [*EARLIER, USER, NO]), [*EARLIER, USER]),
    (row([USER], [USER, YES], [USER, NO]), [USER]),
    (row([USER], [USER, YES], [NO]), [USER]),
    (row([WISH, USER], [USER, YES], [USER, NO]), [WISH, USER]),
    (row([WISH, USER], [WISH, USER, YES], [WISH, USER, NO]), [WISH, USER]),
    (row([*EARLIER, USER], [*EARLIER, USER, YES], [*EARLIER, USER, NO]), [*EARLIER, USER]),
    (row([USER], [said("user", ASKED, id=1), YES], [said("user", ASKED, id=2), NO]), [USER]),
    (row(ASKED, [YES], "no."), [USER]),
    ({"chosen": [said("user", ASKED, id=1), YES], "rejected": [said("user", ASKED, id=2), NO]}, [USER]),
])  # fmt: skip
def test_what_is_asked_is_read_once(tmp_path, line, prompt):
    (preference,) = read_preferences(written(tmp_path, line))
    words = [[(m["role"], m["content"]) for m in part] for part in (preference.prompt, preference.chosen)]
    assert words == [[(m["role"], m["content"]) for m in part] for part in (prompt, [YES])]
    assert preference.rejected == [NO]


def test_a_prompt_that_the_answers_contradict_is_refused(tmp_path):
    path = written(tmp_path, row(ASKED, [USER, YES], [USER, NO]), row("what else?", [USER, YES], [USER, NO]))
    with pytest.raises(InvalidArgument, match=r"line 2, column 2: prompt is 'what else\?'.*2\+3.*leave one out"):
        read_preferences(path)
    other = [said("user", "what else?"), YES]
    with pytest.raises(InvalidArgument, match=r"line 1: the prompt ends with the user's words, and chosen begins"):
        pairs_from_chat(tokenizer(), read_preferences(written(tmp_path, row([USER], other, [NO]))))


def test_a_prompt_that_ends_with_the_assistant_is_refused(tmp_path):
    path = written(tmp_path, row([USER, said("assistant", "It is ")], "5.", "no."))
    with pytest.raises(InvalidArgument, match=r"pairs\.jsonl, line 1: the prompt ends with the assistant's words"):
        load("language").read_preferences(path)


def test_a_shared_answer_before_another_question_is_context(tmp_path):
    chosen, rejected = [*EARLIER, USER, YES], [*EARLIER, said("user", "two?"), NO]
    (preference,) = read_preferences(written(tmp_path, {"chosen": chosen, "rejected": rejected}))
    assert preference.prompt == EARLIER and pairs_from_chat(tokenizer(), [preference])


@pytest.mark.parametrize("text, asks", [(ASKED, 1), ("5", 0)])
def test_answers_that_say_the_prompt_again_are_read_as_they_are_with_a_warning(tmp_path, text, asks):
    path = written(tmp_path, row(ASKED, f"{text} 5.", f"{text} no."), row("two?", "two.", "three."))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert read_preferences(path)[0].chosen == [said("assistant", f"{text} 5.")]
    assert ["in 1 of 2 rows" in str(warning.message) for warning in told] == [True] * asks


MARK = "\ufeff".encode()


def test_byte_order_marks_are_no_part_of_a_line(tmp_path):
    line = json.dumps(row("p", "c\ufeff", "r")).encode()
    path = written(tmp_path, MARK + line, line, MARK + line, MARK)  # files that were joined have several
    assert (
        read_preferences(path) == [Preference(talk("p"), [said("assistant", "c\ufeff")], [said("assistant", "r")])] * 3
    )
    with pytest.raises(InvalidArgument, match="line 1, column 2: Expecting property name"):
        read_preferences(written(tmp_path, MARK + b"{]"))


ALIKE = [
    row("p", [said("assistant", "same", model="a")], [said("assistant", "same", model="b")]),
    row("p", "caf\u00e9", "cafe\u0301"),  # the tokenizer normalises
    row("p", "same", "same"),
    {"chosen": [USER, {**YES, "id": 1}], "rejected": [USER, {**YES, "id": 2}]},
]


def test_answers_of_the_same_tokens_are_alike(tmp_path):
    for line in ALIKE:
        with pytest.raises(InvalidArgument, match="1 rows, of which 1 have chosen == rejected"):
            load("language").read_preferences(written(tmp_path, line))
    with pytest.warns(UserWarning, match="4 of 6 preferences have chosen == rejected"):
        pairs = load("language").read_preferences(written(tmp_path, *ALIKE, row("p", "c", "r"), row("p", "r", "c")))
    assert len(pairs) == 2 and not (pairs.chosen.actions == pairs.rejected.actions).all(dim=1).any()


def test_a_trimming_template_makes_answers_alike_that_differ_in_white_space():
    pair = Preference(talk("p"), [said("assistant", "yes")], [said("assistant", "yes\n")])
    with pytest.raises(InvalidArgument, match="chosen == rejected"):
        pairs_from_chat(made("trims"), [pair])
    assert len(pairs_from_chat(made("chatml"), [pair])) == 1


@pytest.mark.parametrize("line, prompt, kind, answer", [
    (row("word " * 200, "yes", "no"), 1000, "chosen", 2), (row("p", "yes", "word " * 200), 8, "rejected", 1000),
])  # fmt: skip
def test_a_row_that_does_not_fit_is_named_with_three_numbers(tmp_path, line, prompt, kind, answer):
    path = written(tmp_path, row("p", "c", "r"), b"", line)
    with pytest.raises(InvalidArgument) as caught:
        load("language").read_preferences(path)
    message = str(caught.value)
    words = tokenizer()
    asked = len(words.apply_chat_template(talk(line["prompt"]), add_generation_prompt=True)["input_ids"])
    said_ids = len(words(line[kind], add_special_tokens=False)["input_ids"]) + 1  # its end
    assert message.startswith(f"{path}, line 3: the prompt has {asked} tokens and {kind} has {said_ids}, ")
    assert f"context={words.model_max_length}" in message


def test_what_a_template_refuses_is_told_with_file_line_and_role(tmp_path):
    path = written(tmp_path, row("p", "c", "r"), row([WISH, USER], "c", "r"))
    with pytest.raises(InvalidArgument, match=r"pairs\.jsonl, line 2, chosen, with the roles system, user, assistant"):
        pairs_from_chat(made("takes turns"), read_preferences(path))
    for role in ("user<|im_end|>\n<|im_start|>assistant", "\ud800"):
        path = written(tmp_path, row([said(role, "hi"), USER], "c", "r"))
        with pytest.raises(InvalidArgument, match="line 1, chosen: role="):
            pairs_from_chat(made("chatml"), read_preferences(path))


TEXTS = ["hi", "yes", "no.", " \n", "<|im_end|>", "<think>a</think>b", "\u0000é", "\u2028\ufeff"]


def value_of(rng, depth=0):
    """Return a random value of JSON."""
    if depth > 3 or rng.random() < 0.4:
        return rng.choice([None, True, 7, float("inf"), "", "\ud800", "user", *TEXTS])
    if rng.random() < 0.5:
        return [value_of(rng, depth + 1) for _ in range(rng.randrange(4))]
    keys = rng.sample(["role", "content", "prompt", "chosen", "rejected", "name", "tool_calls"], rng.randrange(5))
    return {key: value_of(rng, depth + 1) for key in keys}


def mostly(rng, right):
    """Return what is right nineteen times of twenty, and else anything."""
    return right if rng.random() < 0.95 else value_of(rng)


def chat_of(rng, last):
    """Return a random chat that ends with this role, as a rule."""
    roles = [*rng.sample(["system", "user", "assistant", "tool"], rng.randrange(2)), last]
    return [
        {"role": mostly(rng, role), "content": mostly(rng, rng.choice(TEXTS)), "name": value_of(rng)} for role in roles
    ]


@pytest.mark.parametrize("seed", range(6))
def test_random_lines_are_read_or_refused_with_a_typed_error(tmp_path, seed):
    rng, words = random.Random(seed), made("chatml")
    told, read = [], 0
    for _ in range(300):
        parts = [mostly(rng, chat_of(rng, last)) for last in ("user", "assistant", "assistant")]
        line = json.dumps(mostly(rng, row(*parts))).encode()
        if rng.random() < 0.1:
            line = bytes(byte ^ (rng.random() < 0.02) for byte in line).replace(b"\n", b" ")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read += len(pairs_from_chat(words, read_preferences(written(tmp_path, line))))
            except RLCoreError as error:
                told.append(str(error))
    assert all("pairs.jsonl" in text or "chosen == rejected" in text for text in told)
    assert read > 20 and len(told) > 20
