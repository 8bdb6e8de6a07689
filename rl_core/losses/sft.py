"""Supervised fine-tuning, behaviour cloning and pre-training: make what was shown likelier."""

from torch import Tensor

from rl_core.masked import masked_mean, select_all
from rl_core.types import Metrics


def sft_loss(logprobs: Tensor, mask: Tensor) -> tuple[Tensor, Metrics]:
    """Return the mean negative log-likelihood of the actions that count, a scalar, nats per action, and its metrics.

        L = − mean_t [ log π(a_t|s_t) ]

    | symbol    | argument                                                              |
    | --------- | --------------------------------------------------------------------- |
    | log π     | logprobs [B, T] of the shown actions, nats, with gradient              |
    | mean_t    | over the cells where mask [B, T] is True: all tokens of a text while   |
    |           | pre-training, the assistant's tokens in a chat, a driver's actions     |

    It is the policy gradient with every advantage equal to 1, on actions that somebody else took.

    Trap: everything shown is made likelier, faults too, and nothing is ever made less likely but by that.

    Raises InvalidArgument for shapes that differ and for a mask without a live cell.
    Source: Ouyang et al. 2022, arXiv:2203.02155, section 3.5; as behaviour cloning: Pomerleau 1988, "ALVINN".

    The shown actions have 1/2 and 1/8, which is log 2 and 3 log 2 nats, 2 log 2 on average; the third is the user's:

        >>> import torch
        >>> logprobs, mask = torch.tensor([[0.5, 0.125, 0.9]]).log(), torch.tensor([[True, True, False]])
        >>> sft_loss(logprobs, mask)[0]
        tensor(1.3863)
    """
    (logprobs,) = select_all(mask, logprobs=logprobs)

    loss = -masked_mean(logprobs, mask)

    return loss, {"loss": loss.item()}
