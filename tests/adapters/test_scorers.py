"""Scorers of finished episodes: what they must see, what they must not, and what transformers makes of the same."""

from types import SimpleNamespace

import pytest
import torch
import transformers

from rl_core.adapters.gym import GymEnv, MLPScorer
from rl_core.adapters.language import TokenScorer
from rl_core.algorithms.reward_model import RewardModelConfig, accuracy, episode_scores, reward_model, typical_reward
from rl_core.errors import InvalidArgument, InvalidType
from rl_core.pairs import Pairs
from rl_core.rollout import rollout
from rl_core.types import Episodes, Prompt
from tests.support.updates import descend, pairs_in, played_in, weights
from tests.support.worlds import (
    CARTPOLE,
    LANGUAGE,
    VOCABULARY,
    WORLDS,
    language_model,
    seeded,
    text_episodes,
    token_scorer,
)

KINDS = ["qwen2", "llama", "gpt2", "neox", "opt"]
PROMPTS = [[5, 6], [7, 1, 2, 4], [8], [3, 3]]
ANSWERS = [[1, 2, 0], [4], [9, 9, 0, 1, 5], [0]]  # ends, of which 0 is also what pads are, inside and at the end
PAD = VOCABULARY - 1
each_kind = pytest.mark.parametrize("kind", KINDS)
each_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
both_worlds = pytest.mark.parametrize("world", [CARTPOLE, LANGUAGE], ids=["cartpole", "language"])


def scores_of(scorer, answers=ANSWERS, **pads):
    with torch.no_grad():
        return episode_scores(scorer, text_episodes(PROMPTS, answers, **pads))


@each_kind
def test_a_score_is_the_classifiers_own_reading_of_each_text(kind):
    scorer = token_scorer(kind, dtype=torch.float64)
    model = scorer.model.eval()
    model.config.pad_token_id = PAD
    texts = [prompt + answer for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)]
    width = max(map(len, texts))
    tokens = torch.tensor([text + [PAD] * (width - len(text)) for text in texts])
    with torch.no_grad():
        together = model(tokens, attention_mask=(tokens != PAD).long()).logits[:, 0]
        alone = torch.stack([model(torch.tensor([text])).logits[0, 0] for text in texts])
    torch.testing.assert_close(scores_of(scorer), together, rtol=0, atol=1e-12)
    torch.testing.assert_close(scores_of(scorer), alone, rtol=0, atol=1e-12)
    assert together.std() > 0.1


@each_kind
@pytest.mark.parametrize("junk", [0, 3, PAD])
def test_pads_on_either_side_move_no_score_whatever_token_they_are(kind, junk):
    scorer = token_scorer(kind, dtype=torch.float64)
    expected = scores_of(scorer)
    for left in range(6):
        for right in (0, 1, 5):
            scores = scores_of(scorer, left=left, right=right, junk=junk)
            torch.testing.assert_close(scores, expected, rtol=0, atol=1e-12)


@each_kind
def test_a_score_stands_on_the_last_live_step_and_has_seen_its_token(kind):
    scorer = token_scorer(kind, dtype=torch.float64)
    episodes = text_episodes(PROMPTS, ANSWERS, right=2)
    rewards = scorer.score(episodes)
    last = episodes.mask.sum(dim=1) - 1
    is_last = torch.arange(rewards.shape[1]) == last[:, None]
    assert rewards[is_last].ne(0).all() and rewards[~is_last].eq(0).all()
    before = scores_of(scorer)
    for change in range(5):  # any token of the answer, the last one too
        for row, answer in enumerate(ANSWERS):
            if change < len(answer):
                other = [list(ids) for ids in ANSWERS]
                other[row][change] = 2 + (answer[change] == 2)
                after = scores_of(scorer, other)
                assert (after[row] - before[row]).abs() > 1e-6
                torch.testing.assert_close(after[torch.arange(4) != row], before[torch.arange(4) != row])
    prompts = [[6, *PROMPTS[0][1:]], *PROMPTS[1:]]
    assert (episode_scores(scorer, text_episodes(prompts, ANSWERS)) - before)[0].abs() > 1e-6


def test_a_chat_with_holes_is_scored_at_its_last_word():
    scorer = token_scorer("llama", dtype=torch.float64)
    episodes = text_episodes(PROMPTS, ANSWERS)
    holes = text_episodes(PROMPTS, ANSWERS)
    holes.mask[2, 1:4] = False  # somebody else was speaking
    torch.testing.assert_close(episode_scores(scorer, holes), episode_scores(scorer, episodes))
    assert scorer.score(holes)[2].ne(0).tolist() == [False] * 4 + [True]


@each_kind
def test_a_fresh_scorer_says_nothing_and_copies_the_trunk(kind):
    model = language_model(kind)
    scorer = TokenScorer.on_trunk_of(model)
    assert scores_of(scorer).eq(0).all()
    for (name, mine), theirs in zip(
        scorer.model.base_model.named_parameters(), model.base_model.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs) and mine is not theirs, name
    with torch.no_grad():
        scorer.model.get_input_embeddings().weight.add_(1.0)
    assert not torch.equal(scorer.model.get_input_embeddings().weight, model.get_input_embeddings().weight)


@both_worlds
def test_a_fresh_scorer_starts_at_log_two_and_learns_what_it_was_shown(world, device):
    pairs = pairs_in(played_in(world, device, torch.float32))
    scorer = world.scorer(device=device)
    head = scorer.model.score if world is LANGUAGE else scorer.reward[-1]
    torch.nn.init.zeros_(head.weight)
    optimizer = torch.optim.Adam(scorer.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        losses.append(reward_model(scorer, optimizer, pairs, RewardModelConfig(), seeded(0, device)))
    assert losses[0]["loss"] == pytest.approx(0.693147, abs=1e-6)
    assert losses[0]["accuracy"] == 0.5 and losses[0]["margin"] == 0
    assert losses[0]["pairs"] == len(pairs) == 5
    assert losses[-1]["loss"] < 0.4 and accuracy(scorer, pairs, rows=2) == accuracy(scorer, pairs) == 1.0


@each_world
def test_every_parameter_of_a_scorer_learns(world, device):
    scorer = world.scorer(device=device)
    episodes = played_in(world, device, torch.float32).episodes()
    episode_scores(scorer, episodes).square().sum().backward()
    assert all(parameter.grad is not None for parameter in scorer.parameters())
    assert any(parameter.grad.abs().max() > 0 for parameter in scorer.parameters())


@each_world
def test_two_scorings_are_equal_to_the_bit_in_train_mode_too(world, device):
    scorer = world.scorer(device=device).train()
    episodes = played_in(world, device, torch.float32).episodes()
    first = scorer.score(episodes)
    assert torch.equal(first, scorer.score(episodes)) and first.shape == episodes.mask.shape
    assert first[~episodes.mask].eq(0).all()


@each_world
def test_a_saved_scorer_says_the_same_when_loaded(world, device, tmp_path):
    scorer, other = world.scorer(device=device), world.scorer(seed=9, device=device)
    torch.save(scorer.state_dict(), tmp_path / "scorer")
    episodes = played_in(world, device, torch.float32).episodes()
    assert not torch.equal(scorer.score(episodes), other.score(episodes))
    other.load_state_dict(torch.load(tmp_path / "scorer", weights_only=True))
    assert torch.equal(scorer.score(episodes), other.score(episodes))


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gpt2"])
def test_transformers_reads_back_what_was_saved(kind, tmp_path):
    scorer = token_scorer(kind)
    scorer.model.save_pretrained(tmp_path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert model.config.num_labels == 1
    torch.testing.assert_close(scores_of(TokenScorer(model)), scores_of(scorer), rtol=0, atol=1e-6)


@pytest.mark.parametrize("begin, pad", [(VOCABULARY - 2, VOCABULARY - 2), (None, None), (0, None)])
def test_transformers_reads_the_end_of_an_answer_where_the_pad_is_the_end(begin, pad, tmp_path):
    model = language_model("llama")
    model.config.pad_token_id, model.config.eos_token_id, model.config.bos_token_id = 0, 0, begin
    scorer = TokenScorer.on_trunk_of(model)
    torch.nn.init.normal_(scorer.model.score.weight, generator=seeded(0))
    scorer.model.save_pretrained(tmp_path)
    opened = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert opened.config.pad_token_id == pad
    ours = scores_of(scorer)
    for row, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        score = opened(torch.tensor([prompt + answer])).logits.item()
        assert score == pytest.approx(ours[row].item(), abs=1e-5)


def test_a_half_precision_scorer_speaks_whole_numbers():
    scores = scores_of(token_scorer("llama", dtype=torch.bfloat16))
    assert scores.dtype == torch.float32
    exact = scores_of(token_scorer("llama", dtype=torch.float64))
    torch.testing.assert_close(scores.double(), exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["cartpole", "acrobot", "taxi", "frozen lake"])
def test_a_perceptron_scores_each_step_by_what_was_seen_and_done_in_it_alone(name, device):
    world = WORLDS[name]
    scorer = world.scorer(device=device, dtype=torch.float64)
    episodes = played_in(world, device).episodes()
    rewards = scorer.score(episodes)
    steps = episodes.as_steps()
    torch.testing.assert_close(scorer.score(steps)[:, 0], rewards[episodes.mask], rtol=0, atol=1e-12)
    obs = (episodes.obs + 1) % 3 if episodes.obs.dim() == 2 else episodes.obs + 0.5
    elsewhere = scorer.score(type(episodes)(episodes.prompt, obs, episodes.actions, episodes.mask))
    assert (elsewhere - rewards)[episodes.mask].abs().min() > 0
    other = type(episodes)(episodes.prompt, episodes.obs, 1 - episodes.actions.clamp(max=1), episodes.mask)
    changed = (scorer.score(other) != rewards)[episodes.mask]
    assert torch.equal(changed, (other.actions != episodes.actions)[episodes.mask])


@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1"])
def test_a_fresh_perceptron_says_nothing_and_says_it_in_both_kinds_of_observation(name):
    env = GymEnv(name, 4)
    scorer = MLPScorer.for_env(env, hidden=8, generator=seeded(0))
    again = MLPScorer.for_env(env, hidden=8, generator=seeded(0))
    world = WORLDS["cartpole" if name == "CartPole-v1" else "frozen lake"]
    episodes = rollout(env, world.network(), seeded(1)).episodes()
    rewards = scorer(episodes)
    assert rewards.eq(0).all() and rewards.shape == episodes.mask.shape
    assert torch.equal(weights(scorer), weights(again))  # the generator decides


@pytest.mark.parametrize(
    "rewards, size", [([3.0, 0.0, 4.0], 12.5**0.5), ([-2.0, 2.0, 0.0], 2.0), ([0.0, 0.0, 0.0], 1.0)]
)
def test_the_typical_reward_is_the_root_mean_square_of_those_that_are_not_zero(rewards, size):
    mask = torch.tensor([[True, True, True, False]] * 2)
    zeros = torch.zeros(2, 4, dtype=torch.int64)
    episodes = Episodes(Prompt.empty(2), zeros, zeros, mask)
    scorer = SimpleNamespace(score=lambda one: torch.tensor([[*rewards, 99.0]] * len(one))[:, : one.mask.shape[1]])
    assert typical_reward(scorer, Pairs(episodes, episodes), rows=1) == pytest.approx(size)


def test_pairs_of_equals_teach_a_scorer_nothing():
    episodes = text_episodes(PROMPTS, ANSWERS)
    scorer = token_scorer("qwen2")
    before = weights(scorer)
    metrics = reward_model(scorer, descend(scorer), Pairs(episodes, episodes), RewardModelConfig(), seeded(0))
    assert torch.equal(weights(scorer), before) and metrics["accuracy"] == 0.5


def test_a_model_without_a_head_for_one_number_is_refused():
    config = language_model("llama").config
    two = transformers.AutoModelForSequenceClassification.from_config(config)
    for model in (language_model("llama"), two, None):
        with pytest.raises(InvalidType, match=r"model=\w+.*num_labels=1.*on_trunk_of"):
            TokenScorer(model)
    with pytest.raises(InvalidType, match=r"language_model=CohereForCausalLM.*another architecture"):
        small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
        cohere = transformers.CohereConfig(vocab_size=8, num_key_value_heads=1, pad_token_id=0, eos_token_id=1, **small)
        TokenScorer.on_trunk_of(transformers.CohereForCausalLM(cohere))


def test_a_token_without_an_embedding_is_refused():
    scorer, episodes = token_scorer("llama"), text_episodes([[1, 2]], [[3, VOCABULARY]])
    with pytest.raises(InvalidArgument, match=rf"token {VOCABULARY} is none of the model's {VOCABULARY} embeddings"):
        scorer.score(episodes)


def test_an_empty_answer_and_one_beyond_the_context_are_refused_with_their_numbers():
    episodes = text_episodes(PROMPTS, ANSWERS)
    episodes.mask[2] = False
    with pytest.raises(InvalidArgument, match=r"episodes has no live step in row 2; leave"):
        token_scorer("llama").score(episodes)
    with pytest.raises(InvalidArgument, match=r"65 tokens exceed.*64; shorten"):
        token_scorer("llama").score(text_episodes([[1, 2]], [[3] * 63]))
    assert token_scorer("llama").score(text_episodes([[1, 2]], [[3] * 62])).shape == (1, 62)
