"""Direct preference optimisation: the policy is its own reward model, and is trained as one."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from rl_core.errors import check_below, check_positive
from rl_core.losses.reward_model import check_one_each, ranking_accuracy
from rl_core.masked import check_alike
from rl_core.types import Metrics


def dpo_loss(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, *, beta: float
) -> tuple[Tensor, Metrics]:
    """Return the mean negative log-likelihood of the preferences under the policy's own reward, a scalar, nats.

        r̂(y) = β (log π(y) − log π_ref(y))
        L = − mean_n [ log σ( r̂(y⁺ₙ) − r̂(y⁻ₙ) ) ]

    | symbol                  | argument                                                              |
    | ----------------------- | --------------------------------------------------------------------- |
    | log π(y⁺), log π(y⁻)    | chosen, rejected [N]: *sums* over an episode's steps, nats, with gradient |
    | log π_ref(y⁺), (y⁻)     | ref_chosen, ref_rejected [N], nats, constants                         |
    | β                       | beta > 0: reward per nat; small β lets the policy go far              |

    It is `bradley_terry_loss` of r̂. The best policy for a reward r that is charged β per nat of KL is
    π*(y) ∝ π_ref(y) exp(r(y) / β); turned around, r(y) = β log π*(y)/π_ref(y) + a constant per start, which a
    preference between two answers to one question does not see. So a policy that explains the preferences is the best
    one for the reward behind them, and that reward need not be learnt first.

    Raises InvalidArgument for β <= 0, shapes that differ, and for no pair at all.
    Source: Rafailov et al. 2023, arXiv:2305.18290, equation 7.
    """
    margins, metrics = _margins(chosen, rejected, ref_chosen, ref_rejected, beta)
    loss = -logsigmoid(margins).mean()
    return loss, {"loss": loss.item()} | metrics


def smoothed_dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float,
    label_smoothing: float,
) -> tuple[Tensor, Metrics]:
    """Return `dpo_loss` for labels of which a share is believed to be flipped, a scalar, nats.

        L = − mean_n [ (1 − ε) log σ(mₙ) + ε log σ(−mₙ) ],    m = r̂(y⁺) − r̂(y⁻)

    | symbol | argument                                                    |
    | ------ | ----------------------------------------------------------- |
    | ε      | label_smoothing, in [0, 1/2): the share believed to be flipped |

    At its minimum σ(m) = 1 − ε: the margin stays finite, however often a pair is seen.
    Raises as `dpo_loss`, and for ε outside [0, 1/2). Other symbols: as `dpo_loss`.
    Source: Mitchell 2023, "A note on DPO with noisy preferences & relationship to IPO" (called conservative DPO there).
    """
    check_below("label_smoothing", label_smoothing, 0, 0.5)
    margins, metrics = _margins(chosen, rejected, ref_chosen, ref_rejected, beta)
    loss = -((1 - label_smoothing) * logsigmoid(margins) + label_smoothing * logsigmoid(-margins)).mean()
    return loss, {"loss": loss.item()} | metrics


def ipo_loss(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, *, beta: float
) -> tuple[Tensor, Metrics]:
    """Return the mean squared distance of the log-ratio margin from its target, a scalar, nats².

        h = (log π(y⁺) − log π_ref(y⁺)) − (log π(y⁻) − log π_ref(y⁻))
        L = mean_n [ ( hₙ − 1 / (2β) )² ]

    | symbol | argument                                                        |
    | ------ | --------------------------------------------------------------- |
    | β      | beta > 0 (τ in the paper): the larger, the closer to the reference |

    Where every pair is always judged alike, `dpo_loss` is never satisfied and its margin grows without end; this one
    has a target. Raises as `dpo_loss`. Other symbols: as `dpo_loss`.
    Source: Azar et al. 2023, arXiv:2310.12036, equation 17.
    """
    margins, metrics = _margins(chosen, rejected, ref_chosen, ref_rejected, beta)
    loss = (margins / beta - 1 / (2 * beta)).square().mean()
    return loss, {"loss": loss.item()} | metrics


def _margins(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, Metrics]:
    """Return r̂(y⁺) − r̂(y⁻) of each pair [N], with gradient, beside what is to be known of r̂."""
    check_positive("beta", beta)
    check_alike(rejected=rejected, ref_chosen=ref_chosen, ref_rejected=ref_rejected, chosen=chosen)
    check_one_each("chosen", chosen)
    chosen_rewards = beta * (chosen - ref_chosen.detach())  # [N]
    rejected_rewards = beta * (rejected - ref_rejected.detach())
    margins = chosen_rewards - rejected_rewards
    metrics = {
        "accuracy": ranking_accuracy(chosen_rewards, rejected_rewards),
        "margin": margins.mean().item(),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }
    return margins, metrics
