"""What the judge and the original model say of a chat model's answers to everyday questions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lessons.worlds.language.play import logprobs_of
from lessons.worlds.language.reward import Answer
from rl_core.interfaces import Network
from rl_core.types import Rollout

LONGEST_ANSWER = 40  # tokens; twenty words of English are about thirty
ROWS = 48  # of a rollout that is only looked at
MICRO_ROWS = 8  # whose logits are in memory at once: 8 x 40 x 49,152 float32 are 63 MB


def fits_its_own(reference: Network, played: Rollout, ref_logprobs: Tensor) -> Tensor:
    """Return 1 where the reference finds an answer likelier after its own question than after another, [B]."""
    return (ref_logprobs > logprobs_of(reference, misdirected(played), MICRO_ROWS)).float()


def misdirected(played: Rollout) -> Rollout:
    """Return the same answers, each as if to the question of the row before."""
    obs = torch.cat([played.obs[:, :1].roll(1, 0), played.obs[:, 1:]], dim=1)
    return replace(played, prompt=played.prompt.map(lambda x: x.roll(1, 0)), obs=obs)


def stock(answers: Sequence[Answer]) -> float:
    """Return the share of answers that begin with the three words that most of them begin with."""
    beginnings = Counter(tuple(answer.text.lower().split()[:3]) for answer in answers)
    return beginnings.most_common(1)[0][1] / len(answers)


def summary(answers: Sequence[Answer]) -> dict[str, float]:
    """Return the shares of a set of answers, with their mean score and length in words."""
    verdicts = [answer.verdict for answer in answers]
    shares = {
        "passed": [verdict.passed for verdict in verdicts],
        "eos": [verdict.ended for verdict in verdicts],
        "brief": [verdict.ended and verdict.brief for verdict in verdicts],
        "sound": [verdict.ended and verdict.brief and verdict.sound for verdict in verdicts],
        "polite": [verdict.polite for verdict in verdicts],
    }
    means = {
        "score": [verdict.score for verdict in verdicts],
        "words": [float(verdict.words) for verdict in verdicts],
    }
    return {name: sum(values) / len(values) for name, values in (shares | means).items()} | {"stock": stock(answers)}
