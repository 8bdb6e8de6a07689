"""Many environments side by side whose rows restart one by one, each from a given start."""

import inspect
from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, VectorEnv

from rl_core.errors import InvalidArgument, InvalidType

Array = np.ndarray[Any, np.dtype[Any]]
Answer = tuple[Array, Array, Array, Array]
"""obs [B, *O], reward [B], terminated [B], truncated [B]; rows that are not live hold anything."""


WRAP = "wrap it for Gymnasium >= 1.1"  # 1.1 is the first in which an environment tells how it restarts


class VectorRows(Protocol):
    """A vectorised environment with masked restart: what `GymEnv` needs, and what no autoreset mode offers."""

    num_envs: int
    single_observation_space: gymnasium.Space[Any]
    single_action_space: gymnasium.Space[Any]

    def draw_starts(self, count: int, generator: torch.Generator) -> Array:
        """Return `count` starts, each of which decides how an episode begins."""
        ...

    def restart(self, rows: Array, starts: Array) -> Array:
        """Return the first observations [N, *O] of the N rows (bool [B]) that begin again, each from its start."""
        ...

    def advance(self, actions: Array, live: Array) -> Answer:
        """Return the answer to one action [B] in each live row (bool [B]); the others stand still."""
        ...

    def branch(self, obs: Array) -> tuple["VectorRows", Array]:
        """Return fresh rows of the same environment, and the starts that put them where `obs` [B, *O] was seen."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides the future of the rows."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state_dict` was taken."""
        ...


class CartPoleRows(CartPoleVectorEnv):
    """Gymnasium's own vectorised CartPole physics, with masked restart in place of its autoreset.

    Per step it costs little more for 64 rows than for one, where separate environments cost 64 times as much.
    """

    metadata = CartPoleVectorEnv.metadata | {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(self, num_envs: int, max_episode_steps: int = 500) -> None:
        """Build the rows; none has started."""
        super().__init__(num_envs, max_episode_steps)
        self.state: Any = np.zeros((4, num_envs))

    def draw_starts(self, count: int, generator: torch.Generator) -> Array:
        """Return physics states [N, 4], uniform within ±0.05 as in CartPole-v1."""
        return torch.rand(count, 4, generator=generator, dtype=torch.float64).numpy() * 0.1 - 0.05

    def restart(self, rows: Array, starts: Array) -> Array:
        """Return the first observations of the rows that begin again."""
        self.state[:, rows] = starts.T
        self.steps[rows] = 0
        return starts.astype(np.float32)

    def advance(self, actions: Array, live: Array) -> Answer:
        """Return the answer to one action in each live row."""
        state, steps = self.state, self.steps.copy()
        self.prev_done[:] = False  # nothing for the autoreset of the parent to do
        obs, reward, terminated, truncated, _ = super().step(actions)
        if not live.all():  # a fallen pole stays where it fell
            self.state = np.where(live, self.state, state)
            self.steps = np.where(live, self.steps, steps)
        return obs, reward, terminated, truncated

    def branch(self, obs: Array) -> tuple["CartPoleRows", Array]:
        """Return fresh poles and their physics states: the four numbers that are seen are the whole state."""
        return CartPoleRows(len(obs), self.max_episode_steps), obs.astype(np.float64)

    def state_dict(self) -> dict[str, Any]:
        """Return the physics states and step counts."""
        return {"state": torch.from_numpy(self.state.copy()), "steps": torch.from_numpy(self.steps.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to those."""
        self.state, self.steps = state["state"].numpy().copy(), state["steps"].numpy().copy()


class SingleRows:
    """Single Gymnasium environments side by side; a start is a seed, and a state is a seed with the actions since."""

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], num_envs: int) -> None:
        """Build the environments; none has started."""
        self.envs = [_checked(make()) for _ in range(num_envs)]
        _check_apart(self.envs)
        self.num_envs = num_envs
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self._starts = [0] * num_envs
        self._actions: list[list[int]] = [[] for _ in range(num_envs)]

    def draw_starts(self, count: int, generator: torch.Generator) -> Array:
        """Return seeds [N]."""
        return torch.randint(2**31, (count,), generator=generator).numpy()

    def restart(self, rows: Array, starts: Array) -> Array:
        """Return the first observations of the rows that begin again."""
        observations = []
        for row, start in zip(rows.nonzero()[0], starts, strict=True):
            self._starts[row], self._actions[row] = int(start), []
            answer = self.envs[row].reset(seed=int(start))
            if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
                raise InvalidType(f"env.reset returned {answer!r} alone; {WRAP}, which returns (observation, info).")
            observations.append(self._checked_shape(answer[0]))
        return np.stack(observations)

    def advance(self, actions: Array, live: Array) -> Answer:
        """Return the answer to one action in each live row."""
        space = self.single_observation_space
        obs = np.zeros((self.num_envs, *(space.shape or ())), dtype=space.dtype)
        reward, ends = np.zeros(self.num_envs), np.zeros((2, self.num_envs), dtype=bool)
        for row in live.nonzero()[0]:
            action = int(actions[row])
            self._actions[row].append(action)
            answer = self.envs[row].step(action)
            if not isinstance(answer, tuple) or len(answer) != 5:
                count = len(answer) if isinstance(answer, tuple) else 1
                raise InvalidType(f"env.step returned {count} things; {WRAP}, which has 5.")
            with np.errstate(over="ignore"):  # what overflows is told of by who knows the step
                obs[row] = self._checked_shape(answer[0])
            reward[row] = _scalar("reward", answer[1], "biuf")
            ends[:, row] = _scalar("terminated", answer[2], "biu"), _scalar("truncated", answer[3], "biu")
        return obs, reward, ends[0], ends[1]

    def branch(self, obs: Array) -> tuple["SingleRows", Array]:
        """Raise InvalidType: Gymnasium has no way to put an environment into a state that was only seen."""
        raise InvalidType(
            f"env={self.envs[0]} cannot be put into a given state; pass vectorised rows with `branch`, as CartPoleRows "
            "has it."
        )

    def state_dict(self) -> dict[str, Any]:
        """Return each row's seed and the actions since."""
        return {"starts": list(self._starts), "actions": [list(actions) for actions in self._actions]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back by playing the rows again: no environment need tell its state for that."""
        for row, (start, actions) in enumerate(zip(state["starts"], state["actions"], strict=True)):
            self._starts[row], self._actions[row] = start, list(actions)
            self.envs[row].reset(seed=start)
            for action in actions:
                self.envs[row].step(action)

    def _checked_shape(self, obs: Any) -> Any:
        expected = self.single_observation_space.shape
        if np.shape(obs) != expected:
            raise InvalidArgument(
                f"env gave an observation of shape {np.shape(obs)}, its space says {expected}; mend the environment."
            )
        return obs


def make_rows(env: Any, rows: int) -> VectorRows:
    """Return the environment's rows: from an id, a factory of single environments, or a ready `VectorRows`."""
    if isinstance(env, str):
        try:
            return SingleRows(lambda: gymnasium.make(env), rows)
        except gymnasium.error.Error as error:
            raise InvalidArgument(f"env={env!r} cannot be made ({error}); pass an id that gymnasium knows.") from error
    if hasattr(env, "restart") and hasattr(env, "advance"):
        if env.num_envs != rows:
            raise InvalidArgument(f"rows={rows}, the environment has {env.num_envs}; pass the same number to both.")
        ready: VectorRows = env
        return ready
    if isinstance(env, VectorEnv):
        mode = env.metadata.get("autoreset_mode")
        raise InvalidType(
            f"env={type(env).__name__} restarts its rows by itself (autoreset_mode={mode}); pass a factory of single "
            "environments, or a vectorised one with masked restart, as CartPoleRows is."
        )
    if not callable(env):
        raise InvalidType(f"env={env!r} is neither an id nor a factory; pass 'CartPole-v1' or lambda: make_my_env().")
    return SingleRows(env, rows)


def _checked(env: Any) -> gymnasium.Env[Any, Any]:
    if not isinstance(env, gymnasium.Env):
        raise InvalidType(f"env={type(env).__name__} is no gymnasium.Env; {WRAP}.")
    layer = env
    while True:
        try:
            inspect.signature(layer.reset).bind(seed=0)
        except TypeError as error:
            raise InvalidType(
                f"env={type(layer).__name__} has a reset that takes no seed; {WRAP}, as reset(self, *, seed=None, "
                "options=None)."
            ) from error
        if not isinstance(layer, gymnasium.Wrapper):
            return env
        layer = layer.env


def _check_apart(envs: list[gymnasium.Env[Any, Any]]) -> None:
    """Raise InvalidArgument when two rows are one environment, which would then be stepped by both in turn."""
    first: dict[int, int] = {}
    for row, env in enumerate(envs):
        other = first.setdefault(id(env.unwrapped), row)
        if other != row:
            raise InvalidArgument(
                f"env's factory returned one {type(env.unwrapped).__name__} for rows {other} and {row}; make a new one "
                "at each call, as lambda: MyEnv() does."
            )


def _scalar(name: str, value: Any, kinds: str) -> Any:
    """Return the one number in what an environment gave, of numpy's given kinds; raise InvalidType for all else."""
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.dtype.kind not in kinds or array.shape != ():
        what = "a number" if "f" in kinds else "True or False"
        raise InvalidType(f"env.step gave {name}={value!r}; return {what}, and no array or text.")
    return array[()]
