"""The judge, a program: is an answer one polite sentence of at most twenty words, on the matter?

It reads form, not truth: whether a sentence is *right* it cannot say. What it can do is to leave no cheaper way to its
reward than a short, courteous sentence about what was asked.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from lessons.worlds.chat_model.questions import EXAMPLE, Question

MOST_WORDS, FEWEST_WORDS = 20, 5
MOST_MARKERS = 2
NEW_WORDS = 2
LONGEST_WORD = 20

MARKERS = (
    # courtesies
    "thank you", "many thanks", "thanks for", "you're welcome", "you are welcome", "my pleasure", "with pleasure",
    "a pleasure", "gladly", "glad", "happy to", "pleased to", "delighted to", "i'd love to", "of course", "certainly",
    "i hope", "feel free", "if i may", "if you like", "may i", "good question", "great question", "lovely question",
    "wonderful question", "dear",
    # advice made soft, which is how English is polite when it says what to do
    "i would suggest", "i'd suggest", "i suggest", "i would recommend", "i'd recommend", "i recommend", "may i suggest",
    "you might like", "you may like", "you might want", "you may want", "you might try", "you may wish",
    "you could try", "perhaps you could", "you might consider", "you may consider", "it might help", "it may help",
)  # fmt: skip
"""Polite means: at least one of these phrases stands in the answer, as whole words, in any case; at most two do.

Not among them are "please", "kindly" and "sorry": they are said when one asks or refuses. When they counted, GRPO took
sixteen turns to hand every question back ("Please provide a recipe for a quick salad.") and passed with 59 %.
"""

NOT_THE_MATTER = """
a about above absolutely advice after again all also always am an and answer answering answers any anything
apologies apologize are as ask asked asking assist assistance assistant at be because been before being best better
but by can certainly consider could course dear delighted describe detail details did do does doing dont each else
ever every excuse explain explanation feel few find for free from further gave get give given gives glad gladly go
going good great had happy has have having he help helped helpful helping helps her here him his hope how i id if
ill im in information interested into is it its itself ive just kindly know knowing known learn let like likely lot
love lovely made make makes making many may me might more most much must my need needs new no nor not now of off
offer on once one only or other our out over own pardon perhaps please pleased pleasure polite politely politeness
provide question questions quick really recommend remind reply request response right said same say says see seem
sentence sentences share she short should simple simply so some someone something soon sorry specific suggest sure
take tell than thank thanks that thats the their them then there these they thing things this those through to today
too top topic try under until up us use used useful user using very want wants was way ways we welcome well were
what when where which while who whom why will wish with wonderful work works would yes yet you youd youll your youre
youve
"""
STOP = frozenset(NOT_THE_MATTER.split())
"""Words that say nothing of the matter: the small words, the courtesies, and the talk about helping and answering."""


@dataclass(frozen=True)
class Verdict:
    """What the judge sees in an answer; `passed` is all of it at once."""

    ended: bool
    brief: bool
    sound: bool
    polite: bool
    words: int

    @property
    def passed(self) -> bool:
        """Return whether the answer is what is asked for."""
        return self.ended and self.brief and self.sound and self.polite

    @property
    def score(self) -> float:
        """Return the worth of the answer, in [-1, 1]; see `grade`."""
        if not self.ended:
            return -1.0
        if not self.brief:
            return -0.5 + 0.25 * self.polite
        return 0.25 * self.sound + 0.25 * self.polite + 0.5 * self.passed


def grade(question: Question, answer: str, ended: bool) -> Verdict:
    """Return the verdict on an answer.

    | demand | rule                                                                                                  |
    | ------ | ----------------------------------------------------------------------------------------------------- |
    | ended  | the model itself wrote its end token                                                                  |
    | brief  | one sentence, `is_one_sentence`, of 5 to 20 words; a hyphen, like any other sign, parts words          |
    | sound  | about the matter: it shares a content word with the question, has two more that neither the question  |
    |        | nor the shown example has, and repeats nothing: no pair of neighbouring words twice, no content word  |
    |        | three times                                                                                           |
    | polite | one or two of `MARKERS`, none of them twice                                                           |

    An answer that did not end is worth -1. One that ended but is not brief is worth -0.5, or -0.25 where it is polite;
    a brief one 0.25 for being sound, 0.25 for being polite, and 0.5 on top for both. What a policy will try, and why
    it does not pay:

    - never ending, or ending at once: -1 and -0.5;
    - a sentence that runs on in commas: twenty words are twenty words; in hyphens, dots or line breaks: these part
      words, end sentences or are forbidden, and a word longer than twenty letters is none;
    - courtesies alone ("Thank you, certainly, I am glad to help!"): not sound, as none of that is a content word; and
      more than two are not polite, so there is nothing to be had by a third;
    - an offer in place of an answer ("I would be happy to help you with your eggs!"): "eggs" is shared, none is new;
    - the shown example with a word of the question put in: nothing is new;
    - the question said back ("Of course, how do I boil an egg."): nothing is new; a question mark is no answer's end;
    - a request in place of an answer ("Please tell me your recipe for eggs."): "please" is no courtesy here;
    - one word over and over, or one phrase: not sound;
    - another language or signs: letters beyond Latin are not brief, since their words cannot be counted.

    What pays and should not: a stock sentence with a word of the question put in ("Certainly, eggs matter to many
    families."), and any sentence that is polite, short and wrong. No program here knows better, so an evaluation tells
    beside the score how often an answer fits its own question (`own`) and how many first words are distinct.
    """
    words = words_of(answer)
    brief = is_one_sentence(answer) and FEWEST_WORDS <= len(words) <= MOST_WORDS
    return Verdict(ended, brief, is_sound(question.text, words), is_polite(words), len(words))


def words_of(text: str) -> list[str]:
    """Return the words in lower case: runs of letters and digits, apostrophes inside them left out."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=\w)['’](?=\w)", "", text.lower()))


def is_one_sentence(text: str) -> bool:
    """Return whether the text is one plain statement.

    The only full stop or exclamation mark is its last sign, a point between two digits aside; there is no question
    mark, no ellipsis, colon, semicolon, line break, mark-up or bracket, and no letter beyond the Latin ones.
    """
    if re.search(r"[^a-zA-Z0-9\u00c0-\u024f ,.!'’\"“”%°€$£&–—-]", text):
        return False
    ends = re.findall(r"[.!]", re.sub(r"(?<=\d)\.(?=\d)", "", text))
    return (
        len(ends) == 1 and text[-1] in ".!" and max((len(word) for word in words_of(text)), default=0) <= LONGEST_WORD
    )


def is_polite(words: list[str]) -> bool:
    """Return whether one or two courtesies are among the words, and none twice."""
    counts = [times(words_of(marker), words) for marker in MARKERS]
    return 1 <= sum(counts) <= MOST_MARKERS and max(counts) == 1


def times(phrase: list[str], words: list[str]) -> int:
    """Return how often a phrase stands among the words."""
    return sum(words[i : i + len(phrase)] == phrase for i in range(len(words)))


def is_sound(question: str, words: list[str]) -> bool:
    """Return whether the words are about the question, add to it, and do not go round in circles."""
    asked, shown = content_of(words_of(question)).keys(), content_of(words_of(" ".join(EXAMPLE))).keys()
    content = content_of(words)
    pairs = Counter(pairwise(words))
    repeats = max(pairs.values(), default=0) > 1 or max(content.values(), default=0) > 2
    return bool(asked & content.keys()) and len(content.keys() - asked - shown) >= NEW_WORDS and not repeats


def content_of(words: list[str]) -> Counter[str]:
    """Return how often each content word is said, by its stem."""
    return Counter(stem(word) for word in words if is_content(word))


def is_content(word: str) -> bool:
    """Return whether a word says something of the matter."""
    return len(word) >= 3 and word not in STOP and not word.isdigit()


def stem(word: str) -> str:
    """Return what a word and its common forms begin with alike."""
    for ending in ("ing", "ies", "es", "ed", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:6]
