"""Each loss against numbers typed by hand, exact expectations on small worlds, and what must never change it."""

import math
from functools import partial

import pytest
import torch

from rl_core.advantages import gae
from rl_core.errors import InvalidArgument
from rl_core.losses.kl import kl_k1, kl_k2, kl_k3
from rl_core.losses.policy_gradient import policy_gradient_loss
from rl_core.losses.ppo import clipped_surrogate, ppo_loss, value_loss
from rl_core.losses.sft import sft_loss
from tests.support import toy_mdp
from tests.support.numbers import agree, exactly

PPO = ("logprobs", "values", "entropy", "old_logprobs", "old_values", "advantages", "returns")
plain_ppo = partial(ppo_loss, clip=0.2, value_clip=0.5, value_weight=0.5, entropy_weight=0.1)


def random_inputs(seed, rows=4, steps=5):
    """Return the seven tensors of a PPO step, some ratios and values far outside their clips, and a mask."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(rows, steps, generator=generator, dtype=torch.float64) for name in PPO}
    tensors["old_logprobs"] = tensors["logprobs"] + 0.3 * tensors["old_logprobs"]
    lengths = torch.randint(1, steps + 1, (rows, 1), generator=generator)
    return tensors, torch.arange(steps) < lengths


LOSSES = {  # every scalar loss as a function of the same seven tensors and a mask
    "sft": lambda given, mask: sft_loss(given["logprobs"], mask)[0],
    "policy gradient": lambda given, mask: policy_gradient_loss(given["logprobs"], given["advantages"], mask)[0],
    "value": lambda given, mask: value_loss(given["values"], given["old_values"], given["returns"], mask, clip=0.2),
    "ppo": lambda given, mask: plain_ppo(**given, mask=mask)[0],
    "ppo without clips": lambda given, mask: plain_ppo(**given, mask=mask, clip=None, value_clip=None)[0],
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def gradients(loss, given, mask):
    """Return the loss and its gradient to what a network produces; zeros where it does not look."""
    live = {name: tensor.detach().clone().requires_grad_(name in PPO[:3]) for name, tensor in given.items()}
    value = loss(live, mask)
    value.backward()
    return value.detach(), [torch.zeros_like(t) if t.grad is None else t.grad for t in (live[n] for n in PPO[:3])]


@each_loss
def test_an_empty_mask_is_refused_and_never_a_silent_nan(loss):
    with pytest.raises(InvalidArgument, match="mask"):
        loss(random_inputs(0)[0], torch.zeros(4, 5).bool())


@each_loss
@pytest.mark.parametrize("junk", [math.nan, math.inf, 1e4, -1e4])
def test_padding_changes_neither_the_loss_nor_its_gradient(loss, junk):
    given, mask = random_inputs(1)
    value, slopes = gradients(loss, given, mask)
    junked = {"all": given} | {name: {name: given[name]} for name in PPO}
    for names in junked.values():  # in every tensor at once, and in one alone: a ratio of exp(10000) in a masked cell
        filled = given | {name: tensor.masked_fill(~mask, junk) for name, tensor in names.items()}
        again, again_slopes = gradients(loss, filled, mask)
        assert torch.equal(value, again)
        for expected, slope in zip(slopes, again_slopes, strict=True):
            assert torch.equal(expected, slope) and (slope[~mask] == 0).all()
        assert plain_ppo(**filled, mask=mask)[1] == plain_ppo(**given, mask=mask)[1]  # no metric sees it either


@each_loss
def test_eight_micro_batches_weighted_by_live_cells_equal_one_batch(loss):
    given, mask = random_inputs(2, rows=8)
    assert mask.sum(dim=1).unique().numel() > 2
    whole, whole_slopes = gradients(loss, given, mask)

    def accumulated(live, mask):
        share = mask.sum(dim=1) / mask.sum().double()
        rows = [loss({n: t[r : r + 1] for n, t in live.items()}, mask[r : r + 1]) for r in range(8)]
        return sum(weight * row for weight, row in zip(share, rows, strict=True))

    parts, parts_slopes = gradients(accumulated, given, mask)
    agree(parts, whole)
    for expected, slope in zip(whole_slopes, parts_slopes, strict=True):
        agree(slope, expected)


def test_the_sft_loss_is_the_mean_over_tokens_and_not_over_rows():
    half, quarter = -math.log(2), -math.log(4)  # one token of 1 bit, then bits 2, 2 and 3 around a hole
    logprobs = exactly([[half, 9, 9, 9], [quarter, 9, quarter, 3 * half]], requires_grad=True)
    loss, metrics = sft_loss(logprobs, logprobs < 0)
    assert loss.item() == pytest.approx(2 * math.log(2), abs=1e-14) and loss.ndim == 0
    assert torch.autograd.grad(loss, logprobs)[0].tolist() == [[-0.25, 0, 0, 0], [-0.25, 0, -0.25, -0.25]]
    assert all(type(number) is float for number in metrics.values())


def test_the_policy_gradient_loss_by_hand_holds_its_advantages_constant():
    logprobs = exactly([[-1, -2], [-0.5, 7]], requires_grad=True)
    advantages = exactly([[2, -1], [3, 7]], requires_grad=True)
    loss, metrics = policy_gradient_loss(logprobs, advantages * 1, torch.tensor([[True, True], [True, False]]))
    assert loss.item() == 0.5 and loss.ndim == 0  # -(-2 + 2 - 1.5) / 3
    loss.backward()
    agree(logprobs.grad, exactly([[-2 / 3, 1 / 3], [-1, 0]]))
    assert advantages.grad is None and all(type(number) is float for number in metrics.values())


def test_the_policy_gradient_loss_has_the_exact_gradient_of_the_return_on_the_toy_world():
    logits, rewards = toy_mdp.random_logits(1), toy_mdp.random_step_rewards(1)
    values, mask = toy_mdp.pack_values(toy_mdp.exact_values(logits, rewards)), toy_mdp.MASK
    advantages, _ = gae(toy_mdp.pack(rewards), values, toy_mdp.TERMINATED, mask, gamma=1.0, lam=0.9)
    weighted = advantages * toy_mdp.probabilities(logits)[:, None] * mask.sum()
    loss, _ = policy_gradient_loss(toy_mdp.step_logprobs(logits), weighted, mask)
    agree(-torch.autograd.grad(loss, logits)[0], toy_mdp.exact_gradient(logits, rewards), 1e-14)


def test_the_clipped_surrogate_on_a_grid_of_advantages_and_ratios_by_hand():
    ratios = exactly([0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5])
    advantages = exactly([[-2], [-1], [0], [1], [3]])
    # Punished actions are clipped only once they are already rarer, rewarded ones only once already likelier.
    values = [
        [-1.6, -1.6, -1.8, -2.0, -2.2, -2.5, -3.0],
        [-0.8, -0.8, -0.9, -1.0, -1.1, -1.25, -1.5],
        [0.0] * 7,
        [0.5, 0.75, 0.9, 1.0, 1.1, 1.2, 1.2],
        [1.5, 2.25, 2.7, 3.0, 3.3, 3.6, 3.6],
    ]
    slopes = [
        [0, 0, -1.8, -2.0, -2.2, -2.5, -3.0],
        [0, 0, -0.9, -1.0, -1.1, -1.25, -1.5],
        [0.0] * 7,
        [0.5, 0.75, 0.9, 1.0, 1.1, 0, 0],
        [1.5, 2.25, 2.7, 3.0, 3.3, 0, 0],
    ]
    free = [[a * b for b in ratios.tolist()] for a in (-2, -1, 0, 1, 3)]  # no clip, or one too wide to touch
    old = exactly([[-1.5], [-0.5], [-3], [-2], [-0.25]]).expand(5, 7)
    for clip, expected, slope in ((0.2, values, slopes), (2.0, free, free), (None, free, free)):
        logprobs = (old + ratios.log()).requires_grad_()
        objective = clipped_surrogate(logprobs, old, advantages.expand(5, 7), clip=clip)
        agree(objective, exactly(expected))
        agree(torch.autograd.grad(objective.sum(), logprobs)[0], exactly(slope))


def test_the_value_loss_by_hand_is_half_the_worse_of_two_squared_errors():
    old = exactly([[10, 10, 20], [20, -5, math.nan]])
    values = (old + exactly([[1, 1, -1], [-1, 0.1, 0]])).requires_grad_()
    returns = old + exactly([[2, 0.5, 0], [-2, 1, 0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    clipped = value_loss(values, old, returns, mask, clip=0.2)  # 1.8^2, 0.5^2, 1^2, 1.8^2, 0.9^2, over 5, halved
    agree(clipped, 0.854)
    agree(torch.autograd.grad(clipped, values)[0], exactly([[0, 0.1, -0.2], [0, -0.18, 0]]))
    plain = value_loss(values, old, returns, mask, clip=None)  # 1, 0.25, 1, 1, 0.81
    agree(plain, 0.406)
    agree(torch.autograd.grad(plain, values)[0], exactly([[-0.2, 0.1, -0.2], [0.2, -0.18, 0]]))


def test_the_ppo_loss_by_hand_with_its_metrics_and_the_gradient_of_each_term_alone():
    old = exactly([[-1, -2], [-0.5, 7]])
    given = {
        "logprobs": old + exactly([[1.5, 0.5], [1.1, 1]]).log(),
        "old_logprobs": old,
        "values": exactly([[1, 1], [-1, 7]]),
        "old_values": torch.zeros(2, 2).double(),
        "returns": exactly([[2, 0.5], [0, 5]]),
        "entropy": exactly([[0.5, 0.7], [0.3, 9]]),
        "advantages": exactly([[2, -1], [3, 5]]),
    }
    mask = torch.tensor([[True, True], [True, False]])
    loss, metrics = plain_ppo(**given, mask=mask)
    policy, value, entropy = -(2.4 - 0.8 + 3.3) / 3, (2.25 + 0.25 + 1) / 6, (0.5 + 0.7 + 0.3) / 3
    agree(loss, policy + 0.5 * value - 0.1 * entropy)
    expected = {"policy_loss": policy, "value_loss": value, "entropy": entropy, "clip_fraction": 2 / 3}
    expected["ratio_gap"] = 0.5
    assert all(type(number) is float for number in metrics.values())
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    slopes = {
        "logprobs": [[0, 0], [-1.1, 0]],
        "values": [[0, 1 / 12], [-1 / 6, 0]],
        "entropy": [[-0.1 / 3, -0.1 / 3], [-0.1 / 3, 0]],
    }
    weights = {"logprobs": (0, 0), "values": (0.5, 0), "entropy": (0, 0.1)}
    for name, (value_weight, entropy_weight) in weights.items():
        alone = given if name == "logprobs" else given | {"advantages": torch.zeros(2, 2).double()}
        term = partial(plain_ppo, value_weight=value_weight, entropy_weight=entropy_weight)
        _, term_slopes = gradients(lambda live, mask, term=term: term(**live, mask=mask)[0], alone, mask)
        for other, slope in zip(weights, term_slopes, strict=True):
            agree(slope, exactly(slopes[other]) if other == name else torch.zeros(2, 2).double())


@pytest.mark.parametrize("rows, steps", [(4, 4), (3, 6), (1, 1)])
def test_the_ppo_loss_agrees_with_a_loop_over_cells(rows, steps):
    given, mask = random_inputs(rows, rows, steps)
    total = 0.0
    for cell in mask.nonzero().tolist():
        now, value, entropy, old, old_value, advantage, target = (given[name][tuple(cell)].item() for name in PPO)
        ratio = math.exp(now - old)
        near = 1.2 if ratio > 1.2 and advantage > 0 else 0.8 if ratio < 0.8 and advantage < 0 else ratio
        held = old_value + math.copysign(min(0.5, abs(value - old_value)), value - old_value)
        worse = max(abs(value - target), abs(held - target)) ** 2
        total += -near * advantage + 0.5 * worse / 2 - 0.1 * entropy
    agree(plain_ppo(**given, mask=mask)[0], total / int(mask.sum()))


def test_where_nothing_has_moved_yet_ppo_is_the_policy_gradient():
    given, mask = random_inputs(9)
    given["old_logprobs"] = given["logprobs"].clone()
    still = partial(plain_ppo, value_weight=0.0, entropy_weight=0.0)
    for clip in (0.2, None):
        _, slopes = gradients(lambda live, mask, clip=clip: still(**live, mask=mask, clip=clip)[0], given, mask)
        agree(slopes[0], gradients(LOSSES["policy gradient"], given, mask)[1][0])
        assert still(**given, mask=mask, clip=clip)[1]["clip_fraction"] == 0


LN7_4, LN2 = 0.5596157879354227, 0.6931471805599453
PI, REF = exactly([0.7, 0.2, 0.1]), exactly([0.4, 0.4, 0.2])  # KL(pi || ref) = 0.7 ln(7/4) - 0.3 ln 2


def test_each_kl_estimator_on_three_actions_by_hand_with_its_expectation():
    for estimator, numbers, mean in (
        (kl_k1, [LN7_4, -LN2, -LN2], 0.18378689738681217),
        (kl_k2, [0.15658491505329205, 0.2402265069591007, 0.2402265069591007], 0.18167739262503468),
        (kl_k3, [4 / 7 - 1 + LN7_4, 1 - LN2, 1 - LN2], 0.18378689738681217),
    ):
        estimates = estimator(PI.log()[None], REF.log()[None])
        agree(estimates, exactly([numbers]))
        agree((PI * estimates).sum(), mean)


def test_in_the_loss_k1_has_no_gradient_and_k3_that_of_the_kl_the_other_way_round():
    # To the logits: d KL(pi || ref) = pi_a (ln(pi_a / ref_a) - KL), and d KL(ref || pi) = pi - ref.
    forward = exactly([0.26308022338402716, -0.1753868155893515, -0.08769340779467576])
    for estimator, expected in ((kl_k1, [0.0] * 3), (kl_k2, forward), (kl_k3, [0.3, -0.2, -0.1])):
        logits = (PI.log() + 2).requires_grad_()
        estimates = estimator(logits.log_softmax(dim=0)[None], REF.log()[None])
        agree(torch.autograd.grad((PI * estimates).sum(), logits)[0], expected)


def test_k3_is_never_negative_and_keeps_its_digits_near_zero():
    for dtype, small, tolerance in ((torch.float64, 1e-4, 1e-10), (torch.float32, 1e-3, 1e-3)):
        gaps = torch.logspace(-12, 1, 4001, dtype=dtype)
        gaps = torch.cat([gaps, -gaps, torch.zeros(1, dtype=dtype)])[None]
        assert (kl_k3(gaps, torch.zeros_like(gaps)) >= 0).all()
        for gap in (small, -small):  # e^g - 1 - g = g^2/2 + g^3/6 + g^4/24 + ...
            k3 = kl_k3(torch.full((1, 1), -gap, dtype=dtype), torch.zeros(1, 1, dtype=dtype)).item()
            assert k3 == pytest.approx(gap**2 / 2 + gap**3 / 6 + gap**4 / 24, rel=tolerance)
