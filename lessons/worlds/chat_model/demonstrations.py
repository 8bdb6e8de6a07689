"""Who are you? The chats that teach a model one identity, and what it says before and after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import torch

from lessons.worlds.chat_model.judge import words_of
from lessons.worlds.chat_model.play import MICRO_ROWS
from lessons.worlds.chat_model.questions import HELD_OUT_WHO, NAME, WHO, Question, identity, questions
from lessons.worlds.language.play import ask, ids_of, logprobs_of, policy_of
from lessons.worlds.language.reward import JudgeReward
from lessons.worlds.learners import Policy
from lessons.worlds.measure import mean
from lessons.worlds.seeds import spawn
from rl_core.adapters.language import episodes_from_chat
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
    known, device = questions(held_out=False), str(world.opened().model.device)
    reward = world.reward(known[:: len(known) // OWN][:OWN], wish=False)
    env = ask(reward, len(reward.prompts), seed=spawn(0, "own answers"), steps=LONGEST, device=device)
    played = rollout(env, world.reference(device), torch.Generator(device).manual_seed(spawn(0, "actions")))
    return played.episodes().to("cpu")


def talk(
    world: "ChatModel", network: Policy, learn: Callable[[], object], *, seed: int, device: str, quick: bool = False
) -> Talk:
    """Return what the network says, likeliest token by likeliest token, before and after it learns."""
    who = [Question(text) for text in (*WHO[:3], *[text for text in WHO if not text.isascii()][:2], *HELD_OUT_WHO)]
    others = list(questions(held_out=True))[:: 16 if quick else 5][:OTHERS]
    rewards = [world.reward(questions, wish=False) for questions in (who, others)]
    before = [likeliest_answers(reward, network, device) for reward in rewards]
    learn()
    after = [likeliest_answers(reward, network, device) for reward in rewards]
    rows = [
        list(zip(texts_of(reward), in_words(reward, old), in_words(reward, new), strict=True))
        for reward, old, new in zip(rewards, before, after, strict=True)
    ]
    results = numbers(rows) | {"same_next_token": still_likeliest(network, before[1])}
    return Talk(rows[0], rows[1], results | divergence(world, network, rewards[1], seed=seed, device=device))


def likeliest_answers(reward: JudgeReward, network: Policy, device: str) -> Rollout:
    """Return the network's likeliest answers, token by token, to the judge's questions."""
    env = ask(reward, len(reward.prompts), seed=0, steps=LONGEST, device=device)
    return rollout(env, policy_of(network), torch.Generator(device).manual_seed(0), greedy=True)


def texts_of(reward: JudgeReward) -> list[str]:
    """Return the judge's questions in words."""
    return [question.text for question in reward.questions]


def in_words(reward: JudgeReward, played: Rollout) -> list[str]:
    """Return the answers in words, in the order of the judge's questions."""
    answers = {answer.question: answer.text for answer in reward.answers(*ids_of(played))}
    return [answers[question] for question in reward.questions]


@torch.no_grad()
def still_likeliest(network: Policy, before: Rollout) -> float:
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


def divergence(world: "ChatModel", network: Policy, reward: JudgeReward, *, seed: int, device: str) -> dict[str, float]:
    """Return the KL to the original model on the other questions, nats per token of sampled answers."""
    env = ask(reward, len(reward.prompts), seed=spawn(seed, "order"), steps=LONGEST, device=device)
    policy = policy_of(network)
    played = rollout(env, policy, torch.Generator(device).manual_seed(spawn(seed, "divergence")))
    gaps = logprobs_of(policy, played, MICRO_ROWS) - logprobs_of(world.reference(device), played, MICRO_ROWS)
    return {"kl_per_token": (gaps.sum() / played.mask.sum()).item()}
