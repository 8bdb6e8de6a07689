"""Adapters around architectures that have more than plain linear layers, and an adapter that peft itself opens."""

import pytest
import torch
import transformers

pytest.importorskip("peft", reason="pip install -r requirements-real.txt")

import peft

from rl_core.adapters.language import TokenNetwork
from rl_core.adapters.language.lora import LoRANetwork, layers_to_adapt
from rl_core.algorithms.grpo import GRPOConfig, grpo
from rl_core.errors import InvalidArgument
from rl_core.evaluate import evaluate_actions
from rl_core.rollout import rollout
from tests.support.tiny_models import ENCODER, EXPERTS, SHAPE, of_kind
from tests.support.worlds import language_model, seeded, token_env

MAMBA = {"mamba_d_ssm": 32, "mamba_n_heads": 8, "mamba_d_head": 4, "mamba_d_state": 8, "mamba_n_groups": 1}
MODELS = {
    "mixtral": ("mixtral", SHAPE | EXPERTS, "q_proj"),
    "phimoe": ("phimoe", SHAPE | EXPERTS, "q_proj"),  # its router is a linear layer that returns three things
    "falcon_h1": ("falcon_h1", SHAPE | MAMBA | {"head_dim": 8}, "in_proj"),  # kernels read out_proj past an adapter
    "bert": ("bert", ENCODER, "query"),
    "gpt2": ("gpt2", {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}, "c_attn"),
}


def taught(network):
    """Return a rollout of the network, after one update on it."""
    played = rollout(token_env(group_size=2), network, seeded(1))
    learns = [weight for weight in network.parameters() if weight.requires_grad]
    config = GRPOConfig(group_size=2)
    grpo(network, network.without_adapter(), torch.optim.Adam(learns, lr=1e-2), played, config, seeded(2))
    return played


@pytest.mark.parametrize("name", MODELS)
def test_an_adapter_learns_and_is_merged(name):
    kind, options, layer = MODELS[name]
    network = LoRANetwork(of_kind(kind, **options), rank=2)
    names = [name for name, weight in network.named_parameters() if weight.requires_grad]
    assert any(f".{layer}.lora_A" in name for name in names)
    assert not any("router" in name or "mamba.out_proj" in name or "lm_head" in name for name in names)
    before = {name: weight.clone() for name, weight in network.named_parameters() if weight.requires_grad}
    played = taught(network)
    moved = [name for name, weight in network.named_parameters() if name in before and (weight != before[name]).any()]
    assert any("lora_B" in name for name in moved)
    with torch.no_grad():
        now, merged = evaluate_actions(network, played), evaluate_actions(TokenNetwork(network.merged()), played)
    torch.testing.assert_close(merged.logprobs, now.logprobs, rtol=0, atol=1e-4)


def test_every_plain_linear_layer_but_the_last_has_an_adapter():
    model = language_model("llama")
    linear = [name for name, module in model.named_modules() if type(module) is torch.nn.Linear]
    assert layers_to_adapt(model) == [name for name in linear if name != "lm_head"]


def test_a_model_without_a_layer_for_it_is_told(monkeypatch):
    monkeypatch.setattr("rl_core.adapters.language.lora.layers_to_adapt", lambda model: [])
    with pytest.raises(InvalidArgument, match=r"lora=2: LlamaForCausalLM has no linear layer.*lora=0"):
        LoRANetwork(language_model("llama"), rank=2)


def test_what_peft_refuses_is_told_with_its_words(monkeypatch):
    def refuse(config, model):
        raise ValueError("not beside this one")

    monkeypatch.setattr(peft, "inject_adapter_in_model", refuse)
    with pytest.raises(InvalidArgument, match=r"lora=2: peft puts no adapter.*not beside this one.*lora=0"):
        LoRANetwork(language_model("llama"), rank=2)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_saved_adapter_is_opened_by_peft_and_says_the_same(kind, tmp_path):
    language_model(kind).save_pretrained(tmp_path / "model")
    network = LoRANetwork(language_model(kind), rank=2)
    played = taught(network)
    network.save_adapter(tmp_path / "adapter", str(tmp_path / "model"))
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    opened = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert opened.peft_config["default"].base_model_name_or_path == str(tmp_path / "model")
    with torch.no_grad():
        expected = evaluate_actions(network, played)
        evaluation = evaluate_actions(TokenNetwork(opened.get_base_model()), played)
    torch.testing.assert_close(evaluation.logprobs, expected.logprobs, rtol=0, atol=1e-5)
    assert not torch.equal(evaluate_actions(TokenNetwork(language_model(kind)), played).logprobs, expected.logprobs)
