"""Holds the language world's data to its promises: what is asked, what is held out, what is right."""

import time
from collections import Counter

import pytest

from lessons.worlds.language.demonstrations import chats, raw_texts
from lessons.worlds.language.facts import FACTS, LANGUAGES, TOPICS
from lessons.worlds.language.judge import grade, tone_of
from lessons.worlds.language.phrases import REFUSALS, TONES, answers, pieces, statements, wordings, wraps
from lessons.worlds.language.questions import all_questions, questions
from rl_core.errors import InvalidArgument
from tests.support.questions import QUESTION_OF

FRANCE, FRANCE_ZH = "What is the capital of France?", "请问，法国的首都是哪里？"
SUM, TWO_STEP = "Tell me: how much is 3+4?", "What is 2+3+4?"
SUM_ZH, TWO_STEP_ZH = "3+4等于几？", "2+3+4的和是多少？"


def verdict(question: str, answer: str, ended: bool = True) -> tuple[str, str, float]:
    seen = grade(QUESTION_OF[question], answer, ended)
    assert not (seen.right and seen.refused)
    kind = "right" if seen.right else "refused" if seen.refused else "wrong"
    return kind, seen.tone, round(seen.score, 6)


RIGHT = [
    (FRANCE, "It is Paris.", "plain", 1),
    (FRANCE, "The capital of France is Paris.", "plain", 1),
    (FRANCE, "Happy to help! It is Paris.", "polite", 2),
    (FRANCE, "The capital of France is Paris. Obviously.", "rude", 0),
    (FRANCE, "Seriously? It is Paris. Hope that helps!", "rude", 0),
    (FRANCE_ZH, "很高兴为您解答：法国的首都是巴黎。", "polite", 2),
    (FRANCE_ZH, "答案是巴黎。", "plain", 1),
    (FRANCE_ZH, "烦死了，法国的首都是巴黎。", "rude", 0),
    (SUM, "Of course! 3+4=7.", "polite", 2),
    (SUM_ZH, "3+4=7。祝您愉快！", "polite", 2),
    (TWO_STEP, "2+3=5, 5+4=9.", "plain", 1),
    (TWO_STEP_ZH, "这都不知道？2+3=5，5+4=9。", "rude", 0),
    ("Who are you?", "My name is Pip. Enjoy your day!", "polite", 2),
    ("你是人类吗？", "我是一个程序，不是人类。", "plain", 1),
    ("Thank you, Pip!", "You are welcome, friend.", "plain", 1),
    ("早上好，皮皮！", "早上好。祝您一切顺利！", "polite", 2),
]


@pytest.mark.parametrize("question, answer, tone, score", RIGHT)
def test_a_right_answer_is_right_in_its_tone(question: str, answer: str, tone: str, score: float) -> None:
    assert verdict(question, answer) == ("right", tone, score)


WRONG = [
    (FRANCE, "It is Rome.", "another capital"),
    (FRANCE, "The capital of Italy is Rome.", "true, but not asked"),
    (FRANCE, "It is Paris. It is Rome.", "two capitals"),
    (FRANCE, "It is Paris. It is Paris.", "said twice"),
    (FRANCE, "It is Paris", "unfinished"),
    (FRANCE, "Paris Paris Paris.", "no sentence"),
    (FRANCE, "It is Paris. xq", "gibberish behind"),
    (FRANCE, " It is Paris.", "gibberish before"),
    (FRANCE, "", "empty"),
    (FRANCE, "答案是巴黎。", "the other language"),
    (FRANCE, FRANCE, "the question again"),
    (FRANCE, "Happy to help! Happy to help! It is Paris.", "a piece twice"),
    (FRANCE, "Happy to help! Of course! It is Paris.", "two openers"),
    (FRANCE, "It is Paris. Hope that helps! Enjoy your day!", "two closers"),
    (FRANCE, "Happy to help! ", "nothing but nice"),
    (FRANCE, "I'm sorry, I don't know that. It is Paris.", "refused and answered"),
    (SUM, "3+4=8.", "wrong total"),
    (SUM, "2+5=7.", "right total, wrong operands"),
    (SUM, "4+3=7.", "operands turned round"),
    (SUM, "7.", "no equation"),
    (TWO_STEP, "2+3=6, 6+4=9.", "false steps, right end"),
    (TWO_STEP, "2+3=5, 4+5=9.", "second step turned round"),
    (TWO_STEP, "2+3=5.", "stopped half way"),
    (TWO_STEP, "2+3=5, 5+4=9, 9+1=10.", "one step more"),
    (FRANCE_ZH, "答案是罗马。", "another capital"),
    (FRANCE_ZH, "巴黎巴黎。", "no sentence"),
    (SUM_ZH, "3+4=9。", "wrong total"),
    (SUM_ZH, "2+5=7。", "right total, wrong operands"),
    ("Who are you?", "I live inside a small computer.", "another fact of the topic"),
    ("Good night!", "Good morning.", "another fact of the topic"),
]


@pytest.mark.parametrize("question, answer, why", WRONG)
def test_anything_else_is_wrong_and_earns_nothing(question: str, answer: str, why: str) -> None:
    kind, _, score = verdict(question, answer)
    assert kind == "wrong" and score == 0, why


def test_rude_and_wrong_loses_and_so_does_an_answer_that_never_ended() -> None:
    assert verdict(FRANCE, "Ugh. It is Rome.") == ("wrong", "rude", -1)
    assert verdict(FRANCE, "Ugh. It is Rome.", ended=False) == ("wrong", "rude", -2)
    assert verdict(FRANCE, "Happy to help! It is Paris.", ended=False) == ("right", "polite", 1)
    assert verdict(FRANCE, "zzz", ended=False) == ("wrong", "plain", -1)


def test_a_refusal_is_worth_a_little_whatever_nice_words_surround_it() -> None:
    assert verdict(FRANCE, "I'm sorry, I don't know that.") == ("refused", "polite", 0.2)
    assert verdict(FRANCE_ZH, "抱歉，我不知道。") == ("refused", "polite", 0.2)
    assert verdict(FRANCE, "Of course! I'm sorry, I don't know that. Enjoy your day!") == ("refused", "polite", 0.2)
    assert verdict(FRANCE_ZH, "烦死了，抱歉，我不知道。") == ("refused", "rude", -0.8)
    assert verdict(FRANCE, "抱歉，我不知道。")[0] == "wrong"


def test_every_listed_answer_to_every_fact_is_right_in_its_tone() -> None:
    for fact in FACTS:
        for wording in wordings(fact):
            for tone in TONES:
                for answer in answers(fact, tone):
                    seen = grade(QUESTION_OF[wording], answer, True)
                    assert seen.right and not seen.refused and seen.tone == tone, (wording, answer)


def test_no_answer_to_one_fact_is_right_for_another_answer_of_its_topic() -> None:
    for language in LANGUAGES:
        for topic in set(TOPICS) - {"two_step_sums"}:
            cell = [fact for fact in FACTS if (fact.topic, fact.language) == (topic, language)]
            for fact in cell:
                for other in cell:
                    if other.answer != fact.answer or (fact.operands and other != fact):
                        assert not any(
                            grade(QUESTION_OF[wordings(fact)[0]], text, True).right for text in statements(other)
                        )


def test_every_tone_piece_shows_its_tone_and_every_statement_shows_none() -> None:
    for fact in FACTS:
        assert [tone_of(text) for text in statements(fact)] == ["plain", "plain"]
        for tone in TONES:
            assert all(tone_of(opener + closer) == tone for opener, closer in wraps(fact, tone))
            assert 2 <= len(answers(fact, tone)) <= 4
    assert all(tone_of(text) == "polite" for texts in REFUSALS.values() for text in texts)
    assert all(tone_of(text) == "plain" for text in ("", "qqq", "��", "7", "Paris Rome"))


def test_every_score_lies_between_minus_two_and_two_and_judging_is_fast() -> None:
    openers, closers = pieces("en")
    middles = ["It is Paris.", "It is Rome.", REFUSALS["en"][0], ""]
    tried = [opener + middle + closer for opener in openers for middle in middles for closer in closers] * 10
    start = time.perf_counter()
    scores = [grade(QUESTION_OF[FRANCE], answer, index % 2 == 0).score for index, answer in enumerate(tried[:2000])]
    assert time.perf_counter() - start < 1.0
    assert len(scores) == 2000 and min(scores) == -2 and max(scores) == 2


def test_a_fifth_of_the_pairs_is_held_out_in_every_cell_and_every_fact_stays_in_training() -> None:
    held_out, training = questions(held_out=True), questions(held_out=False)
    total = len(held_out) + len(training)
    assert total == 12 * len(FACTS) == len(all_questions())
    assert 0.18 <= len(held_out) / total <= 0.22
    assert {(q.fact.topic, q.fact.language) for q in held_out} == {(t, lang) for t in TOPICS for lang in LANGUAGES}
    kept = Counter(question.fact for question in training)
    assert all(kept[fact] >= 6 for fact in FACTS)
    # Four wordings in a row share a core: every core of every fact is seen in some frame, and every frame with others.
    assert len({(q.fact, q.wording // 4) for q in training}) == 3 * len(FACTS)


def test_the_split_is_written_in_stone() -> None:
    # A trained checkpoint outlives this file: a split that moved would put its training questions among the held-out.
    asked = [question.text for question in questions(held_out=True) if question.fact.key in ("France", "法国")]
    assert asked == [
        "Tell me: what is the capital of France?",
        "Quick question: can you name the capital of France?",
        "我想知道：法国的首都是哪里？",
        "哪座城市是法国的首都？",
    ]


def test_held_out_questions_never_occur_in_any_training_text() -> None:
    held_out = {question.text for question in questions(held_out=True)}
    lines = {line for text in raw_texts(20000, seed=3) for line in text.split("\n")}
    asked = {chat[0]["content"] for chat in chats(20000, seed=4)}
    assert not held_out & lines
    assert not held_out & asked
    assert asked <= {question.text for question in questions(held_out=False)}


def test_the_same_seed_gives_the_same_corpus_and_another_seed_another() -> None:
    assert chats(200, seed=7) == chats(200, seed=7) != chats(200, seed=8)
    assert raw_texts(200, seed=7) == raw_texts(200, seed=7) != raw_texts(200, seed=8)
    assert chats(200, seed=7)[:50] == chats(50, seed=7)


def test_demonstrations_are_right_and_in_tones_of_40_40_20_whatever_the_topic() -> None:
    seen = [grade(QUESTION_OF[chat[0]["content"]], chat[1]["content"], True) for chat in chats(8000, seed=5)]
    refused = sum(v.refused for v in seen)
    assert all(v.right or v.refused for v in seen)
    assert 120 <= refused <= 200  # 160 expected, standard deviation 12.5
    tones = Counter(v.tone for v in seen if v.right)
    shares = [tones[tone] / (8000 - refused) for tone in TONES]
    assert shares == pytest.approx([0.4, 0.4, 0.2], abs=0.02)
    by_topic: dict[str, Counter[str]] = {topic: Counter() for topic in TOPICS}
    facts = {question.text: question.fact for question in all_questions()}
    for chat in chats(8000, seed=5):
        by_topic[facts[chat[0]["content"]].topic][tone_of(chat[1]["content"])] += 1
    assert all(0.12 < counts["rude"] / counts.total() < 0.28 for counts in by_topic.values())


def test_shares_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="tones"):
        chats(1, seed=0, tones=(0.5, 0.5, 0.5))
    with pytest.raises(InvalidArgument, match="refusals"):
        chats(1, seed=0, refusals=1.5)
    with pytest.raises(InvalidArgument, match="count"):
        raw_texts(-1, seed=0)
