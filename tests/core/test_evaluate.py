"""Masks, sampling and evaluation against known distributions, and the refusal of misshapen or senseless arguments."""

import inspect
import math

import pytest
import torch
from scipy.stats import chisquare

from rl_core.advantages import gae, kl_shaped_rewards, normalize
from rl_core.errors import InvalidArgument, InvalidType, RLCoreError
from rl_core.evaluate import evaluate_actions, sample
from rl_core.losses.kl import kl_k1, kl_k2, kl_k3
from rl_core.losses.policy_gradient import policy_gradient_loss
from rl_core.losses.ppo import clipped_surrogate, ppo_loss, value_loss
from rl_core.losses.sft import sft_loss
from rl_core.masked import masked_mean, masked_sum, select
from rl_core.types import Episodes, Output, Prompt

CHANCES = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
SKEWED = (0.5, 0.25, 0.15, 0.07, 0.03)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def episodes_of(actions):
    """Return episodes that took `actions` [B, T]: an empty prompt, observations of one number, no padding."""
    rows, steps = actions.shape
    prompt = Prompt(torch.zeros(rows, 0, dtype=torch.int64), torch.zeros(rows, 0, dtype=torch.bool))
    return Episodes(prompt, torch.zeros(rows, steps, 1), actions, torch.ones(rows, steps, dtype=torch.bool))


def evaluate_logits(logits, actions):
    """Return the evaluation of `actions` by a network that always says `logits` [B, T, A]."""
    return evaluate_actions(lambda prompt, obs: Output(logits, torch.zeros(actions.shape)), episodes_of(actions))


def test_a_mask_keeps_sums_and_means_by_hand():
    x = torch.tensor([[1, math.nan], [3, 8]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, False], [True, True]])
    assert select(x, mask).tolist() == [[1, 0], [3, 8]]
    assert masked_sum(x, mask).item() == 12 and masked_mean(x, mask).item() == 4
    by_hand = {
        masked_sum: [[1, 0], [1, 1]],
        masked_mean: [[1 / 3, 0], [1 / 3, 1 / 3]],
        lambda x, mask: select(x, mask).pow(2).sum(): [[2, 0], [6, 16]],
    }
    for function, slopes in by_hand.items():
        gradient = torch.autograd.grad(function(x, mask), x)[0]
        torch.testing.assert_close(gradient, torch.tensor(slopes, dtype=torch.float64), rtol=0, atol=1e-15)
    assert not select(x, mask | True).isfinite().all()  # what counts and is NaN stays so: an error is not to be hidden
    for junk in (math.inf, -math.inf):
        assert select(torch.full((2, 2), junk), ~torch.ones(2, 2).bool()).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(InvalidArgument, match="mask"):
        masked_mean(x, torch.zeros(2, 2).bool())


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8], ids=str)
def test_a_mask_of_numbers_is_refused_wherever_it_is_given(dtype):
    x, mask = torch.ones(2, 3), torch.ones(2, 3, dtype=dtype)
    never = torch.zeros(2, 3, dtype=torch.bool)
    for call in (
        lambda: select(x, mask),
        lambda: masked_mean(x, mask),
        lambda: sft_loss(x, mask),
        lambda: gae(x, torch.ones(2, 4), never, mask, gamma=1.0, lam=1.0),
    ):
        with pytest.raises(InvalidType, match=rf"mask.*{dtype}.*mask\.bool\(\)"):
            call()


def test_evaluation_reads_the_probability_of_each_chosen_action_whatever_the_offset():
    offsets = torch.tensor([[0.0, 30.0, -5.0]], dtype=torch.float64)
    logits = CHANCES.log() + offsets[..., None]
    for actions in ([[0, 1, 2]], [[2, 2, 0]]):
        logprobs = evaluate_logits(logits, torch.tensor(actions)).logprobs
        assert logprobs[0].tolist() == pytest.approx([math.log((0.7, 0.2, 0.1)[action]) for action in actions[0]])
        assert logprobs.dtype == torch.float64 and logprobs.shape == (1, 3)


def test_every_row_and_step_reads_its_own_logits():
    logits = torch.arange(2 * 3 * 4, dtype=torch.float64).reshape(2, 3, 4).sin() * 3
    actions = torch.tensor([[3, 0, 2], [1, 1, 3]])
    evaluation = evaluate_logits(logits, actions)
    for row, step in torch.ones(2, 3).nonzero().tolist():
        scores = [math.exp(logit) for logit in logits[row, step].tolist()]
        chances = [score / math.fsum(scores) for score in scores]
        assert evaluation.logprobs[row, step].item() == pytest.approx(math.log(chances[actions[row, step]]), abs=1e-12)
        entropy = -math.fsum(chance * math.log(chance) for chance in chances)
        assert evaluation.entropy[row, step].item() == pytest.approx(entropy, abs=1e-12)


def test_entropy_is_known_for_uniform_skewed_and_certain_policies():
    certain = torch.tensor([1e4, 0, 0], dtype=torch.float64)
    logits = torch.stack([torch.full((3,), 5.0).double(), CHANCES.log() - 9, certain])[None].requires_grad_()
    entropy = evaluate_logits(logits, torch.zeros(1, 3, dtype=torch.int64)).entropy
    assert entropy[0].tolist() == pytest.approx([math.log(3), 0.8018185525433372, 0.0], abs=1e-12)
    slopes = torch.autograd.grad(entropy.sum(), logits)[0][0]
    # dH / dlogit_a = -p_a (ln p_a + H): nothing at the top, nothing at a certainty.
    skewed = [-p * (math.log(p) + 0.8018185525433372) for p in (0.7, 0.2, 0.1)]
    assert slopes.flatten().tolist() == pytest.approx([0, 0, 0, *skewed, 0, 0, 0], abs=1e-12)


def test_a_forbidden_action_leaves_the_entropy_and_its_gradient_finite():
    logits = torch.tensor([[[2.0, 2.0, -math.inf]]], dtype=torch.float64, requires_grad=True)
    entropy = evaluate_logits(logits, torch.tensor([[1]])).entropy
    assert entropy.item() == pytest.approx(math.log(2), abs=1e-12)
    assert torch.autograd.grad(entropy.sum(), logits)[0].flatten().tolist() == pytest.approx([0, 0, 0], abs=1e-12)


def test_the_gradient_of_a_log_probability_is_one_hot_less_the_policy():
    logits = CHANCES.log().reshape(1, 1, 3).requires_grad_()
    evaluate_logits(logits, torch.tensor([[1]])).logprobs.sum().backward()
    assert logits.grad.flatten().tolist() == pytest.approx([-0.7, 0.8, -0.1], abs=1e-12)


def test_the_network_is_called_once_with_prompt_and_observations_and_its_values_come_through():
    episodes, calls = episodes_of(torch.zeros(2, 3, dtype=torch.int64)), []
    value = torch.tensor([[1.0, -2, 3], [4, 5.5, -6]], requires_grad=True)

    def network(prompt, obs):
        calls.append((prompt, obs))
        return Output(torch.zeros(2, 3, 4), value)

    evaluation = evaluate_actions(network, episodes)
    assert len(calls) == 1 and calls[0][0] is episodes.prompt and calls[0][1] is episodes.obs
    assert torch.equal(evaluation.values, value)
    assert torch.autograd.grad(evaluation.values.sum(), value)[0].eq(1).all()


def test_half_precision_logits_are_made_whole_before_the_softmax():
    logits = (torch.randn(4, 50, 300, generator=seeded(0)) * 4).bfloat16()
    actions = torch.randint(300, (4, 50), generator=seeded(1))
    exact = logits.double().log_softmax(dim=-1)
    evaluation = evaluate_logits(logits, actions)
    assert evaluation.logprobs.dtype == evaluation.entropy.dtype == torch.float32
    chosen = exact.gather(-1, actions[..., None])[..., 0]
    torch.testing.assert_close(evaluation.logprobs.double(), chosen, rtol=0, atol=2e-5)
    torch.testing.assert_close(evaluation.entropy.double(), -(exact.exp() * exact).sum(dim=-1), rtol=0, atol=2e-5)
    drawn, logprobs = sample(logits[:, 0], seeded(2))
    assert logprobs.dtype == torch.float32
    torch.testing.assert_close(logprobs.double(), exact[torch.arange(4), 0, drawn], rtol=0, atol=2e-5)


@pytest.mark.parametrize("chances", [SKEWED, (1 / 200,) * 200], ids=["skewed", "uniform over 200"])
def test_samples_follow_the_whole_distribution(chances):
    draws = 20_000
    logits = (torch.tensor(chances).log() + 3).expand(draws, -1)
    actions, logprobs = sample(logits, seeded(11))
    assert actions.shape == logprobs.shape == (draws,) and actions.dtype == torch.int64
    counts = actions.bincount(minlength=len(chances))
    assert (counts > 0).all()  # no top-k, no top-p: whatever can be said is said
    assert chisquare(counts.numpy(), [chance * draws for chance in chances]).pvalue > 1e-3


def test_each_row_is_drawn_from_its_own_logits():
    order = torch.tensor([4, 2, 0, 3, 1])
    actions, _ = sample(torch.nn.functional.one_hot(order, 5) * 100.0, seeded(3))
    assert torch.equal(actions, order)


@pytest.mark.parametrize("greedy", [False, True])
def test_a_sampled_log_probability_is_the_one_that_evaluation_finds(greedy):
    logits = torch.randn(64, 1, 10, generator=seeded(4))
    actions, logprobs = sample(logits[:, 0], seeded(5), greedy=greedy)
    assert torch.equal(evaluate_logits(logits, actions[:, None]).logprobs[:, 0], logprobs)
    if greedy:
        assert torch.equal(actions, logits[:, 0].argmax(dim=1))


def test_a_generator_alone_decides_the_samples():
    logits = torch.zeros(100, 20)
    torch.manual_seed(0)
    first, state = sample(logits, seeded(6))[0], torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(first, sample(logits, seeded(6))[0])
    assert not torch.equal(first, sample(logits, seeded(7))[0])
    generator = seeded(6)
    assert torch.equal(first, sample(logits, generator)[0]) and not torch.equal(first, sample(logits, generator)[0])
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator was not touched


NUMBERS = {
    "gamma": 1.0,
    "lam": 0.9,
    "beta": 0.1,
    "clip": 0.2,
    "value_clip": 0.2,
    "value_weight": 0.5,
    "entropy_weight": 0.0,
}
FUNCTIONS = (
    select,
    masked_sum,
    masked_mean,
    gae,
    normalize,
    kl_shaped_rewards,
    kl_k1,
    kl_k2,
    kl_k3,
    policy_gradient_loss,
    sft_loss,
    clipped_surrogate,
    value_loss,
    ppo_loss,
)
TENSORS = [(f, name) for f in FUNCTIONS for name in inspect.signature(f).parameters if name not in NUMBERS]
BAD_CLIPS = [(clipped_surrogate, "clip"), (value_loss, "clip"), (ppo_loss, "clip"), (ppo_loss, "value_clip")]


def arguments_of(function):
    """Return sound arguments for any function of the core: 3 rows of 3 steps."""
    result = {}
    for name in inspect.signature(function).parameters:
        boolean, steps = name in ("mask", "terminated"), 4 if function is gae and name == "values" else 3
        result[name] = NUMBERS.get(name, torch.ones(3, steps).bool() if boolean else torch.ones(3, steps))
    return result


@pytest.mark.parametrize("function, name", TENSORS, ids=lambda part: getattr(part, "__name__", part))
def test_one_number_a_row_never_stands_in_silently_for_one_a_step(function, name):
    sound = arguments_of(function)
    function(**sound)
    whole = sound[name]
    for misshapen in (whole[:, 0], whole[:, :1], whole[:2], whole[:, :2], whole.reshape(1, -1)):
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
            function(**sound | {name: misshapen})


@pytest.mark.parametrize("function, name", BAD_CLIPS)
@pytest.mark.parametrize("value", [0, 0.0, -0.2, math.nan])
def test_a_clip_that_is_not_positive_is_refused_by_name_and_value(function, name, value):
    with pytest.raises(InvalidArgument, match=rf"\b{name}\b") as caught:
        function(**arguments_of(function) | {name: value})
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, RLCoreError)
    assert str(value) in str(caught.value)
