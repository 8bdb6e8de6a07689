"""Proximal policy optimisation: a policy-gradient step that has no reason to go far."""

import torch
from torch import Tensor

from rl_core.errors import check_at_least, check_positive
from rl_core.masked import check_alike, check_same_shape, masked_mean, select
from rl_core.types import Metrics


def clipped_surrogate(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, clip: float | None) -> Tensor:
    """Return the clipped surrogate objective of each step, [B, T], to be maximised.

        ρ = π(a|s) / π_old(a|s) = exp(log π − log π_old)
        J = min( ρ A,  clip(ρ, 1 − ε, 1 + ε) A )

    | symbol      | argument                                            |
    | ----------- | --------------------------------------------------- |
    | log π       | logprobs [B, T], nats, with gradient                |
    | log π_old   | old_logprobs [B, T], nats                           |
    | A           | advantages [B, T]                                   |
    | ε           | clip > 0; None leaves the ratio free: J = ρ A       |

    The min makes it a pessimist: once a good action (A > 0) is 1 + ε times as likely as before, or a bad one 1 − ε
    times, nothing more is gained and the gradient is 0; a step that went the wrong way keeps its full gradient.

    Raises InvalidArgument for ε <= 0. Source: Schulman et al. 2017, arXiv:1707.06347, equation 7.
    """
    check_alike(logprobs=logprobs, old_logprobs=old_logprobs, advantages=advantages)
    ratio = torch.exp(logprobs - old_logprobs)
    if clip is None:
        return ratio * advantages
    check_positive("clip", clip)
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, *, clip: float | None) -> Tensor:
    """Return half the mean squared error of the critic, a scalar, in squared units of the return.

        L = ½ mean_t [ (V − R)² ]                                                  clip None
        L = ½ mean_t [ max( (V − R)²,  (V_old + clip(V − V_old, −ε, ε) − R)² ) ]

    | symbol    | argument                                                  |
    | --------- | --------------------------------------------------------- |
    | V, V_old  | values (with gradient), old_values, [B, T]                |
    | R         | returns [B, T]                                            |
    | ε         | clip > 0, in units of the return; None for the plain loss |

    Raises InvalidArgument for ε <= 0, shapes that differ, or a mask without a live cell.
    Source: Schulman et al. 2017, arXiv:1707.06347, section 5 (the plain loss); the clipped form is in the code that
    came with that paper (OpenAI baselines) and not in its text.
    """
    check_same_shape(mask, values=values, old_values=old_values, returns=returns)
    values, old_values, returns = (select(x, mask) for x in (values, old_values, returns))
    errors = (values - returns).square()
    if clip is not None:
        check_positive("clip", clip)
        near = old_values + (values - old_values).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - returns).square())
    return masked_mean(errors, mask) / 2


def ppo_loss(
    logprobs: Tensor,
    values: Tensor,
    entropy: Tensor,
    old_logprobs: Tensor,
    old_values: Tensor,
    advantages: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    clip: float | None,
    value_clip: float | None,
    value_weight: float,
    entropy_weight: float,
) -> tuple[Tensor, Metrics]:
    """Return the whole loss of PPO, a scalar to minimise.

        L = − mean_t [ J_t ]  +  c₁ L_value  −  c₂ mean_t [ H_t ]

    | symbol    | argument                                                              |
    | --------- | --------------------------------------------------------------------- |
    | J_t       | `clipped_surrogate` of logprobs, old_logprobs, advantages, clip       |
    | L_value   | `value_loss` of values, old_values, returns, value_clip               |
    | H_t       | entropy [B, T], nats, with gradient                                   |
    | c₁, c₂    | value_weight, entropy_weight, both >= 0                               |
    | mean_t    | over the cells where mask [B, T] is True                              |

    Raises InvalidArgument for a negative weight, a clip <= 0, shapes that differ, or a mask without a live cell.
    Source: Schulman et al. 2017, arXiv:1707.06347, equation 9, with the sign turned.
    """
    check_at_least("value_weight", value_weight, 0)
    check_at_least("entropy_weight", entropy_weight, 0)
    if value_clip is not None:
        check_positive("value_clip", value_clip)
    check_same_shape(mask, logprobs=logprobs, entropy=entropy, old_logprobs=old_logprobs, advantages=advantages)
    # Selected before `exp`: a masked cell may hold anything.
    logprobs, old_logprobs, advantages = (select(x, mask) for x in (logprobs, old_logprobs, advantages))

    policy_loss = -masked_mean(clipped_surrogate(logprobs, old_logprobs, advantages, clip=clip), mask)
    critic_loss = value_loss(values, old_values, returns, mask, clip=value_clip)
    mean_entropy = masked_mean(entropy, mask)
    loss = policy_loss + value_weight * critic_loss - entropy_weight * mean_entropy

    ratio = torch.exp(logprobs.detach() - old_logprobs)
    clipped = (ratio - 1).abs() > clip if clip is not None else torch.zeros_like(mask)
    metrics = {
        "loss": loss.item(),
        "policy_loss": policy_loss.item(),
        "value_loss": critic_loss.item(),
        "entropy": mean_entropy.item(),
        "clip_fraction": masked_mean(clipped.float(), mask).item(),
        "ratio_gap": (ratio - 1).abs().max().item(),
    }
    return loss, metrics
