"""REINFORCE: make the actions that went better than expected likelier."""

from torch import Tensor

from rl_core.masked import check_same_shape, masked_mean, select
from rl_core.types import Metrics


def policy_gradient_loss(logprobs: Tensor, advantages: Tensor, mask: Tensor) -> tuple[Tensor, Metrics]:
    """Return the loss, a scalar, whose gradient is minus the policy gradient.

        L = − mean_t [ A_t log π(a_t|s_t) ]

    | symbol    | argument                                     |
    | --------- | -------------------------------------------- |
    | log π     | logprobs [B, T], nats, with gradient         |
    | A_t       | advantages [B, T], constants                 |
    | mean_t    | over the cells where mask [B, T] is True     |

    Raises InvalidArgument for shapes that differ and for a mask without a live cell.
    Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement
    learning". We average over the minibatch's live steps where the original sums over an episode; that their number is
    the answers' own work makes small minibatches lean a little, as `grpo_loss` tells with its size.
    """
    check_same_shape(mask, logprobs=logprobs, advantages=advantages)
    loss = -masked_mean(select(advantages.detach(), mask) * select(logprobs, mask), mask)
    return loss, {"policy_loss": loss.item()}
