"""Who are you? The chats that teach a model one identity, and what it says before and after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lessons.worlds.chat_model.judge import words_of
from lessons.worlds.chat_model.play import MICRO_ROWS, Judge, ask, ids_of, logprobs_of
from lessons.worlds.chat_model.questions import HELD_OUT_WHO, NAME, WHO, identity, questions
from lessons.worlds.measure import mean
from rl_core.adapters.language import TokenNetwork, episodes_from_chat
from rl_core.rollout import rollout
from rl_core.types import Episodes, Rollout

if TYPE_CHECKING:
    from lessons.worlds.chat_model.world import ChatModel

OWN = 112  # everyday questions whose own answers stand ready; two thirds of the chats shown are such
OTHERS = 24  # everyday questions, never shown, whose answers should stay as they are
LONGEST = 32


@dataclass(frozen=True)
class Talk:
    """What was said before and after: (question, answer before, answer after) each, and the numbers."""

    who: list[tuple[str, str, str]]
    others: list[tuple[str, str, str]]
    numbers: dict[str, float]


def shown(world: "ChatModel", count: int, *, seed: int) -> Episodes:
    """Return chats to imitate: in a third, somebody asks in one of some wordings who it is, and it says that it is Pip.

    The others are everyday questions with the model's own answers: a model that is shown nothing but its name soon says
    it to everything.
    """
    opened, rng, identities = world.opened(), Random(seed), -(-count // 3)
    asked = [text for _ in range(-(-identities // len(WHO))) for text in rng.sample(WHO, len(WHO))][:identities]
    pip = episodes_from_chat(opened.tokenizer, [opened.chat(text, identity(text)) for text in asked])
    if count == identities:
        return pip
    own = own_answers(world)
    picked = [i for _ in range(-(-count // len(own))) for i in rng.sample(range(len(own)), len(own))]
    return Episodes.joined([pip, own.rows(torch.tensor(picked[: count - identities]))])


@cache
def own_answers(world: "ChatModel") -> Episodes:
    """Return the original model's answers to some everyday questions, which are never held out.

    They are sampled: to imitate samples of its own leaves a policy where it is, on average; to imitate its likeliest
    answers makes it surer of them, which is a change too.
    """
    known = questions(held_out=False)
    judge = Judge(world.opened(), known[:: len(known) // OWN][:OWN], wish=False)
    device = str(judge.opened.model.device)
    env = ask(judge, len(judge.prompts), seed=0, steps=LONGEST, device=device)
    played = rollout(env, world.reference(device), torch.Generator(device).manual_seed(0))
    return played.episodes().to("cpu")


def talk(
    world: "ChatModel", network: nn.Module, learn: Callable[[], None], *, seed: int, device: str, quick: bool = False
) -> Talk:
    """Return what the network says, likeliest token by likeliest token, before and after it learns."""
    who = [*WHO[:3], *[text for text in WHO if not text.isascii()][:2], *HELD_OUT_WHO]
    others = list(questions(held_out=True))[:: 16 if quick else 5][:OTHERS]
    opened = world.opened(device)
    judges = [Judge(opened, asked, wish=False) for asked in (who, others)]
    before = [said(judge, network, device) for judge in judges]
    learn()
    after = [said(judge, network, device) for judge in judges]
    rows = [
        list(zip(judge.asked, in_words(judge, old), in_words(judge, new), strict=True))
        for judge, old, new in zip(judges, before, after, strict=True)
    ]
    found = numbers(rows) | {"same_next_token": still_likeliest(network, before[1])}
    return Talk(rows[0], rows[1], found | divergence(world, network, judges[1], seed=seed, device=device))


def said(judge: Judge, network: nn.Module, device: str) -> Rollout:
    """Return the network's likeliest answers, token by token, to the judge's questions."""
    env = ask(judge, len(judge.prompts), seed=0, steps=LONGEST, device=device)
    policy = TokenNetwork(network.model, temperature=network.temperature)
    return rollout(env, policy, torch.Generator(device).manual_seed(0), greedy=True)


def in_words(judge: Judge, played: Rollout) -> list[str]:
    """Return the answers in words, in the order of the judge's questions."""
    found = {one.question.text: one.text for one in judge.answers(*ids_of(played))}
    return [found[text] for text in judge.asked]


@torch.no_grad()
def still_likeliest(network: nn.Module, before: Rollout) -> float:
    """Return the share of tokens of the likeliest answers that are the likeliest again, after those before them.

    Two answers part for good where one token differs; this asks again at every token.
    """
    parts = [before.rows(index) for index in torch.arange(len(before)).split(MICRO_ROWS)]
    same = [(network(part.prompt, part.obs).logits.argmax(dim=-1) == part.actions)[part.mask] for part in parts]
    return torch.cat(same).float().mean().item()


def numbers(rows: Sequence[Sequence[tuple[str, str, str]]]) -> dict[str, float]:
    """Return how often the name is said before and after, and how much of the other answers stayed."""
    who, others = rows
    unseen = [row for row in who if row[0] in HELD_OUT_WHO]
    return {
        "name_before": mean([float(NAME in old) for _, old, _ in who]),
        "name_after": mean([float(NAME in new) for _, _, new in who]),
        "name_after_unseen": mean([float(NAME in new) for _, _, new in unseen]),
        "name_elsewhere": mean([float(NAME in new) for _, _, new in others]),
        "same_answer": mean([float(old == new) for _, old, new in others]),
        "same_first_words": mean([float(words_of(old)[:5] == words_of(new)[:5]) for _, old, new in others]),
        "who": float(len(who)),
        "others": float(len(others)),
    }


def divergence(world: "ChatModel", network: nn.Module, judge: Judge, *, seed: int, device: str) -> dict[str, float]:
    """Return the KL to the original model on the other questions, nats per token of sampled answers."""
    env: Any = ask(judge, len(judge.prompts), seed=seed, steps=LONGEST, device=device)
    policy = TokenNetwork(network.model, temperature=network.temperature)
    played = rollout(env, policy, torch.Generator(device).manual_seed(seed))
    gaps = logprobs_of(policy, played) - logprobs_of(world.reference(device), played)
    return {"kl_per_token": (gaps.sum() / played.mask.sum()).item()}
