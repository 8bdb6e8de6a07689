"""Adapters against the model that they stand on: nothing of it may move, and nothing of them may be lost."""

import hashlib

import pytest
import torch

pytest.importorskip("peft", reason="pip install -r requirements-real.txt")

from rl_core import checkpoint
from rl_core.adapters.language import TokenNetwork, TokenScorer
from rl_core.adapters.language import network as module
from rl_core.adapters.language.lora import LoRANetwork, merged, scorer_with_adapter
from rl_core.algorithms.dpo import DPOConfig, dpo
from rl_core.algorithms.grpo import GRPOConfig, grpo
from rl_core.algorithms.ppo import PPOConfig, ppo
from rl_core.algorithms.sft import SFTConfig, sft
from rl_core.errors import CheckpointError, InvalidArgument
from rl_core.evaluate import evaluate_actions
from rl_core.pairs import Pairs
from rl_core.rollout import relabel, rollout
from tests.support.worlds import language_model, seeded, text_episodes, token_env

KINDS = ["qwen2", "llama", "gpt2"]


def hash_of(model):
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(name.encode() + weight.detach().numpy().tobytes())
    return digest.hexdigest()


def adam(network, rate=1e-2):
    return torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad], lr=rate)


def trained(kind="llama", critic=None, seed=0):
    """Return (model, network) after one update of PPO or GRPO that moved the adapter."""
    model = language_model(kind)
    network = LoRANetwork(model, rank=2, critic=critic, seed=seed)
    played = rollout(token_env(group_size=2), network, seeded(1))
    if critic is None:
        grpo(network, network.without_adapter(), adam(network), played, GRPOConfig(group_size=2), seeded(2))
    else:
        ppo(network, network.without_adapter(), adam(network), played, PPOConfig(beta=0.1), seeded(2))
    return model, network


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_that_has_learnt_nothing_changes_no_bit(kind):
    alone = rollout(token_env(), TokenNetwork(language_model(kind)), seeded(1))
    adapted = rollout(token_env(), LoRANetwork(language_model(kind), rank=2), seeded(1))
    assert torch.equal(alone.actions, adapted.actions) and torch.equal(alone.logprobs, adapted.logprobs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("critic", [None, "separate", "shared"])
def test_training_moves_the_adapter_and_no_weight_of_the_model(kind, critic):
    before = hash_of(language_model(kind))
    model, network = trained(kind, critic)
    assert hash_of(model) == before
    fresh = LoRANetwork(language_model(kind), rank=2, critic=critic)
    moved = [not torch.equal(a, b) for a, b in zip(adapters(network), adapters(fresh), strict=True)]
    assert any(moved)


def adapters(network):
    return [weight for weight in network.parameters() if weight.requires_grad]


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_of_a_trained_policy_says_what_the_model_said_to_the_bit(kind):
    _, network = trained(kind)
    played = rollout(token_env(), network, seeded(5))
    with torch.no_grad():
        now, ref = evaluate_actions(network, played), evaluate_actions(network.without_adapter(), played)
        base = evaluate_actions(TokenNetwork(language_model(kind)), played)
    assert torch.equal(ref.logprobs, base.logprobs) and not torch.equal(now.logprobs, base.logprobs)


def test_policies_and_references_share_one_set_of_weights():
    model = language_model("llama")
    first, second = LoRANetwork(model, rank=2, critic="separate"), LoRANetwork(model, rank=2)
    held = {weight.data_ptr() for weight in model.parameters()}
    for network in (first, second, first.without_adapter()):
        frozen = {weight.data_ptr() for weight in network.parameters() if not weight.requires_grad}
        assert frozen == held, "a frozen weight was copied"
    assert not {w.data_ptr() for w in adapters(first)} & {w.data_ptr() for w in adapters(second)}


def test_one_policy_learns_and_the_other_on_the_same_weights_does_not():
    model = language_model("llama")
    first, second = LoRANetwork(model, rank=2), LoRANetwork(model, rank=2)
    played = rollout(token_env(group_size=2), first, seeded(1))
    before = evaluate_actions(second, played).logprobs
    grpo(first, second, adam(first), played, GRPOConfig(group_size=2, beta=0.0), seeded(2))
    assert torch.equal(evaluate_actions(second, played).logprobs, before)
    assert not torch.equal(evaluate_actions(first, played).logprobs, before)


def test_a_checkpoint_holds_what_can_change_and_brings_it_back(tmp_path):
    _, network = trained("llama", "separate")
    optimizer = adam(network)
    path = tmp_path / "run.pt"
    checkpoint.save(path, {"network": network, "optimizer": optimizer}, {"algorithm": "ppo"})
    names = set(checkpoint.read(path)["parts"]["network"])
    assert all("lora_" in name or name.startswith("value_head") or name == "base" for name in names)
    other = LoRANetwork(language_model("llama"), rank=2, critic="separate", seed=9)
    checkpoint.load(path, {"network": other, "optimizer": adam(other)}, {"algorithm": "ppo"})
    played = rollout(token_env(), network, seeded(5))
    for mine, theirs in zip(
        vars(evaluate_actions(other, played)).values(), vars(evaluate_actions(network, played)).values(), strict=True
    ):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("other", [
    lambda: LoRANetwork(language_model("llama"), rank=4),
    lambda: LoRANetwork(language_model("llama"), rank=2, critic="shared"),
    lambda: LoRANetwork(another_model(), rank=2),
], ids=["rank", "critic", "weights"])  # fmt: skip
def test_a_checkpoint_of_another_adapter_or_model_is_refused_whole(tmp_path, other):
    _, network = trained("llama")
    checkpoint.save(tmp_path / "run.pt", {"network": network}, {})
    wrong = other()
    before = {name: value.clone() for name, value in wrong.state_dict().items() if name != "base"}
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "run.pt", {"network": wrong}, {})
    assert all(torch.equal(value, wrong.state_dict()[name]) for name, value in before.items())


def another_model():
    model = language_model("llama")
    with torch.no_grad():
        model.get_input_embeddings().weight[0, 0] += 1
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_model_opens_without_peft_and_says_the_same(kind, tmp_path):
    from transformers import AutoModelForCausalLM

    _, network = trained(kind)
    before = [weight.clone() for weight in network.parameters()]
    network.merged().save_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)), (
        "merging changed the policy"
    )
    opened, loading_info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert (
        not loading_info["missing_keys"]
        and not loading_info["unexpected_keys"]
        and "lora" not in (tmp_path / "config.json").read_text()
    )
    played = rollout(token_env(), network, seeded(5))
    with torch.no_grad():
        expected, logprobs = (evaluate_actions(one, played).logprobs for one in (network, TokenNetwork(opened)))
    torch.testing.assert_close(logprobs, expected, rtol=0, atol=1e-5)


def test_on_bfloat16_weights_adapters_and_heads_are_float32_and_learn():
    model = language_model("llama").to(torch.bfloat16)
    network = LoRANetwork(model, rank=2, critic="separate")
    assert {weight.dtype for weight in adapters(network)} == {torch.float32}
    played = rollout(token_env(), network, seeded(1))
    assert played.logprobs.dtype == torch.float32
    before = evaluate_actions(network, played).logprobs.detach()
    metrics = ppo(network, None, adam(network, 1e-3), played, PPOConfig(epochs=1, max_sampler_gap=0.5), seeded(2))
    assert metrics["first_ratio"] == pytest.approx(1, abs=1e-6)
    assert not torch.equal(evaluate_actions(network, played).logprobs, before)


def test_a_scorer_with_an_adapter_learns_and_is_merged(tmp_path):
    from transformers import AutoModelForSequenceClassification

    scorer = scorer_with_adapter(TokenScorer.on_trunk_of(language_model("llama")), 2, seed=0)
    trainable = {name for name, weight in scorer.named_parameters() if weight.requires_grad}
    assert trainable and all("lora_" in name or name == "model.score.weight" for name in trainable)
    played = rollout(token_env(), TokenNetwork(language_model("llama")), seeded(1)).episodes()
    optimizer = adam(scorer)
    for _ in range(2):
        (scorer.score(played).sum(dim=1) - 1).square().mean().backward()
        optimizer.step()
    merged(scorer.model).save_pretrained(tmp_path)
    opened = TokenScorer(AutoModelForSequenceClassification.from_pretrained(tmp_path))
    torch.testing.assert_close(opened.score(played), scorer.score(played), rtol=0, atol=1e-5)


def shown():
    """Return three answers as episodes."""
    return text_episodes([[5], [1, 2, 4], [7, 7]], [[4, 4, 0], [6, 3], [2, 2, 2, 3]])


def test_sft_with_an_adapter_makes_what_was_shown_likelier():
    network = LoRANetwork(language_model("llama"), rank=4)
    optimizer = adam(network)
    losses = [sft(network, optimizer, shown(), SFTConfig(), seeded(0))["loss"] for _ in range(10)]
    assert losses[-1] < losses[0] - 1


def rows_seen(network, sizes):
    """Add the rows of every call of the network to the list."""
    network.register_forward_pre_hook(lambda _, given: sizes.append(len(given[1])))


@pytest.mark.parametrize("update", ["ppo", "grpo", "dpo", "sft", "relabel"])
def test_no_update_ever_has_more_than_a_micro_batch_of_logits(update):
    sizes = []
    network = LoRANetwork(language_model("llama"), rank=2, critic="separate" if update == "ppo" else None)
    reference = network.without_adapter()
    rollout_rows = rollout(token_env(group_size=2), network, seeded(1))
    for one in (network, reference):
        rows_seen(one, sizes)
    given = (network, reference, adam(network))
    if update == "ppo":
        ppo(*given, rollout_rows, PPOConfig(beta=0.1, minibatches=1, micro_rows=2), seeded(2))
    elif update == "grpo":
        grpo(*given, rollout_rows, GRPOConfig(group_size=2, minibatches=1, micro_rows=2), seeded(2))
    elif update == "dpo":
        pairs = Pairs(rollout_rows.episodes(), rollout_rows.episodes().rows(torch.arange(8) ^ 1))  # siblings
        dpo(*given, pairs, DPOConfig(minibatch_rows=8, micro_rows=2), seeded(2))
    elif update == "sft":
        sft(network, given[2], shown(), SFTConfig(micro_rows=2), seeded(2))
    else:
        scorer = scorer_with_adapter(TokenScorer.on_trunk_of(language_model("llama")), 2, seed=0)
        scorer.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
        scorer.score = scorer.__call__
        relabel(rollout_rows, scorer, micro_rows=2)
    assert sizes and max(sizes) == 2


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_logits_of_a_large_vocabulary_are_those_of_a_small_one(kind, monkeypatch):
    network = TokenNetwork(language_model(kind))
    played = rollout(token_env(), network, seeded(1))
    expected = evaluate_actions(network, played).logprobs
    monkeypatch.setattr(module, "LARGE_VOCABULARY", 0)
    again = rollout(token_env(), network, seeded(1))
    assert torch.equal(again.actions, played.actions)
    torch.testing.assert_close(evaluate_actions(network, played).logprobs, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rank", [0, -1, 1.5])
def test_a_rank_that_is_none_is_refused(rank):
    with pytest.raises(InvalidArgument, match="rank"):
        LoRANetwork(language_model("llama"), rank=rank)


@pytest.mark.parametrize("seed", [2**64, -(10**20), 0.5, None])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(InvalidArgument, match=f"seed={seed} is no whole number of 64 bits; pass"):
        LoRANetwork(language_model("llama"), seed=seed)
