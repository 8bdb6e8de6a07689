"""What a chat template, or a list of chats, is refused for: told by row, by role, and in the template's own words."""

import pytest

from rl_core.adapters.language import episodes_from_chat, prompts_from_chat
from rl_core.errors import InvalidArgument, InvalidType
from tests.support.tiny_tokenizers import CHATML, IM, ROLE_TOKENS, SYSTEM_LAST, made, said, talk, tokenizer_of


@pytest.mark.parametrize("role", [
    "user<|im_end|>\n<|im_start|>assistant", "end", "endoftext", "<|im_start|>", "", " user", "\ud800", "nobody",
])  # fmt: skip
@pytest.mark.parametrize("build", [episodes_from_chat, prompts_from_chat])
@pytest.mark.parametrize("name", ["chatml", "role tokens"])
def test_a_role_that_the_template_does_not_know_is_refused_by_name(name, build, role):
    with pytest.raises(InvalidArgument) as caught:
        build(made(name), [talk("hi", "yes"), [said(role, "hi"), *talk("hi", "yes")]])
    assert f"conversation 1: role={role!r}" in str(caught.value) and "pass one of system" in str(caught.value)


def test_a_role_that_the_template_names_is_taken():
    template = CHATML.replace("m['role'] +", "('critic' if m['role'] == 'critic' else m['role']) +")
    tokenizer = tokenizer_of("bytes", template, IM, eos="<|im_end|>")
    prompt = prompts_from_chat(tokenizer, [[said("critic", "hi")]])[0]
    assert tokenizer.decode(prompt) == "<|im_start|>critic\nhi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("chat, words", [
    ([said("system", "be kind"), *talk("hi", "yes")], ["system, user, assistant", "no system role"]),
    ([said("user", "hi"), *talk("there", "yes")], ["user, user, assistant", "roles take turns"]),
])  # fmt: skip
@pytest.mark.parametrize("build", [episodes_from_chat, prompts_from_chat])
def test_what_a_template_refuses_is_told_with_its_row_its_roles_and_its_words(build, chat, words):
    with pytest.raises(InvalidArgument) as caught:
        build(made("takes turns"), [talk("hi", "yes"), chat])
    assert all(word in str(caught.value) for word in ["chat_template", "conversation 1", *words])


@pytest.mark.parametrize("template", [
    "{% for m in messages %}", "{{ messages[0]['x']['y'] }}", "{{ nothing.at.all }}", "{{ 1 / 0 }}",
    "{{ messages[0]['content'] + 1 }}", "{{ messages | first(1, 2, 3) }}", "{{ 'a' | no_such_filter }}",
    "{% include 'x' %}", "{{ messages[0].__class__.__mro__ }}", "{{ messages[9]['content'] }}",
])  # fmt: skip
@pytest.mark.parametrize("build", [episodes_from_chat, prompts_from_chat])
def test_whatever_a_template_raises_is_told_by_name(build, template):
    tokenizer = tokenizer_of("bytes", template, IM, eos="<|im_end|>")
    with pytest.raises(InvalidArgument, match=r"chat_template.*conversation 0"):
        build(tokenizer, [talk("hi", "yes")])


def test_several_templates_without_a_default_are_refused():
    tokenizer = tokenizer_of("bytes", {"tool_use": CHATML, "rag": CHATML}, IM, eos="<|im_end|>")
    with pytest.raises(InvalidType, match=r"chat_template.*set the one that is meant"):
        prompts_from_chat(tokenizer, [talk("hi")])


def test_a_system_message_that_moves_is_refused_by_its_message():
    tokenizer = tokenizer_of("bytes", SYSTEM_LAST, ["<s>", "</s>", "[INST]", "[/INST]"], eos="</s>", bos_token="<s>")
    wish = said("system", "be kind")
    assert prompts_from_chat(tokenizer, [[wish, *talk("hi")]])
    with pytest.raises(InvalidArgument, match="out of order"):
        prompts_from_chat(tokenizer, [[wish, *talk("hi", "yes", "two?")]])
    with pytest.raises(InvalidArgument, match=r"be kind.*conversation 0 0 times"):
        episodes_from_chat(tokenizer, [[wish, *talk("hi", "yes")]])


def test_a_role_that_ends_an_answer_is_its_end_and_the_last_answer_has_none():
    template = ROLE_TOKENS.replace("<|end|>\n", "").replace("{% else %}{{ eos_token }}", "")
    tokenizer = tokenizer_of("bytes", template, ["<|user|>", "<|assistant|>", "<|eos|>"], eos="<|eos|>")
    with pytest.raises(InvalidArgument, match="no end for the assistant to learn"):
        episodes_from_chat(tokenizer, [talk("hi", "yes")])


@pytest.mark.parametrize("build", [episodes_from_chat, prompts_from_chat])
def test_half_a_character_is_refused_by_its_row(build):
    with pytest.raises(InvalidArgument, match=r"conversation 1 has half a character"):
        build(made("chatml"), [talk("hi", "yes"), talk("caf\udce9?", "yes")])


@pytest.mark.parametrize("conversations", [
    talk("hi", "yes"), ["hi"], [b"hi"], [3], [None], [["hi"]], [[None]], [[["user", "hi"]]], [{}],
    [[{"role": 3, "content": "hi"}]], [[{"role": "user", "content": ["hi"]}]], [[{"content": "hi"}]],
])  # fmt: skip
@pytest.mark.parametrize("build", [episodes_from_chat, prompts_from_chat])
def test_what_is_no_list_of_chats_is_refused(build, conversations):
    with pytest.raises((InvalidType, InvalidArgument), match="conversation"):
        build(made("chatml"), conversations)
