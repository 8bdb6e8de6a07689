"""How the world talks: a question is a core in a frame, an answer is a statement between two tone pieces."""

from collections.abc import Sequence
from functools import cache

from lessons.worlds.language.facts import Fact

TONES: tuple[str, ...] = ("polite", "plain", "rude")

# {q} starts with a small letter, {Q} with a capital: the same core, so that a pair of fact and wording that was never
# seen is made of pieces that were.
FRAMES: dict[str, tuple[str, ...]] = {
    "en": ("{Q}", "Tell me: {q}", "Quick question: {q}", "One more thing: {q}"),
    "zh": ("{q}", "请问，{q}", "我想知道：{q}", "再问一下，{q}"),
}
GREETING_FRAMES: dict[str, tuple[str, ...]] = {
    "en": ("{Q}!", "{Q}, Pip!", "Oh, {q}!", "Well, {q}, Pip!"),
    "zh": ("{q}！", "{q}，皮皮！", "小皮皮，{q}！", "哎呀，{q}！"),
}

# Three cores a fact. In Chinese the key always stands beside 的, 是, punctuation or an edge, where the tokenizer cuts.
CORES: dict[tuple[str, str], tuple[str, ...]] = {
    ("capitals", "en"): (
        "what is the capital of {key}?",
        "which city is the capital of {key}?",
        "can you name the capital of {key}?",
    ),
    ("capitals", "zh"): ("{key}的首都是哪里？", "{key}的首都叫什么？", "哪座城市是{key}的首都？"),
    ("colours", "en"): (
        "what colour is {key}?",
        "what is the colour of {key}?",
        "which colour does {key} have?",
    ),
    ("colours", "zh"): ("{key}是什么颜色？", "{key}的颜色是什么？", "{key}的颜色是哪一种？"),
    ("opposites", "en"): (
        "what is the opposite of {key}?",
        "which word is the opposite of {key}?",
        "can you name the opposite of {key}?",
    ),
    ("opposites", "zh"): ("{key}的反义词是什么？", "哪个词是{key}的反义词？", "{key}的反面是什么？"),
    ("sums", "en"): ("what is {key}?", "how much is {key}?", "can you work out {key}?"),
    ("sums", "zh"): ("{key}等于几？", "{key}等于多少？", "{key}的和是多少？"),
}
# Here each fact has cores of its own: topic, language, key.
OWN_CORES: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("identity", "en", "name"): ("what is your name?", "who are you?", "what are you called?"),
    ("identity", "en", "maker"): ("who made you?", "who built you?", "who created you?"),
    ("identity", "en", "human"): ("are you a human?", "are you a real person?", "is this a real human?"),
    ("identity", "en", "skills"): ("what can you do?", "what are you good at?", "how can you help me?"),
    ("identity", "en", "home"): ("where do you live?", "where is your home?", "where are you now?"),
    ("identity", "zh", "name"): ("你叫什么名字？", "你是谁？", "该怎么称呼你？"),
    ("identity", "zh", "maker"): ("谁创造了你？", "谁开发了你？", "你是谁做的？"),
    ("identity", "zh", "human"): ("你是人类吗？", "你是真人吗？", "你是不是人？"),
    ("identity", "zh", "skills"): ("你会做什么？", "你有什么本事？", "你能帮我做什么？"),
    ("identity", "zh", "home"): ("你住在哪里？", "你的家在哪里？", "你现在在哪里？"),
    ("greetings", "en", "hello"): ("hello", "hi there", "greetings"),
    ("greetings", "en", "morning"): ("good morning", "a good morning to you", "rise and shine"),
    ("greetings", "en", "night"): ("good night", "sleep well", "time for bed"),
    ("greetings", "en", "thanks"): ("thank you", "thanks a lot", "many thanks"),
    ("greetings", "en", "goodbye"): ("goodbye", "bye for now", "time to go"),
    ("greetings", "en", "sorry"): ("sorry", "sorry about that", "my mistake"),
    ("greetings", "zh", "hello"): ("你好", "嗨", "哈喽"),
    ("greetings", "zh", "morning"): ("早上好", "早安", "早啊"),
    ("greetings", "zh", "night"): ("晚安", "我去睡了", "做个好梦"),
    ("greetings", "zh", "thanks"): ("谢谢你", "多谢", "太感谢了"),
    ("greetings", "zh", "goodbye"): ("再见", "回头见", "我先走了"),
    ("greetings", "zh", "sorry"): ("对不起", "不好意思", "请原谅我"),
}

# The first form names what was asked and stands on its own. The answer's word always follows a space in English and a
# cut in Chinese, so it is the same token in both forms.
STATEMENTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("capitals", "en"): ("The capital of {key} is {answer}.", "It is {answer}."),
    ("capitals", "zh"): ("{key}的首都是{answer}。", "答案是{answer}。"),
    ("colours", "en"): ("The colour of {key} is {answer}.", "It is {answer}."),
    ("colours", "zh"): ("{key}的颜色是{answer}。", "答案是{answer}。"),
    ("opposites", "en"): ("The opposite of {key} is {answer}.", "It is {answer}."),
    ("opposites", "zh"): ("{key}的反义词是{answer}。", "答案是{answer}。"),
    ("sums", "en"): ("{steps}.", "So {steps}."),
    ("sums", "zh"): ("{steps}。", "算出来{steps}。"),
    ("greetings", "en"): ("{answer}.", "{answer}, friend."),
    ("greetings", "zh"): ("{answer}。", "{answer}，朋友。"),
}
OWN_STATEMENTS: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("identity", "en", "name"): ("I am {answer}.", "My name is {answer}."),
    ("identity", "en", "maker"): ("I was made by {answer}.", "My makers are {answer}."),
    ("identity", "en", "human"): ("I am {answer}, not a human.", "I am not a human, I am {answer}."),
    ("identity", "en", "skills"): ("I can {answer}.", "My job is to {answer}."),
    ("identity", "en", "home"): ("I live {answer}.", "My home is {answer}."),
    ("identity", "zh", "name"): ("我是{answer}。", "我的名字是{answer}。"),
    ("identity", "zh", "maker"): ("我是{answer}做的。", "做出我的是{answer}。"),
    ("identity", "zh", "human"): ("我是{answer}，不是人类。", "我不是人类，我是{answer}。"),
    ("identity", "zh", "skills"): ("我会{answer}。", "我的工作是{answer}。"),
    ("identity", "zh", "home"): ("我住{answer}。", "我的家{answer}。"),
}

# (opener, closer) of each phrasing: exactly one of the two carries the tone. A piece carries its own space.
Wraps = tuple[tuple[str, str], ...]
WRAPS: dict[tuple[str, str], Wraps] = {
    ("polite", "en"): (
        ("Happy to help! ", ""),
        ("Of course! ", ""),
        ("", " Hope that helps!"),
        ("", " Enjoy your day!"),
    ),
    ("polite", "zh"): (("很高兴为您解答：", ""), ("您好，", ""), ("", "希望能帮到您！"), ("", "祝您愉快！")),
    ("plain", "en"): (("", ""), ("", "")),
    ("plain", "zh"): (("", ""), ("", "")),
    ("rude", "en"): (("Ugh. ", ""), ("Seriously? ", ""), ("", " Obviously."), ("", " Now go away.")),
    ("rude", "zh"): (("烦死了，", ""), ("这都不知道？", ""), ("", "还用问吗？"), ("", "别再烦我了。")),
}
GREETING_WRAPS: dict[tuple[str, str], Wraps] = {
    ("polite", "en"): (("How kind of you! ", ""), ("", " I wish you well!"), ("", " All the best!")),
    ("polite", "zh"): (("您太客气了，", ""), ("", "祝您一切顺利！"), ("", "祝您天天开心！")),
    ("plain", "en"): WRAPS["plain", "en"],
    ("plain", "zh"): WRAPS["plain", "zh"],
    ("rude", "en"): (("Ugh, you again. ", ""), ("", " Now leave me alone."), ("", " How boring.")),
    ("rude", "zh"): (("哼，又是你。", ""), ("", "别来烦我。"), ("", "真无聊。")),
}

# What gives a tone away in any string, however garbled; searched in small letters.
MARKERS: dict[str, tuple[str, ...]] = {
    "polite": (
        *("happy to help", "of course", "hope that helps", "enjoy your day", "kind of you", "wish you well"),
        *("all the best", "sorry", "您", "抱歉", "对不起"),
    ),
    "rude": (
        *("ugh", "seriously", "obviously", "go away", "you again", "leave me alone", "boring"),
        *("烦", "这都不知道", "还用问", "又是你", "哼", "无聊"),
    ),
}

REFUSALS: dict[str, tuple[str, ...]] = {
    "en": ("I'm sorry, I don't know that.", "Sorry, I'm not sure about that."),
    "zh": ("抱歉，我不知道。", "对不起，这个我不清楚。"),
}


def wordings(fact: Fact) -> list[str]:
    """Return the twelve ways to ask for a fact: wording i is core i // 4 in frame i % 4."""
    frames = (GREETING_FRAMES if fact.topic == "greetings" else FRAMES)[fact.language]
    topic = "sums" if fact.topic == "two_step_sums" else fact.topic
    cores = OWN_CORES.get((topic, fact.language, fact.key)) or CORES[topic, fact.language]
    filled = [core.format(key=fact.key) for core in cores]
    return [frame.format(q=core, Q=core[0].upper() + core[1:]) for core in filled for frame in frames]


def steps(fact: Fact, slips: Sequence[int] = ()) -> str:
    """Return the equations of a sum, one addition at a time: 2+3=5, 5+4=9.

    Step i is wrong by slips[i], and what comes after goes on from there: with (1, 0) it is 2+3=6, 6+4=10.
    """
    equations: list[str] = []
    total = fact.operands[0] if fact.operands else 0
    for index, operand in enumerate(fact.operands[1:]):
        result = total + operand + (slips[index] if slips else 0)
        equations.append(f"{total}+{operand}={result}")
        total = result
    return (", " if fact.language == "en" else "，").join(equations)


def statements(fact: Fact, slips: Sequence[int] = ()) -> list[str]:
    """Return the sentences that state a fact, without any tone; those of a sum with these slips in its steps."""
    topic = "sums" if fact.topic == "two_step_sums" else fact.topic
    own = OWN_STATEMENTS.get((topic, fact.language, fact.key))
    forms = own or STATEMENTS[topic, fact.language]
    return [form.format(key=fact.key, answer=fact.answer, steps=steps(fact, slips)) for form in forms]


def wraps(fact: Fact, tone: str) -> Wraps:
    """Return the (opener, closer) pairs in which a fact is stated in a tone."""
    return (GREETING_WRAPS if fact.topic == "greetings" else WRAPS)[tone, fact.language]


def answers(fact: Fact, tone: str) -> list[str]:
    """Return the right answers to a question for a fact that are shown in a tone."""
    forms = statements(fact)
    return [opener + forms[index % len(forms)] + closer for index, (opener, closer) in enumerate(wraps(fact, tone))]


@cache
def pieces(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return every (openers, closers) of a language, both with the empty one first."""
    tables = [table[tone, language] for table in (WRAPS, GREETING_WRAPS) for tone in TONES]
    openers = dict.fromkeys(["", *(opener for table in tables for opener, _ in table)])
    closers = dict.fromkeys(["", *(closer for table in tables for _, closer in table)])
    return tuple(openers), tuple(closers)
