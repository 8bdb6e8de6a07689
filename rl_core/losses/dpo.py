"""Direct preference optimisation: the policy is its own reward model, and is trained as one."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from rl_core.errors import check_below, check_positive
from rl_core.losses.reward_model import bradley_terry_loss, check_one_each, preference_metrics
from rl_core.types import Metrics


def dpo_loss(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, *, beta: float
) -> tuple[Tensor, Metrics]:
    """Return the loss of the preferences under the policy's own reward, a scalar, nats per pair, and its metrics.

        r̂(y) = β (log π(y) − log π_ref(y))
        L = − mean_n [ log σ( r̂(y⁺ₙ) − r̂(y⁻ₙ) ) ]

    | symbol                  | argument                                                                  |
    | ----------------------- | ------------------------------------------------------------------------- |
    | log π(y⁺), log π(y⁻)    | chosen, rejected [N]: *sums* over an episode's steps, nats, with gradient |
    | log π_ref(y⁺), (y⁻)     | ref_chosen, ref_rejected [N], nats, constants                             |
    | β                       | beta > 0: reward per nat; small β lets the policy go far                  |

    It is `bradley_terry_loss` of r̂. The best policy for a reward r that is charged β per nat of KL is
    π*(y) ∝ π_ref(y) exp(r(y) / β); turned around, r(y) = β log π*(y)/π_ref(y) + a constant per start, which a
    preference between two answers to one question does not see. So a policy that explains the preferences is the best
    one for the reward behind them, and that reward need not be learned first.

    Trap: only the margin is held; both answers may become less likely, the chosen one too.

    Raises InvalidArgument for β <= 0, shapes that differ, and for no pair at all.
    Source: Rafailov et al. 2023, arXiv:2305.18290, equation 7.

    The policy finds the chosen answer 2 nats likelier than the reference does and the rejected one 1 less likely. With
    β = 1/2 the rewards are 1 and −1/2, and log(1 + exp(−1.5)) is 0.2014:

        >>> import torch
        >>> chosen, rejected, ref_chosen, ref_rejected = torch.tensor([[-3.0], [-6.0], [-5.0], [-5.0]])
        >>> loss, metrics = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=0.5)
        >>> loss, metrics["chosen_reward"], metrics["rejected_reward"]
        (tensor(0.2014), 1.0, -0.5)
    """
    chosen_rewards, rejected_rewards = implicit_rewards(chosen, rejected, ref_chosen, ref_rejected, beta=beta)

    loss, _ = bradley_terry_loss(chosen_rewards, rejected_rewards)

    return loss, reward_metrics(loss, chosen_rewards, rejected_rewards)


def smoothed_dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float,
    label_smoothing: float,
) -> tuple[Tensor, Metrics]:
    """Return `dpo_loss` for labels of which a share is believed to be flipped, a scalar, nats, and its metrics.

        L = − mean_n [ (1 − ε) log σ(mₙ) + ε log σ(−mₙ) ],    m = r̂(y⁺) − r̂(y⁻)

    | symbol | argument                                                       |
    | ------ | -------------------------------------------------------------- |
    | ε      | label_smoothing, in [0, 1/2): the share believed to be flipped |

    At its minimum σ(m) = 1 − ε: the margin stays finite, however often a pair is seen. Other symbols: as `dpo_loss`.

    Trap: ε is a belief, not a measurement; too large a one caps what clean labels could teach.

    Raises as `dpo_loss`, and for ε outside [0, 1/2).
    Source: Mitchell 2023, "A note on DPO with noisy preferences & relationship to IPO" (called conservative DPO there).

    The pair of `dpo_loss`: its margin of 1.5 costs 0.2014 if it is labelled rightly, and 1.7014 if not. Of ten such
    labels one is believed to be flipped: 0.9 · 0.2014 + 0.1 · 1.7014 = 0.3514:

        >>> import torch
        >>> pair = torch.tensor([[-3.0], [-6.0], [-5.0], [-5.0]])
        >>> smoothed_dpo_loss(*pair, beta=0.5, label_smoothing=0.1)[0]
        tensor(0.3514)
    """
    check_below("label_smoothing", label_smoothing, 0, 0.5)
    chosen_rewards, rejected_rewards = implicit_rewards(chosen, rejected, ref_chosen, ref_rejected, beta=beta)

    margins = chosen_rewards - rejected_rewards  # [N]
    loss = -((1 - label_smoothing) * logsigmoid(margins) + label_smoothing * logsigmoid(-margins)).mean()

    return loss, reward_metrics(loss, chosen_rewards, rejected_rewards)


def ipo_loss(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, *, beta: float
) -> tuple[Tensor, Metrics]:
    """Return the mean squared distance of the log-ratio margin from its target, a scalar, nats², and its metrics.

        h = log π(y⁺)/π_ref(y⁺) − log π(y⁻)/π_ref(y⁻)
        L = mean_n [ ( hₙ − 1 / (2β) )² ]

    | symbol | argument                                                           |
    | ------ | ------------------------------------------------------------------ |
    | β      | beta > 0 (τ in the paper): the larger, the closer to the reference |

    Where every pair is always judged alike, `dpo_loss` is never satisfied and its margin grows without end; this one
    has a target. Other symbols: as `dpo_loss`.

    Trap: nats squared are no nats; a learning rate that fits `dpo_loss` does not fit here.

    Raises as `dpo_loss`. Source: Azar et al. 2023, arXiv:2310.12036, equation 17.

    The pair of `dpo_loss`: its log-ratio margin of 2 + 1 is 2 above the target of 1 that β = 1/2 sets:

        >>> import torch
        >>> pair = torch.tensor([[-3.0], [-6.0], [-5.0], [-5.0]])
        >>> ipo_loss(*pair, beta=0.5)[0]
        tensor(4.)
    """
    check_positive("beta", beta)
    chosen_ratios, rejected_ratios = log_ratios(chosen, rejected, ref_chosen, ref_rejected)

    margins = chosen_ratios - rejected_ratios  # [N]
    loss = (margins - 1 / (2 * beta)).square().mean()

    return loss, reward_metrics(loss, beta * chosen_ratios, beta * rejected_ratios)


def implicit_rewards(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, *, beta: float
) -> tuple[Tensor, Tensor]:
    """Return r̂ = β log π/π_ref, the policy's own reward, of the chosen and of the rejected episodes, [N] each."""
    check_positive("beta", beta)
    chosen_ratios, rejected_ratios = log_ratios(chosen, rejected, ref_chosen, ref_rejected)
    return beta * chosen_ratios, beta * rejected_ratios


def log_ratios(chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor) -> tuple[Tensor, Tensor]:
    """Return log π/π_ref of the chosen and of the rejected episodes, [N] each, nats, with gradient."""
    check_one_each(chosen=chosen, rejected=rejected, ref_chosen=ref_chosen, ref_rejected=ref_rejected)
    return chosen - ref_chosen.detach(), rejected - ref_rejected.detach()


def reward_metrics(loss: Tensor, chosen_rewards: Tensor, rejected_rewards: Tensor) -> Metrics:
    """Return what is to be known of the policy's own rewards, [N] each."""
    return preference_metrics(loss, chosen_rewards, rejected_rewards) | {
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }
