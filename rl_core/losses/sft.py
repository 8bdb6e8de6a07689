"""Supervised fine-tuning, behaviour cloning and pre-training: make what was shown likelier."""

from torch import Tensor

from rl_core.masked import check_same_shape, masked_mean
from rl_core.types import Metrics


def sft_loss(logprobs: Tensor, mask: Tensor) -> tuple[Tensor, Metrics]:
    """Return the mean negative log-likelihood of the actions that count, a scalar, nats per action.

        L = − mean_t [ log π(a_t|s_t) ]

    | symbol    | argument                                                              |
    | --------- | --------------------------------------------------------------------- |
    | log π     | logprobs [B, T] of the shown actions, nats, with gradient              |
    | mean_t    | over the cells where mask [B, T] is True: all tokens of a text while   |
    |           | pre-training, the assistant's tokens in a chat, a driver's actions     |

    It is the policy gradient with every advantage equal to 1, on actions that somebody else took: everything shown is
    made likelier, and nothing is ever made less likely but by that.

    Raises InvalidArgument for shapes that differ and for a mask without a live cell.
    Source: Ouyang et al. 2022, arXiv:2203.02155, section 3.5; as behaviour cloning: Pomerleau 1988, "ALVINN".
    """
    check_same_shape(mask, logprobs=logprobs)
    loss = -masked_mean(logprobs, mask)
    return loss, {"loss": loss.item()}
