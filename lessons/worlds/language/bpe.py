"""The tokenizer of the language world: a byte-level BPE of at most 1,000 tokens, with Qwen's chat format."""

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 1000
MAX_LENGTH = 128
PAD = "<|endoftext|>"  # not the end token: a mask that hides padding would hide the end, and answers would never stop
START = "<|im_start|>"
END = "<|im_end|>"

# No merge reaches across a cut. Cut are: words with the space before them, single digits, white space, punctuation, and
# the two commonest Chinese particles: Chinese has no spaces, and without these cuts a frequent fact would be glued to
# the words before it in one sentence and not in another.
CUTS = Regex(r" ?[A-Za-z']+|[0-9]|[的是]|\s|[^\w\s]")

# Jinja eats a line break after a tag, so each one is written inside a string.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- message['content'] + '<|im_end|>' -}}"
    "{%- endif -%}"
    "{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def train_bpe(texts: Sequence[str]) -> Tokenizer:
    """Return a byte-level BPE trained on the texts: every string can be encoded, and decodes to itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(CUTS, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # The role names stand in every chat, though in none of the texts.
    roles = ["user\nassistant\nsystem"] * max(1, len(texts))
    tokenizer.train_from_iterator([*texts, *roles], trainer=trainer)
    return tokenizer


def build_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained on the texts, with special tokens and chat template in place."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=train_bpe(texts),
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
