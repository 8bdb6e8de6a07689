"""The language adapter against the model's own full forward, and its environment against answers written by hand."""

from collections import Counter

import pytest
import torch

from rl_core.adapters.language import TokenEnv, TokenNetwork, left_padded
from rl_core.algorithms.ppo import PPOConfig, ppo
from rl_core.algorithms.reinforce import ReinforceConfig, reinforce
from rl_core.evaluate import state_values
from rl_core.rollout import rollout
from tests.support.worlds import ENDS, LONGEST, PROMPTS, language_model, seeded, token_env, token_network

KINDS = ["qwen2", "llama", "gpt2", "neox"]


def texts_of(played):
    """Return (prompt, answer) of each row, as ids without padding."""
    whole = torch.cat([played.prompt.tokens, played.obs[:, :1]], dim=1)
    mask = torch.cat([played.prompt.mask, torch.ones_like(played.mask[:, :1])], dim=1)
    prompts = [tokens[kept].tolist() for tokens, kept in zip(whole, mask, strict=True)]
    return list(zip(prompts, [a[m].tolist() for a, m in zip(played.actions, played.mask, strict=True)], strict=True))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("kind", KINDS)
def test_sampled_log_probabilities_are_those_of_the_model_reading_each_text_alone(kind, dtype, tolerance, temperature):
    network = TokenNetwork(language_model(kind), critic="separate", temperature=temperature).to(dtype)
    played = rollout(token_env(), network, seeded(3))
    model = language_model(kind).to(dtype).eval()  # as transformers makes it: nothing of ours in between
    for row, (prompt, answer) in enumerate(texts_of(played)):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        expected = (logits / temperature).log_softmax(dim=-1)[range(len(answer)), answer]
        torch.testing.assert_close(played.logprobs[row, : len(answer)], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_values_are_the_heads_reading_of_the_trunk_on_each_text_alone(kind, critic):
    network = token_network(kind, critic, dtype=torch.float64)
    played = rollout(token_env(), network, seeded(3))
    values, trunk = state_values(network, played), language_model(kind, 1).double().eval().base_model
    for row, (prompt, answer) in enumerate(texts_of(played)):
        with torch.no_grad():
            seen = trunk(torch.tensor([prompt + answer])).last_hidden_state[0, len(prompt) - 1 : -1]
        expected = (seen @ network.value_head.weight[0]).detach()
        torch.testing.assert_close(values[row, : len(answer)], expected, rtol=0, atol=1e-12)


def test_a_fresh_critic_says_nothing_and_then_learns_without_the_policy_when_separate():
    network = TokenNetwork(language_model("llama"), critic="separate")
    played = rollout(token_env(), network, seeded(3))
    assert state_values(network, played).eq(0).all()
    network(played.prompt, played.obs).values.sum().backward()
    assert network.value_head.weight.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.model.parameters())


def writing(env, columns):
    """Return what an environment answers to tokens written column by column."""
    prompt, first = env.reset()
    return prompt, first, [env.step(torch.tensor(column)) for column in columns]


@pytest.mark.parametrize(
    "on_cut, terminated, truncated, discarded",
    [("terminate", True, False, False), ("bootstrap", False, True, False), ("mask", False, True, True)],
)
def test_an_answer_that_is_cut_off_ends_as_was_chosen(on_cut, terminated, truncated, discarded):
    asked = []

    def reward(prompts, answers):
        asked.append(answers)
        return [10.0 + len(answer) for answer in answers]

    env = TokenEnv([[5, 6]], reward, 2, max_new_tokens=3, eos=0, on_cut=on_cut)
    _, _, steps = writing(env, [[1, 2], [2, 0], [4, 9]])
    assert asked == [[[2, 0]], [[1, 2, 4]]]  # with its end token where it was written, without where it was not
    assert [step.reward.tolist() for step in steps] == [[0, 0], [0, 12], [13, 0]]
    assert [step.terminated.tolist() for step in steps] == [[False, False], [False, True], [terminated, False]]
    assert [step.truncated.tolist() for step in steps] == [[False, False], [False, False], [truncated, False]]
    assert [step.discarded.tolist() for step in steps] == [[False, False], [False, False], [discarded, False]]
    assert env.finished() == [(12.0, 2), (13.0, 3)]
    assert [step.obs.tolist() for step in steps] == [[1, 2], [2, 0], [4, 9]]


def test_an_end_token_in_the_last_place_is_an_end_and_not_a_cut():
    for on_cut in ("terminate", "bootstrap", "mask"):
        env = TokenEnv([[5]], lambda prompts, answers: [1.0], 1, max_new_tokens=2, eos=0, on_cut=on_cut)
        last = writing(env, [[1], [0]])[2][-1]
        assert (last.terminated.item(), last.truncated.item(), last.discarded.item()) == (True, False, False)


def test_discarded_rows_teach_nothing():
    network = token_network("llama", "separate")
    env = token_env(16, on_cut="mask")
    played = rollout(env, network, seeded(3))
    kept = played.mask.any(dim=1)
    assert 0 < kept.sum() < 16
    ends = torch.isin(played.actions, torch.tensor(ENDS)) & played.mask
    assert torch.equal(ends.any(dim=1), kept)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    metrics = ppo(network, None, optimizer, played, PPOConfig(minibatches=2), seeded(0))
    assert metrics["steps"] == played.mask.sum() and metrics["first_ratio"] == 1.0


def test_a_part_of_the_rows_that_was_discarded_whole_stops_no_update():
    network = token_network("llama", "separate")
    played = rollout(token_env(16, on_cut="mask"), network, seeded(3))
    assert not played.mask.any(dim=1).all()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    config = ReinforceConfig(baseline="mean", micro_rows=1)
    assert reinforce(network, None, optimizer, played, config, seeded(0))["steps"] == played.mask.sum()


def test_bootstrap_takes_the_value_of_the_last_token_written():
    network = token_network("gpt2", "separate", dtype=torch.float64)
    played = rollout(token_env(16, on_cut="bootstrap"), network, seeded(3))
    cut = played.mask.all(dim=1) & ~played.terminated.any(dim=1)
    assert cut.any() and not cut.all()
    whole = torch.cat([played.obs, played.actions[:, -1:]], dim=1)
    values = network(played.prompt, whole).values.detach()
    torch.testing.assert_close(state_values(network, played)[cut], values[cut], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows, group_size", [(4, 1), (3, 1), (8, 1), (6, 3), (12, 2)])
def test_prompts_are_dealt_each_once_a_round(rows, group_size):
    env, dealt = token_env(rows, group_size=group_size), []
    for _ in range(30):
        prompt, first = env.reset()
        whole = torch.cat([prompt.tokens, first.obs[:, None]], dim=1)
        mask = torch.cat([prompt.mask, torch.ones(rows, 1, dtype=torch.bool)], dim=1)
        texts = [tuple(tokens[kept].tolist()) for tokens, kept in zip(whole, mask, strict=True)]
        dealt += texts[::group_size]
    rounds = [dealt[start : start + 6] for start in range(0, len(dealt) - 5, 6)]
    assert all(Counter(prompts) == Counter(map(tuple, PROMPTS)) for prompts in rounds)
    assert len({tuple(prompts) for prompts in rounds}) > 1  # in another order each time


def test_the_reward_function_sees_the_very_tokens_that_were_sampled():
    seen = []

    def reward(prompts, answers):
        assert all(type(token) is int for ids in (*prompts, *answers) for token in ids)
        seen.extend(zip(map(tuple, prompts), map(tuple, answers), strict=True))
        return [0.0] * len(answers)

    env = TokenEnv(PROMPTS, reward, 12, max_new_tokens=LONGEST, eos=ENDS)
    played = rollout(env, token_network("qwen2", None), seeded(3))
    assert Counter(seen) == Counter((tuple(prompt), tuple(answer)) for prompt, answer in texts_of(played))


def test_rows_that_end_together_are_judged_together_and_paid_apart():
    calls = []

    def reward(prompts, answers):
        calls.append((prompts, answers))
        return torch.tensor([float(answer[0]) for answer in answers])

    env = TokenEnv([[5, 6]], reward, 3, max_new_tokens=4, eos=0)
    _, _, steps = writing(env, [[7, 0, 9], [0, 1, 0]])
    assert calls == [([[5, 6]], [[0]]), ([[5, 6], [5, 6]], [[7, 0], [9, 0]])]
    assert steps[1].reward.tolist() == [7, 0, 9]


def test_prompts_of_one_token_have_nothing_before_the_first_observation():
    env = TokenEnv([[5]], lambda prompts, answers: [0.0] * len(answers), 2, max_new_tokens=3, eos=0)
    prompt, first = env.reset()
    assert prompt.tokens.shape == (2, 0) and first.obs.tolist() == [5, 5]
    for kind in KINDS:
        played = rollout(env, token_network(kind, "separate"), seeded(3))
        assert played.logprobs.isfinite().all()


def test_left_padding_is_on_the_left():
    padded = left_padded([[1, 2, 3], [4], []])
    assert padded.tokens.tolist() == [[1, 2, 3], [0, 0, 4], [0, 0, 0]]
    assert padded.mask.tolist() == [[True] * 3, [False, False, True], [False] * 3]


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_computed_for_the_answer_alone(kind):
    network, widths = token_network(kind, "separate"), []
    network.model.get_output_embeddings().register_forward_hook(lambda m, i, output: widths.append(output.shape[1]))
    prompt = left_padded([[4, 5, 6, 7, 8]])
    network(prompt, torch.tensor([[1, 2, 3]]))
    network.start(prompt)
    assert widths == [3, 1]


def test_two_rows_with_the_same_prompt_length_do_not_share_a_memory():
    network = token_network("llama", "separate", dtype=torch.float64)
    prompt, obs = left_padded([[4, 5], [6, 7]]), torch.tensor([1, 2])
    both = network.step(obs, network.start(prompt))[0]
    for row in range(2):
        part = prompt.rows(slice(row, row + 1))
        alone = network.step(obs[row : row + 1], network.start(part))[0]
        torch.testing.assert_close(alone[0], both[row], rtol=0, atol=1e-12)
