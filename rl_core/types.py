"""The nouns of the core: frozen dataclasses of tensors, one shape per field.

Axis letters, here and everywhere: B rows, T steps, P prompt length - 1, A actions (the vocabulary), O one
observation's shape. The house's own words:

row: one watched piece of an episode; rows advance in lock-step, and one that has ended is padded
cell: one step of one row, a place of a tensor [B, T]
mask: True where a cell *counts*
live: a cell that counts, or a row that has one
window: how many steps of an episode are watched at a time; a row cut off there goes on in the next rollout
turn: one pass of a lesson's loop, such as a rollout and its update
start: where an episode begins, a state of the pole or a question; a group, or a pair, has one
kind: what a pair was judged by; a world has one or several
reference: the frozen policy that the KL is measured from
old: said by the policy before the update that is under way
minibatch: the rows of one optimizer step; micro-batch: those of them that are in memory at once
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from rl_core.errors import InvalidArgument
from rl_core.masked import masked_mean

Metrics = dict[str, float]
"""What an update reports. The names, in both worlds (each algorithm fills those that it has):

reward: per live step | kl: to the reference, nats per step (k1, on the steps as they were played) |
entropy: nats per step | loss, policy_loss, value_loss | clip_fraction: share of steps whose ratio left 1 ± ε |
explained_variance: of the returns by the old values | ratio_gap: a minibatch's largest |ratio - 1| |
first_ratio: 1 + that of the first one | sampler_gap: largest |log-probability while sampling - old one|, nats |
accuracy: share of pairs in which the chosen one scores higher, ties half |
margin: mean score of the chosen less that of the rejected |
chosen_reward, rejected_reward: those of DPO, β log π/π_ref of an episode | pairs: learned from |
grad_norm: before clipping | steps: live steps learned from.
"""


@dataclass(frozen=True)
class Tensors:
    """Tensors (or groups of them) whose first axis is the row."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Return a copy with the function applied to every tensor."""
        return type(self)(**{field.name: _apply(function, getattr(self, field.name)) for field in fields(self)})

    def rows(self, index: Tensor | slice) -> Self:
        """Return the chosen rows."""
        return self.map(lambda tensor: tensor[index])

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on the device."""
        return self.map(lambda tensor: tensor.to(device))


def _apply(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    return value.map(function) if isinstance(value, Tensors) else function(value)


@dataclass(frozen=True)
class Prompt(Tensors):
    """All that comes before the first observation; left-padded. P = 0 in an environment without a prompt."""

    tokens: Tensor  # [B, P] int64
    mask: Tensor  # [B, P] bool

    @classmethod
    def empty(cls, rows: int, device: torch.device | str = "cpu") -> Self:
        """Return the prompt of an environment that has none."""
        return cls(
            torch.zeros(rows, 0, dtype=torch.int64, device=device),
            torch.zeros(rows, 0, dtype=torch.bool, device=device),
        )


@dataclass(frozen=True)
class TimeStep(Tensors):
    """What an environment answers to one action in each row.

    A row ends with `terminated` (nothing follows: the value beyond is 0), or with `truncated` alone (we stop watching:
    the value beyond is that of `obs`); both at once is termination. The step that ends a row carries that row's own
    last observation, never one of the next episode. A `discarded` row, for whatever reason, must not be learned from.
    """

    obs: Tensor  # [B, *O]
    reward: Tensor  # [B] float
    terminated: Tensor  # [B] bool
    truncated: Tensor  # [B] bool
    discarded: Tensor  # [B] bool


@dataclass(frozen=True)
class Output(Tensors):
    """What a network says of each observation of its rows. Without a critic the values are 0."""

    logits: Tensor  # [B, T, A], float32 or float64, temperature applied
    values: Tensor  # [B, T]


@dataclass(frozen=True)
class Episodes(Tensors):
    """What was seen and done: the action in column t answers the observation in column t."""

    prompt: Prompt
    obs: Tensor  # [B, T, *O]
    actions: Tensor  # [B, T] int64
    mask: Tensor  # [B, T] bool: which actions count; a prefix of the row when played, with holes in a chat
    per_row: ClassVar[tuple[str, ...]] = ("prompt",)  # the fields without a column for each step, the prompt first

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.actions)

    def last_columns(self) -> Tensor:
        """Return the column of each row's last live step, [B]; raise InvalidArgument for a row without one."""
        live = self.mask.any(dim=1)
        if not live.all():
            row = int((~live).nonzero()[0])
            raise InvalidArgument(f"row {row} has no live step, and stands nowhere; leave it out.")
        columns = torch.arange(self.mask.shape[1], device=self.mask.device)
        return (self.mask * columns).amax(dim=1)

    def as_steps(self) -> Self:
        """Return the live steps as rows of one step each: [B, T] becomes [N, 1], in row-major order.

        For networks without memory, whose answer to a step does not depend on the steps before it. Raises
        InvalidArgument for a rollout, whose `last_obs` belongs to whole rows.
        """
        if len(self.per_row) > 1:
            raise InvalidArgument(
                f"{', '.join(self.per_row[1:])} of a {type(self).__name__} belongs to whole rows; take its episodes()."
            )
        live = self.mask
        steps = {name: getattr(self, name)[live].unsqueeze(1) for name in self._per_step()}
        return type(self)(prompt=Prompt.empty(int(live.sum()), live.device), **steps)

    def as_rows(self, x: Tensor) -> Tensor:
        """Return numbers [N, 1] of the rows of `as_steps()` in the steps' places, [B, T]; raise InvalidArgument for
        too few or too many. Numbers [B, T] come back as they are.
        """
        if x.shape == self.mask.shape:
            return x
        if x.shape != (live := int(self.mask.sum()), 1):
            raise InvalidArgument(f"x has shape {tuple(x.shape)}, beside {live} live steps; pass [{live}, 1].")
        return x.new_zeros(self.mask.shape).masked_scatter(self.mask, x)

    def trim(self) -> Self:
        """Return the same rows without the columns that are padding in all of them; one stays where all are."""
        steps = int(self.mask.any(dim=0).nonzero().max()) + 1 if self.mask.any() else 1
        pads = int((~self.prompt.mask.any(dim=0)).sum())
        cut = {name: getattr(self, name)[:, :steps] for name in self._per_step()}
        return replace(self, prompt=self.prompt.map(lambda tensor: tensor[:, pads:]), **cut)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, one part after another, padded to the longest prompt and the most steps.

        Raises InvalidArgument without a part.
        """
        if not parts:
            raise InvalidArgument("parts is empty; pass at least one.")
        pads = max(part.prompt.tokens.shape[1] for part in parts)
        steps = max(part.actions.shape[1] for part in parts)
        prompts = [part.prompt.map(lambda x: wider(x, pads - x.shape[1], in_front=True)) for part in parts]
        joined: dict[str, Any] = {
            name: torch.cat([wider(getattr(part, name), steps - part.actions.shape[1]) for part in parts])
            for name in cls._per_step()
        }
        joined |= {name: torch.cat([getattr(part, name) for part in parts]) for name in cls.per_row[1:]}
        prompt = Prompt(torch.cat([p.tokens for p in prompts]), torch.cat([p.mask for p in prompts]))
        return cls(prompt=prompt, **joined)

    @classmethod
    def _per_step(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name not in cls.per_row]


def wider(x: Tensor, columns: int, *, in_front: bool = False) -> Tensor:
    """Return x [B, T, ...] with so many columns of zeros (False) behind it, or in front."""
    zeros = x.new_zeros(x.shape[0], columns, *x.shape[2:])
    return torch.cat([zeros, x] if in_front else [x, zeros], dim=1)


@dataclass(frozen=True)
class Rollout(Episodes):
    """Episodes as they were played, with what was recorded on the way."""

    last_obs: Tensor  # [B, *O]: what each row saw after its last step
    logprobs: Tensor  # [B, T] of the sampled actions, nats
    rewards: Tensor  # [B, T]
    terminated: Tensor  # [B, T] bool
    per_row: ClassVar[tuple[str, ...]] = ("prompt", "last_obs")

    def episodes(self) -> Episodes:
        """Return what was seen and done, without what was recorded."""
        return Episodes(self.prompt, self.obs, self.actions, self.mask)

    def seen_last(self) -> Episodes:
        """Return the rows with one more column, [B, T + 1], where the one cell that counts is what each saw last.

        Raises InvalidArgument for a row without a live step, which saw nothing.
        """
        obs, actions, mask = (wider(x, 1) for x in (self.obs, self.actions, torch.zeros_like(self.mask)))
        cell = torch.arange(len(self), device=mask.device), self.last_columns() + 1
        obs[cell], mask[cell] = self.last_obs, True
        return Episodes(self.prompt, obs, actions, mask)


@dataclass(frozen=True)
class Batch(Episodes):
    """Episodes with what every policy gradient needs of the time before the update (`old`), all [B, T]."""

    logprobs: Tensor  # nats
    ref_logprobs: Tensor  # nats
    advantages: Tensor  # as the loss takes them: normalised, or in deviations of a group, where that is asked for

    @classmethod
    def of(cls, episodes: Episodes, **old: Tensor) -> Self:
        """Return the episodes with what is known of them, each [B, T]."""
        return cls(episodes.prompt, episodes.obs, episodes.actions, episodes.mask, **old)


@dataclass(frozen=True)
class ValuedBatch(Batch):
    """A batch whose advantages come from a critic, with what the critic said and what it should learn, all [B, T]."""

    values: Tensor
    returns: Tensor  # value targets
    raw_advantages: Tensor  # before normalisation, in units of the reward: returns - values


@dataclass(frozen=True)
class Evaluation(Tensors):
    """What a network says now of the actions in some episodes; with gradient; all [B, T]."""

    logprobs: Tensor  # nats
    entropy: Tensor  # nats
    values: Tensor

    def mean_entropy(self, mask: Tensor) -> float:
        """Return the entropy of an average live step, nats."""
        return masked_mean(self.entropy.detach(), mask).item()
