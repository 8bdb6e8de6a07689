"""Questions put to a policy, small or large: the environment that asks them, and what is measured of the answers."""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from lessons.harness.report.numbers import HALF_A_CHARACTER
from lessons.worlds import Advance, nobody
from lessons.worlds.language.reward import Answer, JudgeReward
from lessons.worlds.learners import Policy
from lessons.worlds.measure import chosen, mean, most_kl_of_best
from lessons.worlds.seeds import spawn
from rl_core.adapters.language import TokenEnv, TokenNetwork
from rl_core.errors import check_count
from rl_core.evaluate import evaluate_in
from rl_core.interfaces import Network, Scorer
from rl_core.masked import select
from rl_core.rollout import rollout
from rl_core.types import Episodes, Rollout

Measures = Callable[[Rollout, Tensor], dict[str, Tensor]]


def ask(
    reward: JudgeReward,
    rows: int,
    *,
    seed: int,
    prompts: list[list[int]] | None = None,
    steps: int | None = None,
    group_size: int = 1,
    device: str = "cpu",
) -> TokenEnv:
    """Return the environment that asks the judge's questions (or only these prompts), scored by the judge.

    An answer may have `steps` tokens, or as many as the judge's examiner allows.
    """
    examiner = reward.examiner
    return TokenEnv(
        reward.prompts if prompts is None else prompts,
        reward,
        rows,
        max_new_tokens=steps or examiner.max_new_tokens,
        eos=examiner.ends,
        group_size=group_size,
        context=examiner.context,
        seed=seed,
        device=device,
    )


def ids_of(played: Episodes | Rollout) -> tuple[list[list[int]], list[list[int]]]:
    """Return the (prompts, answers) of some episodes, as ids."""
    tokens = torch.cat([played.prompt.tokens, played.obs[:, :1]], dim=1)  # [B, P + 1]
    counts = torch.cat([played.prompt.mask, torch.ones_like(played.mask[:, :1])], dim=1)
    prompts = [ids[mask].tolist() for ids, mask in zip(tokens, counts, strict=True)]
    return prompts, [ids[mask].tolist() for ids, mask in zip(played.actions, played.mask, strict=True)]


def decode_each(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[str]:
    """Return what each token adds to the text, which they are when joined.

    A token may end within a character (of three bytes, in Chinese): it adds nothing, and the one that completes the
    character adds it whole.
    """
    pieces, told = [], ""
    for count in range(1, len(ids) + 1):
        text = str(tokenizer.decode(ids[:count]))
        if count < len(ids) and text.endswith(HALF_A_CHARACTER):
            pieces.append("")
            continue
        pieces.append(text[len(told) :])
        told = text
    return pieces


def policy_of(network: Policy) -> TokenNetwork:
    """Return the policy alone, without the critic, which need not answer while it is only looked at."""
    assert isinstance(network, TokenNetwork)
    return TokenNetwork(network.model, temperature=network.temperature)


def parts_of(prompts: list[list[int]], size: int) -> list[list[list[int]]]:
    """Return the prompts in parts of about that size at most; none is a single one, unless there is no other."""
    count = -(-len(prompts) // size)
    return [prompts[len(prompts) * i // count : len(prompts) * (i + 1) // count] for i in range(count)]


def logprobs_of(network: Network, episodes: Episodes | Rollout, micro_rows: int) -> Tensor:
    """Return log π of each whole answer, [B], nats, without gradient."""
    index = torch.arange(len(episodes), device=episodes.actions.device).split(micro_rows)
    return select(evaluate_in(index, network, episodes).logprobs, episodes.mask).sum(dim=1)


def interview(
    network: Policy,
    reference: Network,
    reward: JudgeReward,
    *,
    seed: int,
    device: str = "cpu",
    repeats: int = 1,
    best_of: int = 1,
    scorer: Scorer | None = None,
    measures: Measures | None = None,
    advance: Advance = nobody,
) -> tuple[list[Answer], dict[str, float]]:
    """Return the sampled answers to all of the judge's questions, and their mean length and KL to the reference.

    Each question is asked `repeats` times in a row, and of `best_of` answers the best is taken. `measures` tells what
    else is to be averaged, from the rows that were played and the reference's log-probability of each, [B].
    """
    check_count("best_of", best_of, 1)
    group_size, examiner = repeats * best_of, reward.examiner
    policy, generator = policy_of(network), torch.Generator(device).manual_seed(spawn(seed, "actions"))
    answers: list[Answer] = []
    measured: dict[str, list[float]] = {}
    for prompts in parts_of(reward.prompts, max(1, examiner.rows // group_size)):
        rows = group_size * len(prompts)
        env = ask(reward, rows, seed=spawn(seed, "order"), prompts=prompts, group_size=group_size, device=device)
        played = chosen(rollout(env, policy, generator), best_of, scorer)
        answers += reward.answers(*ids_of(played))
        ref_logprobs = logprobs_of(reference, played, examiner.micro_rows)  # [B]
        of_rows = {
            "length": played.mask.sum(dim=1),
            "kl": select(played.logprobs, played.mask).sum(dim=1) - ref_logprobs,
        }
        for name, values in (of_rows | (measures(played, ref_logprobs) if measures else {})).items():
            measured.setdefault(name, []).extend(values.tolist())
        advance(len(answers), len(reward.prompts) * repeats)
    means = {name: mean(values) for name, values in measured.items()}
    return answers, means | {"kl": means["kl"] + most_kl_of_best(best_of), "answers": float(len(answers))}
