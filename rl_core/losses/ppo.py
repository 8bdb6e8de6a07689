"""Proximal policy optimisation: a policy-gradient step that has no reason to go far."""

import torch
from torch import Tensor

from rl_core.errors import check_at_least, check_positive
from rl_core.masked import check_shapes, masked_mean, select_all
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

    Trap: it is no wall. The other steps of a minibatch may carry a ratio past the clip, and nothing brings it back.

    Raises InvalidArgument for ε <= 0 and for shapes that differ.
    Source: Schulman et al. 2017, arXiv:1707.06347, equation 7.

    Ratios of 1.5, 1.5 and 0.5, with ε = 0.2: a good action gains up to 1.2; a bad one that became likelier pays for all
    of it; a bad one that became less likely has done its part at 0.8:

        >>> logprobs, old_logprobs = torch.tensor([[0.6, 0.6, 0.2]]).log(), torch.tensor([[0.4, 0.4, 0.4]]).log()
        >>> clipped_surrogate(logprobs, old_logprobs, torch.tensor([[1.0, -1.0, -1.0]]), clip=0.2)
        tensor([[ 1.2000, -1.5000, -0.8000]])
    """
    check_shapes(logprobs=logprobs, old_logprobs=old_logprobs, advantages=advantages)
    if clip is not None:
        check_positive("clip", clip)

    ratio = torch.exp(logprobs - old_logprobs)
    if clip is None:
        return ratio * advantages
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
    | mean_t    | over the cells where mask [B, T] is True                  |

    Trap: ε has a unit. A clip of 0.2 where returns are in the hundreds lets the critic learn next to nothing.

    Raises InvalidArgument for ε <= 0, shapes that differ, or a mask without a live cell.
    Source: Schulman et al. 2017, arXiv:1707.06347, section 5 (the plain loss); the clipped form is in the code that
    came with that paper (OpenAI baselines) and not in its text.

    Errors of 1, 2 and 0, half their mean square is 5/6; with ε = 1/2 the first may not count on having come from 3 to
    2, is taken at 2.5, and errs by 1.5:

        >>> values, returns = torch.tensor([[2.0, 2.0, 2.0]]), torch.tensor([[1.0, 4.0, 2.0]])
        >>> old_values, mask = torch.tensor([[3.0, 2.0, 2.0]]), torch.ones(1, 3, dtype=torch.bool)
        >>> value_loss(values, old_values, returns, mask, clip=None)
        tensor(0.8333)
        >>> value_loss(values, old_values, returns, mask, clip=0.5)  # ½ (1.5² + 2² + 0) / 3
        tensor(1.0417)
    """
    values, old_values, returns = select_all(mask, values=values, old_values=old_values, returns=returns)
    if clip is not None:
        check_positive("clip", clip)

    errors = (values - returns).square()
    if clip is not None:
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
    """Return the whole loss of PPO, a scalar to minimise, and its metrics.

        L = − mean_t [ J_t ]  +  c₁ L_value  −  c₂ mean_t [ H_t ]

    | symbol    | argument                                                              |
    | --------- | --------------------------------------------------------------------- |
    | J_t       | `clipped_surrogate` of logprobs, old_logprobs, advantages, clip       |
    | L_value   | `value_loss` of values, old_values, returns, value_clip               |
    | H_t       | entropy [B, T], nats, with gradient                                   |
    | c₁, c₂    | value_weight, entropy_weight, both >= 0 (vf_coef, ent_coef elsewhere) |
    | mean_t    | over the cells where mask [B, T] is True                              |

    Trap: `old` is the policy at the start of the update, in the very minibatches of the first pass, and not what was
    recorded while sampling; else the first ratio is not 1.

    Raises InvalidArgument for a negative weight, a clip <= 0, shapes that differ, or a mask without a live cell.
    Source: Schulman et al. 2017, arXiv:1707.06347, equation 9, with the sign turned.

    The three steps of `clipped_surrogate` and of `value_loss`, an entropy of 0.6, c₁ = 1/2 and c₂ = 0.1: the mean of J
    is −1.1 / 3, so that L = 0.3667 + 0.5 · 0.8333 − 0.1 · 0.6 = 0.7233; all three ratios lie outside the clip:

        >>> logprobs, old_logprobs = torch.tensor([[0.6, 0.6, 0.2]]).log(), torch.tensor([[0.4, 0.4, 0.4]]).log()
        >>> values, returns = torch.tensor([[2.0, 2.0, 2.0]]), torch.tensor([[1.0, 4.0, 2.0]])
        >>> advantages, entropy = torch.tensor([[1.0, -1.0, -1.0]]), torch.full((1, 3), 0.6)
        >>> mask = torch.ones(1, 3, dtype=torch.bool)
        >>> loss, metrics = ppo_loss(
        ...     logprobs, values, entropy, old_logprobs, values, advantages, returns, mask,
        ...     clip=0.2, value_clip=None, value_weight=0.5, entropy_weight=0.1,
        ... )
        >>> loss, metrics["clip_fraction"]
        (tensor(0.7233), 1.0)
    """
    check_at_least("value_weight", value_weight, 0)
    check_at_least("entropy_weight", entropy_weight, 0)
    if value_clip is not None:
        check_positive("value_clip", value_clip)
    logprobs, entropy, old_logprobs, advantages = select_all(
        mask, logprobs=logprobs, entropy=entropy, old_logprobs=old_logprobs, advantages=advantages
    )

    policy_loss = -masked_mean(clipped_surrogate(logprobs, old_logprobs, advantages, clip=clip), mask)
    critic_loss = value_loss(values, old_values, returns, mask, clip=value_clip)
    mean_entropy = masked_mean(entropy, mask)
    loss = policy_loss + value_weight * critic_loss - entropy_weight * mean_entropy

    parts = {"policy_loss": policy_loss, "value_loss": critic_loss, "entropy": mean_entropy}
    return loss, loss_metrics(loss, **parts) | ratio_metrics(logprobs, old_logprobs, mask, clip=clip)


def loss_metrics(loss: Tensor, **parts: Tensor) -> Metrics:
    """Return a loss and its parts, scalars all, as numbers."""
    return {name: part.item() for name, part in {"loss": loss, **parts}.items()}


def ratio_metrics(logprobs: Tensor, old_logprobs: Tensor, mask: Tensor, *, clip: float | None) -> Metrics:
    """Return the share of steps whose ratio left 1 ± ε, and the largest |ratio − 1|, of selected log-probabilities.

    A step out there counts even where the clip does not bind, and its term still pushes.
    """
    ratio_gaps = (torch.exp(logprobs.detach() - old_logprobs) - 1).abs()
    clipped = ratio_gaps > clip if clip is not None else torch.zeros_like(mask)
    return {
        "clip_fraction": masked_mean(clipped.to(logprobs.dtype), mask).item(),
        "ratio_gap": ratio_gaps.max().item(),
    }
