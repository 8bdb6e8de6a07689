"""REINFORCE: make the actions that went better than expected likelier."""

from torch import Tensor

from rl_core.masked import masked_mean, select_all
from rl_core.types import Metrics


def policy_gradient_loss(logprobs: Tensor, advantages: Tensor, mask: Tensor) -> tuple[Tensor, Metrics]:
    """Return the loss whose gradient is minus the policy gradient, a scalar, and its metrics.

        L = − mean_t [ A_t log π(a_t|s_t) ]

    | symbol    | argument                                     |
    | --------- | -------------------------------------------- |
    | log π     | logprobs [B, T], nats, with gradient         |
    | A_t       | advantages [B, T], constants                 |
    | mean_t    | over the cells where mask [B, T] is True     |

    Trap: its value tells nothing of how good the policy is; only its gradient has a meaning.

    Raises InvalidArgument for shapes that differ and for a mask without a live cell.
    Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement
    learning". We average over the minibatch's live steps where the original sums over an episode; that their number is
    the answers' own work makes small minibatches lean a little, as `grpo_loss` tells with its size.

    Three steps of probability 1/2, worth 2, −1 and 0: (2 log 2 − log 2 + 0) / 3 is 0.2310, and each step's slope in
    its own log π is −A / 3, so that the first becomes likelier and the second less likely:

        >>> import torch
        >>> logprobs = torch.tensor([[0.5, 0.5, 0.5]]).log().requires_grad_()
        >>> advantages, mask = torch.tensor([[2.0, -1.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool)
        >>> loss, _ = policy_gradient_loss(logprobs, advantages, mask)
        >>> round(loss.item(), 4), torch.autograd.grad(loss, logprobs)[0]
        (0.231, tensor([[-0.6667,  0.3333, -0.0000]]))
    """
    logprobs, advantages = select_all(mask, logprobs=logprobs, advantages=advantages.detach())

    loss = -masked_mean(advantages * logprobs, mask)

    return loss, {"loss": loss.item(), "policy_loss": loss.item()}
