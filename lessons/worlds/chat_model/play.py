"""Questions put to a chat model, and what the judge and the original model say of its answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from lessons.worlds import Advance, nobody, seeded
from lessons.worlds.chat_model.judge import Verdict, judge
from lessons.worlds.chat_model.models import Opened
from lessons.worlds.chat_model.questions import questions
from lessons.worlds.language.play import ids_of
from lessons.worlds.language.preferences import NOISE
from lessons.worlds.measure import better_and_worse, chosen, mean, most_kl_of_best, swapped
from rl_core.adapters.language import TokenEnv, TokenNetwork, prompts_from_chat
from rl_core.errors import check_count
from rl_core.evaluate import evaluate_in
from rl_core.interfaces import Scorer
from rl_core.rollout import rollout
from rl_core.types import Episodes, Pairs, Rollout

LONGEST_ANSWER = 40  # tokens; twenty words of English are about thirty
ROWS = 48  # of a rollout that is only looked at
MICRO_ROWS = 8  # whose logits are in memory at once: 8 x 40 x 49,152 float32 are 63 MB


@dataclass(frozen=True)
class Question:
    """What was asked."""

    text: str


@dataclass(frozen=True)
class Answer:
    """One answer to one question, with what the judge says of it."""

    question: Question
    text: str
    verdict: Verdict


class Judge:
    """The judge as a reward function over tokens, who remembers which question a prompt asks."""

    def __init__(self, opened: Opened, asked: Sequence[str], *, wish: bool = True) -> None:
        """Tokenize the questions once, each with the example before it and the wish behind it, or plain."""
        self.opened, self.asked = opened, list(asked)
        self.prompts = prompts_from_chat(opened.tokenizer, [opened.chat(text, wish=wish) for text in asked])
        self._question_of = {tuple(ids): text for ids, text in zip(self.prompts, self.asked, strict=True)}

    def answers(self, prompts: list[list[int]], answers: list[list[int]]) -> list[Answer]:
        """Return each answer in words, control tokens that are not its end included, with its verdict."""
        found = []
        for prompt, ids in zip(prompts, answers, strict=True):
            question, ended = self._question_of[tuple(prompt)], ids[-1] in self.opened.ends
            text = self.opened.tokenizer.decode(ids[:-1] if ended else ids)
            found.append(Answer(Question(question), text, judge(question, text, ended)))
        return found

    def __call__(self, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
        """Return the judge's scores."""
        return [answer.verdict.score for answer in self.answers(prompts, answers)]


def some_questions(count: int, seed: int, *, held_out: bool) -> list[str]:
    """Return so many questions of one split in a random order, each once before any comes again."""
    rng, known = Random(seed), questions(held_out=held_out)
    rounds = [rng.sample(known, len(known)) for _ in range(-(-count // len(known)))]
    return [text for one in rounds for text in one][:count]


def ask(
    judge: Judge,
    rows: int,
    *,
    seed: int,
    prompts: list[list[int]] | None = None,
    steps: int = LONGEST_ANSWER,
    group_size: int = 1,
    device: str = "cpu",
) -> TokenEnv:
    """Return the environment that asks the judge's questions (or only these prompts), scored by the judge."""
    opened = judge.opened
    return TokenEnv(
        judge.prompts if prompts is None else prompts,
        judge,
        rows,
        max_new_tokens=steps,
        eos=opened.ends,
        group_size=group_size,
        context=opened.context,
        seed=seed,
        device=device,
    )


def interview(
    network: nn.Module,
    reference: nn.Module,
    judge: Judge,
    *,
    seed: int,
    device: str = "cpu",
    best_of: int = 1,
    scorer: Scorer | None = None,
    advance: Advance = nobody,
) -> tuple[list[Answer], dict[str, float]]:
    """Return one sampled answer to each of the judge's questions, beside what the original model says of them."""
    check_count("best_of", best_of, 1)
    policy, generator = (
        TokenNetwork(network.model, temperature=network.temperature),
        torch.Generator(device).manual_seed(seed),
    )
    found: list[Answer] = []
    kls: list[float] = []
    own: list[float] = []
    for prompts in _dealt(judge.prompts, max(1, ROWS // best_of)):
        env = ask(judge, best_of * len(prompts), seed=seed, prompts=prompts, group_size=best_of, device=device)
        played = chosen(rollout(env, policy, generator), best_of, scorer)
        found += judge.answers(*ids_of(played))
        said = logprobs_of(reference, played)
        kls += ((played.logprobs * played.mask).sum(dim=1) - said).tolist()
        own += (said > logprobs_of(reference, misdirected(played))).float().tolist()
        advance(len(found), len(judge.prompts))
    return found, {
        "kl": mean(kls) + most_kl_of_best(best_of),
        "own": mean(own),
        "stock": stock(found),
        "answers": float(len(found)),
    }


def misdirected(played: Rollout) -> Rollout:
    """Return the same answers, each as if to the question of the row before."""
    obs = torch.cat([played.obs[:, :1].roll(1, 0), played.obs[:, 1:]], dim=1)
    return replace(played, prompt=played.prompt.map(lambda x: x.roll(1, 0)), obs=obs)


def stock(found: Sequence[Answer]) -> float:
    """Return the share of answers that begin with the three words that most of them begin with."""
    first = Counter(tuple(answer.text.lower().split()[:3]) for answer in found)
    return first.most_common(1)[0][1] / len(found)


def summary(found: Sequence[Answer]) -> dict[str, float]:
    """Return the shares of a set of answers, with their mean score and length in words."""
    verdicts = [answer.verdict for answer in found]
    shares = {
        "passed": [one.passed for one in verdicts],
        "eos": [one.ended for one in verdicts],
        "brief": [one.ended and one.brief for one in verdicts],
        "sound": [one.ended and one.brief and one.sound for one in verdicts],
        "polite": [one.polite for one in verdicts],
    }
    means = {"score": [one.score for one in verdicts], "words": [float(one.words) for one in verdicts]}
    return {name: sum(each) / len(each) for name, each in (shares | means).items()}


def preferred(
    network: nn.Module, judge: Judge, *, seed: int, noise: float = 0.0, steps: int = LONGEST_ANSWER, device: str = "cpu"
) -> Pairs:
    """Return a pair for each of the judge's questions that got two answers of different worth."""
    policy, generator = (
        TokenNetwork(network.model, temperature=network.temperature),
        torch.Generator(device).manual_seed(seed),
    )
    parts = []
    for prompts in _dealt(judge.prompts, ROWS // 2):
        env = ask(
            judge, 2 * len(prompts), seed=seed, prompts=prompts, steps=steps, group_size=2, device=device
        )  # fmt: skip
        played = rollout(env, policy, generator)
        parts.append(better_and_worse(played.episodes(), played.rewards.sum(dim=1)))
    return swapped(Pairs.joined(parts), noise, seeded(seed + NOISE)).trim()


def _dealt(prompts: list[Any], size: int) -> list[list[Any]]:
    """Return the prompts in parts of about that size at most; none is a single one, unless there is no other."""
    count = -(-len(prompts) // size)
    return [prompts[len(prompts) * i // count : len(prompts) * (i + 1) // count] for i in range(count)]


def logprobs_of(network: nn.Module, episodes: Episodes) -> Tensor:
    """Return log π of each whole answer, [B], nats, without gradient."""
    parts = torch.arange(len(episodes), device=episodes.actions.device).split(MICRO_ROWS)
    return evaluate_in(parts, network, episodes).logprobs.sum(dim=1)
