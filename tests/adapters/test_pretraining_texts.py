"""Plain texts as episodes: every token counts, from one boundary to the next, and nothing else does."""

import pytest
import torch

from lessons.worlds.language.bpe import build_tokenizer
from rl_core.adapters.language import TokenNetwork, episodes_from_texts
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions
from rl_core.losses.sft import sft_loss
from tests.support.worlds import language_model

TEXTS = ["the cat sat on the mat", "hello", "你好，的是\n\n 1 2 3 ", "a"]
BOUNDARY = 0


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["the cat sat on the mat", "hello, how are you?", "你好，的是", "1 2 3"] * 20)


def test_each_row_is_its_text_from_one_boundary_to_the_next(tokenizer):
    episodes = episodes_from_texts(tokenizer, TEXTS, boundary=BOUNDARY)
    lengths = episodes.mask.sum(dim=1).tolist()
    assert len(set(lengths)) > 2 and max(lengths) == episodes.mask.shape[1]
    assert torch.equal(episodes.mask, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])
    for row, text in enumerate(TEXTS):
        tokens = episodes.actions[row, : lengths[row]].tolist()
        assert tokenizer.decode(tokens[:-1]) == text and tokens[-1] == BOUNDARY
        assert episodes.obs[row, 0] == BOUNDARY  # the first word is an action too
        assert episodes.obs[row, 1 : lengths[row]].tolist() == tokens[:-1]
    assert episodes.prompt.tokens.shape == episodes.prompt.mask.shape == (4, 0)
    assert episodes.obs.dtype == episodes.actions.dtype == torch.int64 and episodes.mask.dtype == torch.bool


def test_any_token_may_be_the_boundary_and_stands_twice(tokenizer):
    ids = tokenizer("hello", add_special_tokens=False)["input_ids"]
    for boundary in (0, 5, tokenizer.eos_token_id):
        episodes = episodes_from_texts(tokenizer, ["hello"], boundary=boundary)
        assert episodes.obs[0].tolist() == [boundary, *ids] and episodes.actions[0].tolist() == [*ids, boundary]
        assert episodes.mask.all()


def test_control_tokens_in_a_text_are_text(tokenizer):
    control = tokenizer.all_special_ids
    text = "".join(tokenizer.all_special_tokens) + " hi"
    episodes = episodes_from_texts(tokenizer, [text], boundary=control[0])
    inside = episodes.actions[0, :-1]
    assert not torch.isin(inside, torch.tensor(control)).any() and tokenizer.decode(inside) == text


def test_texts_of_unequal_length_are_learnt_as_if_alone(tokenizer):
    network = TokenNetwork(language_model("gpt2", vocab_size=len(tokenizer))).double()
    together = episodes_from_texts(tokenizer, TEXTS, boundary=BOUNDARY)
    logprobs = evaluate_actions(network, together).logprobs
    for row, text in enumerate(TEXTS):
        alone = episodes_from_texts(tokenizer, [text], boundary=BOUNDARY)
        expected = evaluate_actions(network, alone).logprobs[0]
        torch.testing.assert_close(logprobs[row, : len(expected)], expected, rtol=0, atol=1e-12)
    ids = [[BOUNDARY, *tokenizer(text, add_special_tokens=False)["input_ids"], BOUNDARY] for text in TEXTS]
    model = language_model("gpt2", vocab_size=len(tokenizer)).double().eval()
    losses = [model(torch.tensor([row]), labels=torch.tensor([row])).loss.item() * (len(row) - 1) for row in ids]
    mean = sum(losses) / sum(len(row) - 1 for row in ids)  # transformers' own loss, text by text
    assert sft_loss(logprobs, together.mask)[0].item() == pytest.approx(mean, abs=1e-6)


def test_an_empty_text_is_refused_by_its_row(tokenizer):
    with pytest.raises(InvalidArgument, match=r"texts\[1\]=''.*no token; leave"):
        episodes_from_texts(tokenizer, ["hello", ""], boundary=BOUNDARY)
