"""The Bradley-Terry model: a preference for one of two becomes a number for each."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rl_core.errors import InvalidArgument
from rl_core.masked import check_shapes
from rl_core.types import Metrics


def bradley_terry_loss(chosen_scores: Tensor, rejected_scores: Tensor) -> tuple[Tensor, Metrics]:
    """Return the mean negative log-likelihood of the preferences, a scalar, nats per pair, and its metrics.

        P(chosen ≻ rejected) = σ(s⁺ − s⁻)
        L = − mean_n [ log σ(s⁺ₙ − s⁻ₙ) ]

    | symbol   | argument                                                             |
    | -------- | -------------------------------------------------------------------- |
    | s⁺, s⁻   | chosen_scores, rejected_scores [N], of whole episodes, with gradient |

    A model that knows nothing loses log 2 = 0.6931. Only differences count: adding a constant to both scores of a pair
    changes nothing, so scores are known up to a constant per start.

    Trap: where a score is a sum over steps, a constant per *step* is no such constant. It is learned from pairs of
    unequal length, and from pairs of equal length it is not learned at all.

    Raises InvalidArgument for shapes that differ, for more than one number an episode, and for no pair at all.
    Source: Bradley and Terry 1952, "Rank analysis of incomplete block designs"; as a reward model: Christiano et al.
    2017, arXiv:1706.03741, equation 1; Ouyang et al. 2022, arXiv:2203.02155, equation 1.

    Margins of log 3, 0 and −log 3 give what was chosen 3/4, 1/2 and 1/4: the mean of log 4/3, log 2 and log 4 is
    0.7890; one hit, one tie and one miss are an accuracy of a half:

        >>> chosen, rejected = torch.tensor([1.0986, 0.7, 0.0]), torch.tensor([0.0, 0.7, 1.0986])
        >>> loss, metrics = bradley_terry_loss(chosen, rejected)
        >>> loss, metrics["accuracy"]
        (tensor(0.7890), 0.5)
    """
    check_one_each(chosen_scores=chosen_scores, rejected_scores=rejected_scores)

    margins = chosen_scores - rejected_scores  # [N]
    loss = -logsigmoid(margins).mean()

    return loss, preference_metrics(loss, chosen_scores, rejected_scores)


def preference_metrics(loss: Tensor, chosen_scores: Tensor, rejected_scores: Tensor) -> Metrics:
    """Return what is to be known of the scores of some pairs, [N] each, beside the loss."""
    return {
        "loss": loss.item(),
        "accuracy": ranking_accuracy(chosen_scores, rejected_scores),
        "margin": (chosen_scores - rejected_scores).mean().item(),
    }


def ranking_accuracy(chosen_scores: Tensor, rejected_scores: Tensor) -> float:
    """Return the share of pairs [N] whose chosen one scores higher; a tie is half a hit, as a coin would make it."""
    check_shapes(chosen_scores=chosen_scores, rejected_scores=rejected_scores)
    hits = torch.where(chosen_scores == rejected_scores, 0.5, (chosen_scores > rejected_scores).float())
    return hits.mean().item()


def check_one_each(**numbers: Tensor) -> None:
    """Raise InvalidArgument unless all hold one number for each of the same episodes: [N], N >= 1."""
    check_shapes(**numbers)
    name, first = next(iter(numbers.items()))
    if first.dim() != 1:
        raise InvalidArgument(f"{name} has shape {tuple(first.shape)}; sum over the steps first: one for an episode.")
    if not len(first):
        raise InvalidArgument(f"{name} is empty; pass at least one pair.")
