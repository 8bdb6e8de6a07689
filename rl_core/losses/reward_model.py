"""The Bradley-Terry model: a taste for one of two becomes a number for each."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rl_core.errors import InvalidArgument
from rl_core.masked import check_alike
from rl_core.types import Metrics


def bradley_terry_loss(chosen_scores: Tensor, rejected_scores: Tensor) -> tuple[Tensor, Metrics]:
    """Return the mean negative log-likelihood of the preferences, a scalar, nats per pair.

        P(chosen ≻ rejected) = σ(s⁺ − s⁻)
        L = − mean_n [ log σ(s⁺ₙ − s⁻ₙ) ]

    | symbol   | argument                                                          |
    | -------- | ----------------------------------------------------------------- |
    | s⁺, s⁻   | chosen_scores, rejected_scores [N], of whole episodes, with gradient |

    A model that knows nothing loses log 2. Only differences count: adding a constant to both scores of a pair changes
    nothing, so scores are known up to a constant per start. Where a score is a sum over steps, a constant per *step*
    is no such constant: it is learnt from pairs of unequal length, and from pairs of equal length it is not learnt at
    all.

    Raises InvalidArgument for shapes that differ and for no pair at all.
    Source: Bradley and Terry 1952, "Rank analysis of incomplete block designs"; as a reward model: Christiano et al.
    2017, arXiv:1706.03741, equation 1; Ouyang et al. 2022, arXiv:2203.02155, equation 1.
    """
    check_alike(chosen_scores=chosen_scores, rejected_scores=rejected_scores)
    check_one_each("chosen_scores", chosen_scores)
    margins = chosen_scores - rejected_scores  # [N]
    loss = -logsigmoid(margins).mean()
    metrics = {
        "loss": loss.item(),
        "accuracy": ranking_accuracy(chosen_scores, rejected_scores),
        "margin": margins.mean().item(),
    }
    return loss, metrics


def ranking_accuracy(chosen_scores: Tensor, rejected_scores: Tensor) -> float:
    """Return the share of pairs [N] whose chosen one scores higher; a tie is half a hit, as a coin would make it."""
    check_alike(chosen_scores=chosen_scores, rejected_scores=rejected_scores)
    hits = torch.where(chosen_scores == rejected_scores, 0.5, (chosen_scores > rejected_scores).float())
    return hits.mean().item()


def check_one_each(name: str, numbers: Tensor) -> None:
    """Nothing; InvalidArgument unless there is one number for each of some episodes: [N], N >= 1."""
    if numbers.dim() != 1:
        raise InvalidArgument(f"{name} has shape {tuple(numbers.shape)}; sum over the steps first: one for an episode.")
    if not len(numbers):
        raise InvalidArgument(f"{name} is empty; pass at least one pair.")
