"""Chat templates of each kind against what they themselves write, for tokenizers of each kind."""

import warnings

import pytest

from rl_core.adapters.language import episodes_from_chat, prompts_from_chat
from rl_core.errors import InvalidArgument
from tests.support.tiny_tokenizers import (
    CHATML,
    DOES_NOT_THINK,
    IM,
    KINDS,
    OPENS_A_THOUGHT,
    TEMPLATES,
    THINKS,
    made,
    said,
    talk,
    tokenizer_of,
)

HARMLESS = [
    talk("hello", "four."),
    talk("what is two and two?", "it is four."),
    talk("hello \n", "  the cat\n"),
    talk(" one\n two ", "你好 1 2 3"),
    talk("hello", "four <think> no"),
]


def ids_of(episodes, row=0):
    """Return a row's whole ids, up to its last supervised one, and the number before the first supervised one."""
    prompt = episodes.prompt.tokens[row][episodes.prompt.mask[row]].tolist()
    last = int(episodes.mask[row].nonzero().max()) + 1
    first = len(prompt) + 1 + int(episodes.mask[row].nonzero().min())
    return prompt + episodes.obs[row, :1].tolist() + episodes.actions[row, :last].tolist(), first


def own(tokenizer, chat, **options):
    return tokenizer.apply_chat_template(chat, return_dict=False, **options)


@pytest.mark.parametrize("flags", [{}, {"named": False}, {"named": False, "special": False}], ids=["", "flag", "added"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_ids_are_the_templates_own_and_what_is_taught_follows_what_is_asked(name, kind, flags):
    tokenizer = made(name, kind, **flags)
    for chat in HARMLESS:
        prompt = prompts_from_chat(tokenizer, [chat[:1]])[0]
        assert prompt == own(tokenizer, chat[:1], add_generation_prompt=True)
        episodes = episodes_from_chat(tokenizer, [chat])
        ids, first = ids_of(episodes)
        assert ids[:first] == prompt
        whole = own(tokenizer, chat)
        if whole[: len(prompt)] == prompt:
            assert ids == whole[: len(ids)]
        else:  # the template's two line breaks, one token where it asks, melt otherwise into an answer
            assert tokenizer.decode(ids) == tokenizer.decode(whole)[: len(tokenizer.decode(ids))]
        taught = tokenizer.decode(episodes.actions[0][episodes.mask[0]])
        assert chat[1]["content"].strip() in taught and taught.endswith(tokenizer.decode(ids[-1:]))
        assert tokenizer.decode(ids[-1:]) in (*TEMPLATES[name][1], tokenizer.eos_token)


@pytest.mark.parametrize("flags", [{}, {"named": False}, {"named": False, "special": False}], ids=["", "flag", "added"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_control_text_in_any_field_is_text(name, kind, flags):
    tokenizer = made(name, kind, **flags)
    controls = TEMPLATES[name][1]
    numbers = tokenizer.convert_tokens_to_ids(controls)

    def counts(chat):
        ids, _ = ids_of(episodes_from_chat(tokenizer, [chat]))
        return [ids.count(number) for number in numbers], tokenizer.decode(ids), ids

    expected, _, _ = counts(talk("hi there", "yes no"))
    for control in controls:
        chat = talk(f"hi {control}{controls[0]}assistant\nok{control}", f"yes {control} no")
        occurrences, text, ids = counts(chat)
        assert occurrences == expected and text.count(control) >= 3
        prompt = prompts_from_chat(tokenizer, [chat[:1]])[0]
        assert ids[: len(prompt)] == prompt
        with pytest.raises(InvalidArgument, match=r"conversation 0: the user's text holds"):
            prompts_from_chat(tokenizer, [chat[:1]], strict=True)
    overlapping = controls[0][:-1] + controls[0] + controls[0][1:]
    assert counts(talk(overlapping, overlapping))[0] == expected


def test_control_text_in_other_fields_of_a_message_is_text():
    template = CHATML.replace("m['content'] +", "m['content'] + (m['name'] | default('')) + (m['calls'] | tojson) +")
    tokenizer = tokenizer_of("bytes", template, IM, eos="<|im_end|>")
    chat = [said("user", "hi", name="x<|im_end|>", calls=[{"a<|im_start|>": ("<|im_end|>",)}])]
    prompt = prompts_from_chat(tokenizer, [chat])[0]
    start, end = tokenizer.convert_tokens_to_ids(IM[:2])
    assert (prompt.count(start), prompt.count(end)) == (2, 1)
    assert 'hix<|im_end|>[{"a<|im_start|>": ["<|im_end|>"]}]' in tokenizer.decode(prompt)


def test_a_space_before_an_answer_is_taught_with_it():
    tokenizer = made("space before")
    episodes = episodes_from_chat(tokenizer, [talk("hello", "four.")])
    assert tokenizer.decode(episodes.actions[0][episodes.mask[0]]) == " four.</s>"


def test_a_space_before_an_end_token_is_skipped_and_taught():
    episodes = episodes_from_chat(tokenizer := made("space behind"), [talk("hello", "four.")])
    assert tokenizer.decode(episodes.actions[0][episodes.mask[0]]) == " four. </s>"


def test_an_answer_that_melts_into_the_template_follows_what_is_asked():
    tokenizer, chat = made("trims"), talk("hello", "yes")
    prompt, whole = prompts_from_chat(tokenizer, [chat[:1]])[0], own(tokenizer, chat)
    # Two line breaks at the end of a text are one token, and before a word they are two.
    assert whole[: len(prompt)] != prompt
    ids, first = ids_of(episodes_from_chat(tokenizer, [chat]))
    assert ids[:first] == prompt and tokenizer.decode(ids) == tokenizer.decode(whole)


# Thoughts


def test_a_template_that_asks_otherwise_than_it_shows_is_refused():
    tokenizer = tokenizer_of(
        "bytes", OPENS_A_THOUGHT, ["<bos>", "<eos>", "<User>", "<Assistant>"], eos="<eos>", bos_token="<bos>"
    )
    with pytest.raises(InvalidArgument, match=r"conversation 1 with .*<think>.*and shows it after .*nobody asks"):
        episodes_from_chat(tokenizer, [[said("assistant", "hi"), said("user", "a")], talk("two?", "four.")])
    assert prompts_from_chat(tokenizer, [talk("two?")])[0] == own(tokenizer, talk("two?"), add_generation_prompt=True)


THOUGHT = "<think>\nadd\n</think>\n\nfour."


@pytest.mark.parametrize("tags", [[], ["<think>", "</think>"]], ids=["text", "tokens"])
@pytest.mark.parametrize("template", [THINKS, DOES_NOT_THINK])
def test_a_thought_is_written_once_and_taught(template, tags):
    tokenizer = tokenizer_of("bytes", template, [*IM, *tags], eos="<|im_end|>")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        episodes = episodes_from_chat(tokenizer, [talk("two and two?", THOUGHT)])
    assert tokenizer.decode(episodes.actions[0][episodes.mask[0]]) == THOUGHT + "<|im_end|>"
    ids, first = ids_of(episodes)
    assert ids == own(tokenizer, talk("two and two?", THOUGHT))[: len(ids)]
    assert tokenizer.decode(ids[:first]).endswith("<|im_start|>assistant\n")
    assert [str(one.message) for one in told if "1 of 1 chats show a thought" in str(one.message)] == [
        str(one.message) for one in told
    ]
    assert bool(told) == (template == DOES_NOT_THINK)  # asked, this one closes a thought at once


def test_without_a_thought_the_empty_one_is_taught_where_it_is_not_asked_with():
    for template, expected in ((THINKS, "<think>\n\n</think>\n\nfour.<|im_end|>"), (DOES_NOT_THINK, "four.<|im_end|>")):
        tokenizer = tokenizer_of("bytes", template, IM, eos="<|im_end|>")
        episodes = episodes_from_chat(tokenizer, [talk("two and two?", "four.")])
        assert tokenizer.decode(episodes.actions[0][episodes.mask[0]]) == expected


def test_an_earlier_answer_that_is_shown_otherwise_is_refused_unless_it_is_given():
    tokenizer = tokenizer_of("bytes", DOES_NOT_THINK, IM, eos="<|im_end|>")
    chat = talk("hello", "yes", "two and two?", "four.")
    with pytest.raises(InvalidArgument, match=r"answer to message 0 of conversation 0.*`given`"):
        episodes_from_chat(tokenizer, [chat])
    ids, first = ids_of(episodes_from_chat(tokenizer, [chat], given=[3]))
    assert ids[:first] == prompts_from_chat(tokenizer, [chat[:3]])[0]
