"""Language models of the rarer kinds: refused by name, with weights too coarse for a head, or without positions."""

import pytest
import torch
import transformers

from rl_core.adapters.language import TokenNetwork, TokenScorer
from rl_core.algorithms.reward_model import episode_scores
from rl_core.errors import InvalidType
from tests.support.worlds import VOCABULARY, language_model, text_episodes, token_scorer

SMALL = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 1}


def with_an_encoder():
    config = transformers.T5Config(vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return transformers.T5ForConditionalGeneration(config)


def without_a_cache():
    return transformers.MambaForCausalLM(transformers.MambaConfig(**SMALL, state_size=4))


@pytest.mark.parametrize("build, words", [
    (with_an_encoder, "model=T5ForConditionalGeneration has an encoder; use a decoder alone"),
    (without_a_cache, "model=MambaForCausalLM takes no attention mask or cache; use an attention model"),
])  # fmt: skip
def test_a_model_that_cannot_play_is_refused_by_name(build, words):
    with pytest.raises(InvalidType, match=words):
        TokenNetwork(build())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_head_of_a_coarse_model_learns_in_float32(dtype):
    scorer = TokenScorer.on_trunk_of(language_model("llama").to(dtype))
    assert scorer.model.score.weight.dtype == torch.float32
    assert next(scorer.model.base_model.parameters()).dtype == dtype
    assert episode_scores(scorer, text_episodes([[5, 6]], [[1, 2, 0]])).tolist() == [0.0]


def test_a_scorer_without_positions_of_its_own_ignores_padding_too():
    scorer = token_scorer("bloom")  # counts distances, and is told no positions
    plain = episode_scores(scorer, text_episodes([[5, 6], [1]], [[1, 2, 0], [4]]))
    padded = episode_scores(scorer, text_episodes([[5, 6], [1]], [[1, 2, 0], [4]], left=3, right=2, junk=7))
    torch.testing.assert_close(plain, padded, rtol=0, atol=1e-5)
    assert (plain[0] - plain[1]).abs() > 1e-3
