"""Architectures and configurations that transformers opens: each is played as it speaks itself, or refused by name."""

import copy

import numpy as np
import pytest
import torch
import transformers

from rl_core.adapters.language import TokenEnv, TokenNetwork, TokenScorer
from rl_core.algorithms.dpo import DPOConfig, dpo
from rl_core.algorithms.sft import SFTConfig, sft
from rl_core.errors import InvalidArgument, InvalidType
from rl_core.evaluate import evaluate_actions
from rl_core.pairs import Pairs
from rl_core.rollout import rollout
from tests.support.tiny_models import DECODER, ENCODER, EXPERTS, SHAPE, VOCABULARY, of_kind
from tests.support.worlds import language_model, seeded, text_episodes


def env(rows=4, **options):
    return TokenEnv(
        [[2, 5, 9], [7, 3]], lambda _, answers: [float(len(a) + a[0] % 3) for a in answers], rows,
        **({"max_new_tokens": 5, "eos": 0, "group_size": 2} | options),
    )  # fmt: skip


MODELS = {
    "mixtral": ("mixtral", SHAPE | EXPERTS | {"output_router_logits": True}),
    "mixtral with jitter": ("mixtral", SHAPE | EXPERTS | {"router_jitter_noise": 0.1}),
    "qwen2_moe": ("qwen2_moe", SHAPE | {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
        "output_router_logits": True}),
    "olmoe": ("olmoe", SHAPE | {"num_experts": 4, "num_experts_per_tok": 2, "output_router_logits": True}),
    "phimoe": ("phimoe", SHAPE | EXPERTS | {"output_router_logits": True, "input_jitter_noise": 0.1}),
    "roberta": ("roberta", ENCODER),
    "camembert": ("camembert", ENCODER),
    "xlm-roberta": ("xlm-roberta", ENCODER | {"pad_token_id": 3}),
    "bert": ("bert", ENCODER),
    "llama that answers in tuples": ("llama", SHAPE | {"return_dict": False}),
    "bert that answers in tuples": ("bert", ENCODER | {"return_dict": False}),
    "gpt2": ("gpt2", {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_training_mode_is_played_as_it_speaks_itself(name):
    kind, options = MODELS[name]
    network = TokenNetwork(of_kind(kind, **options).train())
    played = rollout(env(max_new_tokens=8), network.train(), seeded(0))
    network.model.eval()
    tokens = torch.cat([played.prompt.tokens, played.obs[:, :1], played.actions], dim=1)
    for row in range(4):
        start = int((~played.prompt.mask[row]).sum())  # without its pads
        with torch.no_grad():
            own = (
                network.model(tokens[row : row + 1, start:], return_dict=True, output_router_logits=False)
                if ("output_router_logits" in network._accepts)
                else network.model(tokens[row : row + 1, start:], return_dict=True)
            )
        own = torch.log_softmax(own.logits[0, -1 - 8 : -1], dim=-1).gather(-1, played.actions[row, :, None]).squeeze(-1)
        torch.testing.assert_close(own[played.mask[row]], played.logprobs[row][played.mask[row]], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        evaluate_actions(network, played).logprobs, played.logprobs * played.mask, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("name", ["mixtral with jitter", "phimoe"])
def test_dpo_begins_at_log_2_whatever_noise_a_router_has(name):
    kind, options = MODELS[name]
    model = of_kind(kind, **options).train()
    network, reference = TokenNetwork(model), TokenNetwork(copy.deepcopy(model)).requires_grad_(False)
    episodes = rollout(env(8), reference, seeded(3)).episodes()
    pairs = Pairs(episodes.rows(slice(0, None, 2)), episodes.rows(slice(1, None, 2)))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)
    metrics = dpo(network.train(), reference.train(), optimizer, pairs, DPOConfig(minibatch_rows=8), seeded(0))
    assert metrics["loss"] == pytest.approx(0.693147, abs=1e-5)


@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_critics_and_scorers_of_a_model_that_answers_in_tuples_are_those_of_one_that_does_not(critic):
    said = []
    for return_dict in (True, False):
        model = of_kind("llama", **SHAPE | {"return_dict": return_dict})
        network, scorer = TokenNetwork(model, critic=critic), TokenScorer.on_trunk_of(model)
        with torch.no_grad():
            network.value_head.weight.fill_(1.0)
            scorer.model.score.weight.fill_(1.0)
        played = rollout(env(), network, seeded(0))
        said.append((network(played.prompt, played.obs).values, scorer.score(played.episodes())))
    assert all(torch.equal(one, other) for one, other in zip(*said, strict=True))


def test_the_context_of_robertas_family_is_shorter_by_its_pads():
    assert TokenNetwork(of_kind("roberta", **ENCODER)).context == 62
    assert TokenNetwork(of_kind("bert", **ENCODER)).context == 64


@pytest.mark.parametrize("make, words", [
    (lambda: transformers.BartForCausalLM(transformers.BartConfig(**DECODER)), ["BartForCausalLM", "padding"]),
    (lambda: transformers.PegasusForCausalLM(transformers.PegasusConfig(**DECODER)), ["PegasusForCausalLM"]),
    (lambda: of_kind("bert", **ENCODER | {"is_decoder": False}), ["BertLMHeadModel", "token by token"]),
    (lambda: of_kind("recurrent_gemma", **SHAPE | {"lru_width": 32, "attention_window_size": 8}),
     ["RecurrentGemmaForCausalLM", "token by token", "ValueError"]),
])  # fmt: skip
def test_what_cannot_be_played_is_refused_when_it_is_wrapped(make, words):
    with pytest.raises(InvalidType) as caught:
        TokenNetwork(make())
    assert all(word in str(caught.value) for word in [*words, "use a causal"]), str(caught.value)


def test_a_trunk_without_a_twin_that_scores_is_refused():
    with pytest.raises(InvalidType, match=r"BertLMHeadModel has no twin that gives a number.*another architecture"):
        TokenScorer.on_trunk_of(of_kind("bert", **ENCODER))


# Memory and numbers


@pytest.mark.parametrize("critic", [None, "separate", "shared"])
def test_checkpointed_layers_work_where_one_learns_and_keep_the_cache_where_one_plays(critic):
    plain = rollout(env(), TokenNetwork(of_kind("llama", **SHAPE), critic=critic), seeded(0))
    model = of_kind("llama", **SHAPE).train()
    model.activation_checkpointing_enable()
    network, calls = TokenNetwork(model, critic=critic).train(), []
    played = rollout(env(), network, seeded(0))
    assert torch.equal(played.actions, plain.actions) and torch.equal(played.logprobs, plain.logprobs)
    model.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    for learns, count in ((True, 2), (False, 1)):  # again on the way back, and not where nothing is learned
        calls.clear()
        with torch.set_grad_enabled(learns):
            logprobs = evaluate_actions(network, played).logprobs
        if learns:
            logprobs.sum().backward()
        assert len(calls) == count
    assert torch.equal(rollout(env(), network, seeded(0)).logprobs, plain.logprobs)


def test_weights_that_are_no_numbers_are_told_when_they_play():
    model = of_kind("llama", **SHAPE)
    model.model.layers[0].mlp.down_proj.weight.data[0, 0] = float("nan")
    for greedy in (False, True):
        with pytest.raises(InvalidArgument, match=r"logits of row 0 are not finite.*weights"):
            rollout(env(), TokenNetwork(model), seeded(0), greedy=greedy)


def test_a_network_without_a_weight_that_learns_is_told_so():
    network = TokenNetwork(language_model("llama")).requires_grad_(False)
    with pytest.raises(InvalidArgument, match=r"no weight that learns.*requires_grad"):
        sft(network, torch.optim.Adam(network.parameters()), text_episodes([[5]], [[4, 0]]), SFTConfig(), seeded(0))


@pytest.mark.parametrize("eos", [
    3, np.int64(3), np.array([3]), np.array(3), torch.tensor(3), torch.tensor([3]), [np.int32(3)], {3}, (3, 3),
    [torch.tensor(3)],
])  # fmt: skip
def test_whole_numbers_of_any_library_are_ids(eos):
    asked = TokenEnv([torch.tensor([1, 2]), np.array([4]), [np.int64(5)]], len, 1, max_new_tokens=1, eos=eos)
    assert asked.ends.tolist() == [3] and asked.prompts == [[1, 2], [4], [5]]


@pytest.mark.parametrize("options, words", [
    ({"prompts": ["two and two?"]}, ["prompts[0]='two and two?'", "tokenize the text"]),
    ({"prompts": "two?"}, ["prompts[0]='t'", "tokenize the text"]), ({"prompts": [[1], 7.5]}, ["prompts[1]=7.5"]),
    ({"prompts": [[1, "x"]]}, ["prompts[0]", "'x'"]), ({"prompts": [[1, 2.0]]}, ["prompts[0]", "2.0"]),
    ({"prompts": [[True]]}, ["prompts[0]", "True"]), ({"eos": "</s>"}, ["eos='</s>'", "tokenize"]),
    ({"eos": 1.0}, ["eos=1.0"]), ({"eos": [None]}, ["eos", "None"]), ({"eos": None}, ["eos=None"]),
])  # fmt: skip
def test_what_is_no_token_id_is_refused_by_name(options, words):
    given = {"prompts": [[1]], "eos": 3} | options
    with pytest.raises(InvalidType) as caught:
        TokenEnv(given.pop("prompts"), len, 1, max_new_tokens=1, **given)
    assert all(word in str(caught.value) for word in words), str(caught.value)
