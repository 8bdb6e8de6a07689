"""Tiny tokenizers of each kind that chat models have, and templates after the behaviour of real ones."""

import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = [
    "the cat sat on the mat", "what is two and two? it is four.", "hello, how are you?", "你好，的是", "1 2 3 yes no",
    "<think>\nadd\n</think>\n\nfour.", "\n\nhello\n\n\nyes\n", " four  four ", "one\n two ", "assistant\n", "user\n",
] * 20  # fmt: skip


def tokenizer_of(kind, template, controls, *, eos, named=True, special=True, **more):
    """Return a tokenizer trained on a few texts: bytes, bytes with a space in front, or Metaspace of each scheme.

    `named`: all controls are named in its configuration; `special`: the added tokens themselves are flagged special.
    """
    is_bytes = kind.startswith("bytes")
    backend = Tokenizer(models.BPE(byte_fallback=not is_bytes))
    if is_bytes:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "bytes with a space in front")
        backend.decoder = decoders.ByteLevel()
        first, alphabet = [], pre_tokenizers.ByteLevel.alphabet()
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind)
        backend.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        first, alphabet = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))], sorted({*"".join(TEXTS)} - {"\n"})
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=first, initial_alphabet=alphabet, show_progress=False
    )  # fmt: skip
    backend.train_from_iterator(TEXTS, trainer)
    tokens = [AddedToken(text, special=special, normalized=False) for text in controls]
    (backend.add_special_tokens if special else backend.add_tokens)(tokens)
    if named:
        more["extra_special_tokens"] = [text for text in controls if text not in (eos, *more.values())]
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos, **more)
    tokenizer.chat_template = template
    return tokenizer


KINDS = ["bytes", "bytes with a space in front", "first", "always", "never"]

FOR_ALL = "{% for m in messages %}"
CHATML = (
    FOR_ALL + "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TRIMS = (
    "{{ bos_token }}" + FOR_ALL + "{{ '<|head|>' + m['role'] + '<|/head|>\n\n' + m['content'] | trim + '<|eot|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|head|>assistant<|/head|>\n\n' }}{% endif %}"
)
TAKES_TURNS = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + FOR_ALL
    + "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles take turns') }}{% endif %}"
    "{{ '<turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{{ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}"
)
ROLE_TOKENS = (
    FOR_ALL + "{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
EOS_AND_BREAK = (
    FOR_ALL + "{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
SPACE_BEFORE = (
    "{{ bos_token }}" + FOR_ALL + "{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}{% else %}"
    "{{ ' [INST] ' + m['content'] + ' [/INST]' }}{% endif %}{% endfor %}"
)
SPACE_BEHIND = (
    FOR_ALL + "{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}{% else %}"
    "{{ bos_token + '[INST] ' + m['content'] | trim + ' [/INST]' }}{% endif %}{% endfor %}"
)
SYSTEM_LAST = (
    "{% set wish = '' %}{% set rest = messages %}{% if messages[0]['role'] == 'system' %}"
    "{% set wish = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}{% endif %}{{ bos_token }}"
    "{% for m in rest %}{% if m['role'] == 'user' %}"
    "{{ '[INST]' + (wish if loop.last else '') + m['content'] + '[/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
OPENS_A_THOUGHT = (
    "{{ bos_token }}" + FOR_ALL + "{% if m['role'] == 'assistant' %}"
    "{{ '<Assistant>' + m['content'].split('</think>')[-1] + eos_token }}{% else %}{{ '<User>' + m['content'] }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<Assistant><think>\n' }}{% endif %}"
)
THINKS = (
    "{% set ns = namespace(last=-1) %}" + FOR_ALL + "{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}" + FOR_ALL + "{% if m['role'] == 'assistant' %}{% set thought = '' %}"
    "{% set said = m['content'] %}{% if '</think>' in said %}"
    "{% set thought = said.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>assistant\n' }}{% if loop.index0 > ns.last %}{{ '<think>\n' + thought + '\n</think>\n\n' }}"
    "{% endif %}{{ said + '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)
DOES_NOT_THINK = "{%- set enable_thinking = false %}" + THINKS

# template, its control tokens, the tokenizer's eos
IM = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
TEMPLATES = {
    "chatml": (CHATML, IM, {"eos": "<|im_end|>"}),
    "chatml, another eos": (CHATML, IM, {"eos": "<|endoftext|>"}),
    "trims": (TRIMS, ["<|begin|>", "<|head|>", "<|/head|>", "<|eot|>"], {"eos": "<|eot|>", "bos_token": "<|begin|>"}),
    "takes turns": (
        TAKES_TURNS, ["<bos>", "<eos>", "<turn>", "<end_of_turn>"], {"eos": "<eos>", "bos_token": "<bos>"}),
    "role tokens": (
        ROLE_TOKENS, ["<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"], {"eos": "<|endoftext|>"}),
    "eos and break": (EOS_AND_BREAK, ["<s>", "</s>"], {"eos": "</s>", "bos_token": "<s>"}),
    "space before": (SPACE_BEFORE, ["<s>", "</s>"], {"eos": "</s>", "bos_token": "<s>"}),
    "space behind": (SPACE_BEHIND, ["<s>", "</s>"], {"eos": "</s>", "bos_token": "<s>"}),
    "thinks": (THINKS, IM, {"eos": "<|im_end|>"}),
    "does not think": (DOES_NOT_THINK, IM, {"eos": "<|im_end|>"}),
}  # fmt: skip


def made(name, kind="bytes", **more):
    """Return a tokenizer of that kind with the template of that name."""
    template, controls, options = TEMPLATES[name]
    return tokenizer_of(kind, template, controls, **(options | more))


def said(role, content, **more):
    """Return a message."""
    return {"role": role, "content": content, **more}


def talk(*contents):
    """Return a conversation whose contents are the user's and the assistant's in turn."""
    return [said(("user", "assistant")[turn % 2], content) for turn, content in enumerate(contents)]
