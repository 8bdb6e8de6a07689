"""The three roles that the core knows: an environment, a network, and a scorer of finished episodes."""

from typing import Any, Protocol

from torch import Tensor, nn

from rl_core.types import Episodes, Output, Prompt, TimeStep


class Env(Protocol):
    """B rows that advance in lock-step.

    The seed is an argument of whoever builds one, and no `reset` takes it: an episode that can be reseeded on the way
    is soon played again and again. To begin anew from another seed, load the state of one that was built with it.
    """

    def reset(self) -> tuple[Prompt, TimeStep]:
        """Return what each row starts from; rows that only a window cut off go on where they were."""
        ...

    def step(self, actions: Tensor) -> TimeStep:
        """Return the answer to one action [B] in each row; rows that have ended ignore theirs."""
        ...

    def restart(self, states: Episodes) -> "Env":
        """Return a new environment like this one, whose every reset begins each row where a row of `states` stands.

        A row stands at what it saw in its last live column, before it acted there. What the task counts goes on from
        there (the tokens left to an answer); a mere limit to watching begins anew, for it is no part of a state.
        Raises InvalidType where what was seen does not tell the state. This environment does not change.
        """
        ...

    def finished(self) -> list[tuple[float, int]]:
        """Return (return, length) of each episode that ended since last asked."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides the future, as tensors and numbers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state_dict` was taken."""
        ...


class Network(Protocol):
    """A policy with an optional critic: the policy acts step by step; over whole rows both are asked at once."""

    memoryless: bool
    """True when the answer to a step depends on that step's observation alone. The core may ask nothing else of it."""

    def start(self, prompt: Prompt) -> Any:
        """Return the memory after the prompt."""
        ...

    def select(self, state: Any, rows: Tensor) -> Any:
        """Return the memory of the chosen rows, of each as often as it is chosen; the given memory is used up."""
        ...

    def step(self, obs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the logits [B, A] for one observation per row and the new memory; the given memory is used up.

        Logits are those that are drawn from: the temperature is applied.
        """
        ...

    def __call__(self, prompt: Prompt, obs: Tensor) -> Output:
        """Return logits and values of whole rows [B, T, *O]; logits equal to the steps', and the only way to gradients.

        Nobody needs a value to act, so that it is only here that the critic is asked.
        """
        ...


class ActorCritic(Network, Protocol):
    """A network that tells its critic from its policy, so that the two can learn at different rates."""

    def critic_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that only the values depend on; none without a critic."""
        ...


class Scorer(Protocol):
    """A judge of finished episodes, such as a reward model."""

    def score(self, episodes: Episodes) -> Tensor:
        """Return rewards [B, T] whose sum over a row is the episode's score."""
        ...
