"""TRL's trainers, offline on a tiny random model, against our losses seen through our adapters: value and gradient."""

import json

import pytest
import torch

from rl_core.adapters.language import Preference, TokenNetwork, TokenScorer, read_preferences, write_preferences
from rl_core.algorithms.dpo import episode_logprobs
from rl_core.algorithms.reward_model import episode_scores
from rl_core.evaluate import evaluate_actions
from rl_core.losses.dpo import dpo_loss, ipo_loss, smoothed_dpo_loss
from rl_core.losses.grpo import grpo_loss
from rl_core.losses.reward_model import bradley_terry_loss
from rl_core.losses.sft import sft_loss
from tests.support.worlds import VOCABULARY, language_model, text_episodes

PROMPTS = [[5, 6], [7, 1, 2, 4], [8]]
CHOSEN = [[1, 2, 0], [4], [9, 9, 3, 1, 0]]
REJECTED = [[3], [3, 4, 5, 6], [2, 0]]
PAD = VOCABULARY - 1  # in none of the texts
ROWS = len(PROMPTS)
each_kind = pytest.mark.parametrize("kind", ["qwen2", "llama"])


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Return a function that builds a trainer of TRL, which is imported here: it costs the other tests nothing."""
    import trl
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({str(token): token for token in range(VOCABULARY)}, unk_token="0"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token=str(PAD), eos_token="0", bos_token="1")
    fixed = {"output_dir": str(tmp_path_factory.mktemp("trl")), "report_to": [], "use_cpu": True, "bf16": False}
    fixed |= {"activation_checkpointing": False, "save_strategy": "no", "disable_tqdm": True}

    def build(name, model, row, options=None, **arguments):
        config = getattr(trl, f"{name}Config")(**fixed, **options or {})
        data = Dataset.from_list([row] * 8)
        trainer = getattr(trl, f"{name}Trainer")
        return trainer(model=model, args=config, processing_class=tokenizer, train_dataset=data, **arguments)

    return build


def theirs(trainer, batch):
    """Return a trainer's loss on a batch beside its gradient to the model's parameters."""
    loss = trainer.compute_loss(trainer.model, batch)
    return loss.item(), torch.autograd.grad(loss, list(trainer.model.parameters()))


def agree(network, loss, expected, tolerance=2e-6):
    """Assert that our loss and its gradient are theirs."""
    value, slopes = expected
    assert loss.item() == pytest.approx(value, abs=tolerance)
    ours = torch.autograd.grad(loss, list(network.model.parameters()))
    assert max(slope.abs().max() for slope in ours) > 1e-3
    for mine, other in zip(ours, slopes, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=tolerance)


@each_kind
def test_supervised_fine_tuning_agrees(train, kind):
    trainer = train("SFT", language_model(kind).eval(), {"text": "5 6"})
    rows = [
        {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}
        for prompt, answer in zip(PROMPTS, CHOSEN, strict=True)
    ]
    network, shown = TokenNetwork(language_model(kind)), text_episodes(PROMPTS, CHOSEN)
    loss, _ = sft_loss(evaluate_actions(network, shown).logprobs, shown.mask)
    agree(network, loss, theirs(trainer, trainer.data_collator(rows)))


@each_kind
def test_the_reward_model_agrees(train, kind):
    scorer = TokenScorer.on_trunk_of(language_model(kind))
    torch.nn.init.normal_(scorer.model.score.weight, generator=torch.Generator().manual_seed(0))
    model = TokenScorer.on_trunk_of(language_model(kind)).model.eval()
    model.load_state_dict(scorer.model.state_dict())
    model.config.pad_token_id = PAD
    trainer = train("Reward", model, {"prompt": "5", "chosen": "1 2", "rejected": "3"})
    rows = [
        {"chosen_ids": prompt + good, "rejected_ids": prompt + bad}
        for prompt, good, bad in zip(PROMPTS, CHOSEN, REJECTED, strict=True)
    ]
    scores = (episode_scores(scorer, text_episodes(PROMPTS, answers)) for answers in (CHOSEN, REJECTED))
    loss, metrics = bradley_terry_loss(*scores)
    agree(scorer, loss, theirs(trainer, trainer.data_collator(rows)))
    assert metrics["accuracy"] == pytest.approx(trainer._metrics["eval"]["accuracy"][0])
    assert metrics["margin"] == pytest.approx(trainer._metrics["eval"]["margin"][0], abs=1e-5)


def mean_of_one(loss):
    """Return a loss that takes means over the answers' tokens in place of sums, as TRL does for IPO."""

    def averaged(*sums, **options):
        lengths = [torch.tensor([len(answer) for answer in answers]) for answers in (CHOSEN, REJECTED)] * 2
        return loss(*(total / length for total, length in zip(sums, lengths, strict=True)), **options)

    return averaged


def smoothed(*sums, beta):
    return smoothed_dpo_loss(*sums, beta=beta, label_smoothing=0.2)


@each_kind
@pytest.mark.parametrize(
    "ours, options, alone",
    [
        (dpo_loss, {"loss_type": ["sigmoid"]}, False),
        (mean_of_one(ipo_loss), {"loss_type": ["ipo"]}, False),
        # Of one pair at a time "aot", which sorts a batch's margins, is the loss with smoothed labels.
        (smoothed, {"loss_type": ["aot"], "label_smoothing": 0.2}, True),
    ],
    ids=["dpo", "ipo", "smoothed dpo"],
)
def test_direct_preference_optimisation_agrees(train, kind, ours, options, alone):
    reference = language_model(kind, 1).eval()
    row = {"prompt": "5 6", "chosen": "1 2", "rejected": "3"}
    trainer = train("DPO", language_model(kind).eval(), row, options | {"beta": 0.3}, ref_model=reference)
    network, frozen = TokenNetwork(language_model(kind)), TokenNetwork(language_model(kind, 1))
    rows = [
        {"prompt_ids": prompt, "chosen_ids": good, "rejected_ids": bad}
        for prompt, good, bad in zip(PROMPTS, CHOSEN, REJECTED, strict=True)
    ]
    batches = [[row] for row in rows] if alone else [rows]
    losses_and_slopes = [theirs(trainer, trainer.data_collator(batch)) for batch in batches]
    value = sum(loss for loss, _ in losses_and_slopes) / len(losses_and_slopes)
    slopes = [
        sum(parts) / len(losses_and_slopes) for parts in zip(*(slopes for _, slopes in losses_and_slopes), strict=True)
    ]
    shown = [text_episodes(PROMPTS, answers) for answers in (CHOSEN, REJECTED)]
    now = [episode_logprobs(network, episodes) for episodes in shown]
    with torch.no_grad():
        ref = [episode_logprobs(frozen, episodes) for episodes in shown]
    loss, _ = ours(*now, *ref, beta=0.3)
    agree(network, loss, (value, slopes))


@each_kind
@pytest.mark.parametrize("average, loss_type", [("episode", "grpo"), ("token", "bnpo")])
@pytest.mark.parametrize("beta", [0.0, 0.4])
def test_group_relative_policy_optimisation_agrees(train, kind, average, loss_type, beta):
    options = {"num_generations": 2, "loss_type": loss_type, "max_completion_length": 8, "beta": 0.0}
    # By default TRL weighs the KL by the ratio too, which is another gradient than the paper's.
    trainer = train(
        "GRPO",
        language_model(kind).eval(),
        {"prompt": "5 6"},
        options | {"use_bias_correction_kl": False, "epsilon": 0.2},
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
    )
    trainer.beta = beta  # set by hand: from the start, it would look for its reference online
    network, shown = TokenNetwork(language_model(kind)), text_episodes(PROMPTS, CHOSEN)
    advantages = torch.tensor([1.5, -0.7, 0.4])
    with torch.no_grad():
        old, ref = (evaluate_actions(TokenNetwork(language_model(kind, seed)), shown).logprobs for seed in (1, 2))
        old = evaluate_actions(network, shown).logprobs + 0.2 * (old - old[shown.mask].mean()) * shown.mask
    whole = torch.cat([shown.prompt.tokens, shown.obs[:, :1]], dim=1)
    batch = {
        "prompt_ids": whole,
        "prompt_mask": torch.cat([shown.prompt.mask, torch.ones(ROWS, 1).bool()], dim=1).long(),
        "completion_ids": shown.actions,
        "completion_mask": shown.mask.long(),
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": ref,
    }
    now = evaluate_actions(network, shown).logprobs
    stretched = advantages[:, None].expand_as(now)
    loss, metrics = grpo_loss(now, old, ref, stretched, shown.mask, clip=0.2, beta=beta, average=average)
    assert 0 < metrics["clip_fraction"] < 1
    agree(network, loss, theirs(trainer, batch), 5e-6)


def test_a_file_of_preferences_is_one_that_trl_reads(tmp_path):
    from datasets import Dataset
    from trl.data_utils import extract_prompt, is_conversational

    asked, good, bad = {"role": "user", "content": "问"}, *({"role": "assistant", "content": c} for c in "ab")
    path = tmp_path / "pairs.jsonl"
    write_preferences(path, [Preference([asked], [good], [bad])])
    data = Dataset.from_list([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    assert data.column_names == ["prompt", "chosen", "rejected"] and is_conversational(data[0])
    whole = {"chosen": [asked, good], "rejected": [asked, bad]}  # a prompt left out is found alike
    path.write_text(json.dumps(whole), encoding="utf-8")
    (preference,) = read_preferences(path)
    assert {key: getattr(preference, key) for key in data.column_names} == extract_prompt(whole) == data[0]
