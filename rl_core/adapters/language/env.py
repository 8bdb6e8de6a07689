"""Prompts with a reward as an environment: the action is the next token, the observation is the one just written."""

from collections.abc import Callable, Collection, Iterable, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from rl_core.device import usable_device
from rl_core.errors import InvalidArgument, InvalidState, InvalidType, check_choice, check_count, check_seed
from rl_core.types import Episodes, Prompt, TimeStep

RewardFunction = Callable[[list[list[int]], list[list[int]]], Sequence[float] | Tensor]
"""reward(prompts, answers) -> one number per answer; ids, with the end token where it was written."""


def left_padded(rows: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> Prompt:
    """Return the token lists as one prompt whose rows end together; pads are token 0 under a False mask."""
    width = max((len(row) for row in rows), default=0)
    tokens = torch.zeros(len(rows), width, dtype=torch.int64)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        if row:
            tokens[i, width - len(row) :] = torch.tensor(row)
            mask[i, width - len(row) :] = True
    return Prompt(tokens.to(device), mask.to(device))


class TokenEnv:
    """B rows that each answer a prompt, token by token, and are rewarded when the answer ends.

    Prompts are dealt in a shuffled order, each once before any comes again; `group_size` rows share one. An answer ends
    with an end token, which is an action like any other, or at `max_new_tokens`. What that cut means is `on_cut`:

    terminate   the budget is part of the task: nothing follows, and the reward function sees the unfinished answer
    bootstrap   the value of what was seen last stands for the rest. That state is never visited again, so its value is
                never learnt; a model that is paid for ending then unlearns to end
    mask        the row is not learnt from
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        reward: RewardFunction,
        rows: int,
        *,
        max_new_tokens: int,
        eos: int | Collection[int] | Tensor,
        on_cut: str = "terminate",
        group_size: int = 1,
        context: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """Build the environment; `context` is the model's, to be told now of a prompt that will not fit."""
        check_count("rows", rows, 1)
        check_count("group_size", group_size, 1)
        check_count("max_new_tokens", max_new_tokens, 1)
        check_choice("on_cut", on_cut, ["terminate", "bootstrap", "mask"])
        check_seed("seed", seed)
        if context is not None:
            check_count("context", context, 1)
        if rows % group_size:
            raise InvalidArgument(f"rows={rows} is no multiple of group_size={group_size}; pass one that is.")
        self.prompts = [_ids(f"prompts[{row}]", prompt) for row, prompt in enumerate(prompts)]
        _check_prompts(self.prompts, max_new_tokens, context)
        ends = _ids("eos", eos)
        if not ends:
            raise InvalidArgument(
                "eos is empty, and no answer would end; pass the id, or ids, of the tokens that end one."
            )
        self.max_new_tokens, self.on_cut, self.device = max_new_tokens, on_cut, usable_device(device)
        self.ends = torch.tensor(sorted(set(ends)), device=device)
        self.reward, self.rows, self.group_size = reward, rows, group_size
        self._generator = torch.Generator().manual_seed(int(seed))
        self._deck: list[int] = []  # prompts of this round that are still to come
        self._dealt: list[int] = []  # each row's prompt
        self._written: list[Tensor] = []  # one [B] per step
        self._live = torch.zeros(rows, dtype=torch.bool, device=device)
        self._finished: list[tuple[float, int]] = []
        # After `restart` rows begin in the middle of answers: what stands there, and how many tokens that is.
        self._prefixes: list[list[int]] = [[]] * rows
        self._begun = torch.zeros(rows, dtype=torch.int64, device=device)
        self._in_order = False

    def reset(self) -> tuple[Prompt, TimeStep]:
        """Return the prompts but for their last token, and that token, the first observation."""
        groups = self.rows // self.group_size
        order = range(self.rows) if self._in_order else self._deal(groups)
        self._dealt = [index for index in order for _ in range(self.group_size)]
        self._written = []
        self._live = torch.ones(self.rows, dtype=torch.bool, device=self.device)
        read = [self.prompts[index] + prefix for index, prefix in zip(self._dealt, self._prefixes, strict=True)]
        whole = left_padded(read, self.device)
        nothing = torch.zeros_like(self._live)
        prompt = whole.map(lambda x: x[:, :-1])
        return prompt, TimeStep(whole.tokens[:, -1], nothing.float(), nothing, nothing, nothing)

    def step(self, actions: Tensor) -> TimeStep:
        """Return the answer to one token in each row."""
        live = self._live
        if not live.any():
            raise InvalidState("step was called with no row live; call reset first.")
        if actions.shape != (self.rows,):
            raise InvalidArgument(
                f"actions has shape {tuple(actions.shape)}; pass one token for each of {self.rows} rows."
            )
        self._written.append(actions)
        ended = live & torch.isin(actions, self.ends)
        cut = live & ~ended & (self._begun + len(self._written) == self.max_new_tokens)
        reward = self._rewards((ended | cut).nonzero().flatten().tolist())
        self._live = live & ~(ended | cut)
        nothing = torch.zeros_like(live)
        dies = cut if self.on_cut == "terminate" else nothing
        discarded = cut if self.on_cut == "mask" else nothing
        # What a row that has ended is shown goes nowhere.
        return TimeStep(actions, reward, ended | dies, cut & ~dies, discarded)

    def restart(self, states: Episodes) -> "TokenEnv":
        """Return answers that go on from what each row of `states` has written, with the tokens left of its budget.

        The reward function is given the whole answer, as if it had been written in one go. Raises InvalidArgument for
        an answer that has ended or has no token left.
        """
        prompts, prefixes = [], []
        for row, column in enumerate(states.last_columns().tolist()):
            asked = states.prompt.tokens[row][states.prompt.mask[row]].tolist()
            first, *written = states.obs[row, : column + 1].tolist()
            if len(written) >= self.max_new_tokens or any(token in self.ends for token in written):
                raise InvalidArgument(
                    f"states' row {row} has an answer that is over, of {len(written)} tokens with "
                    f"max_new_tokens={self.max_new_tokens}; restart before its end."
                )
            prompts.append([*asked, first])
            prefixes.append(written)
        env = TokenEnv(
            prompts,
            self.reward,
            len(prompts),
            max_new_tokens=self.max_new_tokens,
            eos=self.ends.tolist(),
            on_cut=self.on_cut,
            device=self.device,
        )
        env._prefixes, env._in_order = prefixes, True
        env._begun = torch.tensor([len(prefix) for prefix in prefixes], device=self.device)
        return env

    def finished(self) -> list[tuple[float, int]]:
        """Return (return, length in tokens) of each answer that ended since last asked."""
        finished, self._finished = self._finished, []
        return finished

    def state_dict(self) -> dict[str, Any]:
        """Return the deck, the answers under way and the generator."""
        return {
            "deck": list(self._deck),
            "dealt": list(self._dealt),
            "written": [tokens.tolist() for tokens in self._written],
            "live": self._live.tolist(),
            "finished": list(self._finished),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state_dict` was taken."""
        if len(state["live"]) != self.rows or max(state["deck"] + state["dealt"], default=0) >= len(self.prompts):
            raise InvalidArgument(
                f"state has {len(state['live'])} rows or other prompts; this one has {self.rows} rows."
            )
        self._deck, self._dealt = list(state["deck"]), list(state["dealt"])
        self._written = [torch.tensor(tokens, device=self.device) for tokens in state["written"]]
        self._live = torch.tensor(state["live"], device=self.device)
        self._finished = [(pair[0], pair[1]) for pair in state["finished"]]
        self._generator.set_state(state["generator"])

    def _deal(self, count: int) -> list[int]:
        """Return the next prompts' numbers, from a fresh shuffle whenever all have been dealt."""
        while len(self._deck) < count:
            self._deck += torch.randperm(len(self.prompts), generator=self._generator).tolist()
        dealt, self._deck = self._deck[:count], self._deck[count:]
        return dealt

    def _rewards(self, rows: list[int]) -> Tensor:
        """Return the rewards [B] of the rows that ended now, 0 elsewhere."""
        rewards = torch.zeros(self.rows, device=self.device)
        if not rows:
            return rewards
        written = torch.stack(self._written, dim=1)[rows].tolist()
        answers = [self._prefixes[row] + tokens for row, tokens in zip(rows, written, strict=True)]
        scores = _checked(self.reward([self.prompts[self._dealt[row]] for row in rows], answers), rows)
        rewards[rows] = scores.to(rewards)
        self._finished += [(score, len(answer)) for score, answer in zip(scores.tolist(), answers, strict=True)]
        return rewards


def _ids(name: str, value: Any) -> list[int]:
    """Return token ids as a list, of one or several, whole numbers of any library; raise InvalidType for others."""
    numbers = value.tolist() if hasattr(value, "tolist") else value  # a tensor, or an array
    numbers = [numbers] if isinstance(numbers, Integral) else numbers
    is_text = isinstance(numbers, str | bytes)
    if is_text or not isinstance(numbers, Iterable):
        raise InvalidType(f"{name}={value!r} holds no token ids; {'tokenize the text' if is_text else 'pass ids'}.")
    listed = [number.item() if isinstance(number, Tensor) and number.numel() == 1 else number for number in numbers]
    for number in listed:
        if not isinstance(number, Integral) or isinstance(number, bool):
            raise InvalidType(f"{name}, token={number!r} is no whole number; pass one, such as 0.")
    return [int(number) for number in listed]


def _check_prompts(prompts: list[list[int]], max_new_tokens: int, context: int | None) -> None:
    if not prompts:
        raise InvalidArgument("prompts is empty; pass at least one.")
    for row, prompt in enumerate(prompts):
        if not prompt:
            raise InvalidArgument(f"prompts[{row}] is empty; a policy needs a first token to see.")
        if context is not None and len(prompt) + max_new_tokens > context:
            raise InvalidArgument(
                f"prompts[{row}] has {len(prompt)} tokens, with max_new_tokens={max_new_tokens} more than the "
                f"context={context}; shorten one of the first two."
            )


def _checked(scores: Any, rows: list[int]) -> Tensor:
    """Return the reward function's answer as a float tensor [n], or an error that names the row."""
    if scores is None:
        raise InvalidType("reward returned None; return one number per answer.")
    if isinstance(scores, Tensor) and scores.requires_grad:
        raise InvalidArgument("reward returned a tensor with gradient; detach it, a reward is a constant.")
    try:
        tensor = torch.as_tensor(scores, dtype=torch.float32)
    except OverflowError as error:
        raise InvalidArgument(f"reward returned {scores!r} ({error}); return finite numbers.") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidType(f"reward returned {scores!r} ({error}); return one number per answer.") from error
    if tensor.shape != (len(rows),):
        raise InvalidArgument(f"reward returned shape {tuple(tensor.shape)} for {len(rows)} answers; one number each.")
    for row, score in zip(rows, tensor.tolist(), strict=True):
        if score != score or score in (float("inf"), float("-inf")):
            raise InvalidArgument(f"reward={score} for the answer in row {row}; return a finite number.")
    return tensor
