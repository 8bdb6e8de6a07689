"""Rows of a Gymnasium environment, as an environment of the core; whatever it shows is checked."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from rl_core.adapters.gym.rows import Array, VectorRows, make_rows
from rl_core.device import usable_device
from rl_core.errors import InvalidArgument, InvalidState, InvalidType, check_count, check_seed
from rl_core.types import Episodes, Prompt, TimeStep


class GymEnv:
    """B rows of a Gymnasium environment.

    `window` stops watching after that many steps: the row is truncated, and the next `reset` goes on where it stands,
    restarting only the rows whose episode has ended. `window=None` plays whole episodes. `group_size` rows share a
    start; groups need whole episodes.
    """

    def __init__(
        self,
        env: Any,
        rows: int,
        *,
        group_size: int = 1,
        window: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """Build the rows from an id, a factory of single environments, or a vectorised one with masked restart."""
        check_count("rows", rows, 1)
        check_count("group_size", group_size, 1)
        check_seed("seed", seed)
        rows, group_size, seed = int(rows), int(group_size), int(seed)  # numpy's numbers too
        if rows % group_size:
            raise InvalidArgument(f"rows={rows} is no multiple of group_size={group_size}; pass one that is.")
        if window is not None:
            check_count("window", window, 1)
            if group_size > 1:
                raise InvalidArgument(f"window={window} with group_size={group_size}; groups need window=None.")
        self.rows, self.group_size, self.window, self.device = rows, group_size, window, usable_device(device)
        self._engine: VectorRows = make_rows(env, rows)
        self.obs_shape, self.obs_count, self._first_obs = _observations(self._engine.single_observation_space)
        self.action_count, self._first_action = _actions(self._engine.single_action_space)
        self._generator = torch.Generator().manual_seed(seed)
        obs_type = np.float32 if self.obs_count is None else np.int64
        self._obs: Array = np.zeros((rows, *self.obs_shape), dtype=obs_type)
        self._over: Array = np.ones(rows, dtype=bool)  # the episode has ended, and not only our watching
        self._live: Array = np.zeros(rows, dtype=bool)
        self._returns: Array = np.zeros(rows)
        self._lengths: Array = np.zeros(rows, dtype=np.int64)
        self._watched = 0
        self._finished: list[tuple[float, int]] = []
        self._starts: Array | None = None  # of an environment that begins where told; else they are drawn

    def reset(self) -> tuple[Prompt, TimeStep]:
        """Return the empty prompt and what each row starts from."""
        again = self._over if self.window is not None else np.ones(self.rows, dtype=bool)
        if again.any():
            self._see(self._engine.restart(again, self._draw_starts(int(again.sum()))), again)
            self._returns[again], self._lengths[again] = 0.0, 0
        self._over = np.zeros(self.rows, dtype=bool)
        self._live = np.ones(self.rows, dtype=bool)
        self._watched = 0
        nothing = np.zeros(self.rows, dtype=bool)
        return Prompt.empty(self.rows, self.device), self._time_step(np.zeros(self.rows), nothing, nothing)

    def step(self, actions: Tensor) -> TimeStep:
        """Return the answer to one action in each row."""
        live = self._live
        if not live.any():
            raise InvalidState("step was called with no row live; call reset first.")
        chosen = actions.cpu().numpy()
        is_whole = np.issubdtype(chosen.dtype, np.integer)
        if not is_whole or chosen.shape != (self.rows,) or not ((chosen >= 0) & (chosen < self.action_count)).all():
            raise InvalidArgument(f"actions={chosen!r}; pass {self.rows} integers from 0 to {self.action_count - 1}.")
        obs, reward, terminated, truncated = self._engine.advance(chosen + self._first_action, live)
        self._watched += 1
        self._see(obs[live], live)
        reward = np.where(live, reward, 0.0)
        if not np.isfinite(_single(reward)).all():
            raise InvalidArgument(
                f"reward={reward!r} at step {self._watched} of {self._name()} is not finite in float32; mend the "
                "environment, or scale its rewards."
            )
        self._returns += reward
        self._lengths += live
        over = (terminated | truncated) & live
        self._finished += [(float(self._returns[row]), int(self._lengths[row])) for row in over.nonzero()[0]]
        self._over = self._over | over
        self._live = live & ~over
        if self._watched == self.window:
            truncated = truncated | self._live
            self._live = np.zeros(self.rows, dtype=bool)
        return self._time_step(reward, terminated & live, truncated & live)

    def restart(self, states: Episodes) -> "GymEnv":
        """Return whole episodes that begin at what each row of `states` saw in its last live column.

        A whole time limit lies ahead of each.

        Raises InvalidType for an environment whose observations do not tell its state.
        """
        if not hasattr(self._engine, "branch"):
            raise InvalidType(
                f"env={self._name()} cannot be put into a given state; pass vectorised rows with `branch`, as "
                "CartPoleRows has it."
            )
        columns = states.last_columns()
        seen = states.obs[torch.arange(len(states), device=columns.device), columns]  # [B, *O]
        engine, starts = self._engine.branch(seen.cpu().numpy() + self._first_obs)
        env = GymEnv(engine, len(states), device=self.device)
        env._starts = starts
        return env

    def finished(self) -> list[tuple[float, int]]:
        """Return (return, length) of each episode that ended since last asked."""
        finished, self._finished = self._finished, []
        return finished

    def state_dict(self) -> dict[str, Any]:
        """Return the physics, the generator, and the counts of the episodes under way."""
        arrays = {"obs": self._obs, "over": self._over, "returns": self._returns, "lengths": self._lengths}
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()} | {
            "live": torch.from_numpy(self._live.copy()),
            "watched": self._watched,
            "finished": list(self._finished),
            "generator": self._generator.get_state(),
            "engine": self._engine.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state_dict` was taken."""
        if state["obs"].shape != self._obs.shape:
            raise InvalidArgument(f"state has rows {tuple(state['obs'].shape)}, this environment {self._obs.shape}.")
        arrays = (state[name].numpy().copy() for name in ("obs", "over", "returns", "lengths", "live"))
        self._obs, self._over, self._returns, self._lengths, self._live = arrays
        self._watched, self._finished = state["watched"], [tuple(pair) for pair in state["finished"]]
        self._generator.set_state(state["generator"])
        self._engine.load_state_dict(state["engine"])

    def _draw_starts(self, rows: int) -> Array:
        """Return the starts of so many rows; each group shares one."""
        if self._starts is not None:
            return self._starts
        return self._engine.draw_starts(rows // self.group_size, self._generator).repeat(self.group_size, axis=0)

    def _see(self, obs: Array, rows: Array) -> None:
        """Keep these as the rows' last observations."""
        known = self.obs_count is None or bool(
            ((obs >= self._first_obs) & (obs - self._first_obs < self.obs_count)).all()
        )
        if not known or not np.isfinite(_single(obs)).all():
            raise InvalidArgument(
                f"observation={obs!r} at step {self._watched} of {self._name()} lies outside the space, or is not "
                "finite in float32; mend the environment, or scale what it shows."
            )
        self._obs = self._obs.copy()  # the tensors given out must not change
        self._obs[rows] = obs - self._first_obs if self._first_obs else obs

    def _time_step(self, reward: Array, terminated: Array, truncated: Array) -> TimeStep:
        arrays = (self._obs, _single(reward), terminated, truncated, np.zeros(self.rows, dtype=bool))
        return TimeStep(*(torch.from_numpy(array).to(self.device) for array in arrays))

    def _name(self) -> str:
        envs = getattr(self._engine, "envs", [self._engine])
        return str(envs[0])


def _single(array: Array) -> Array:
    """Return the numbers in float32, in which a large one is infinite; so a check comes after this and not before."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _observations(space: Any) -> tuple[tuple[int, ...], int | None, int]:
    """Return (shape of one observation, how many there are or None, the first) of an observation space."""
    if isinstance(space, Discrete):
        return (), int(space.n), int(space.start)
    if isinstance(space, Box):
        return space.shape, None, 0
    raise InvalidType(f"observation_space={space} is neither Box nor Discrete; flatten it with a Gymnasium wrapper.")


def _actions(space: Any) -> tuple[int, int]:
    """Return (how many actions there are, the first) of an action space."""
    if not isinstance(space, Discrete):
        raise InvalidType(f"action_space={space} is not Discrete; this core chooses among a finite number of actions.")
    return int(space.n), int(space.start)
