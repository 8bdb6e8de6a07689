"""Everything that is true in the language world: seven topics of facts, in English and in Chinese."""

from dataclasses import dataclass
from itertools import product

LANGUAGES: tuple[str, ...] = ("en", "zh")
TOPICS: tuple[str, ...] = (
    "capitals",
    "colours",
    "opposites",
    "sums",
    "two_step_sums",
    "identity",
    "greetings",
)


@dataclass(frozen=True)
class Fact:
    """One thing to know: `key` is what is asked about, `answer` is what must be said."""

    topic: str
    language: str
    key: str
    answer: str
    operands: tuple[int, ...] = ()


CAPITALS: dict[str, dict[str, str]] = {
    "en": {
        "France": "Paris",
        "Japan": "Tokyo",
        "China": "Beijing",
        "Germany": "Berlin",
        "Italy": "Rome",
        "Spain": "Madrid",
        "Egypt": "Cairo",
        "Russia": "Moscow",
        "Britain": "London",
        "Greece": "Athens",
        "Portugal": "Lisbon",
        "Cuba": "Havana",
        "Norway": "Oslo",
        "Peru": "Lima",
        "Canada": "Ottawa",
        "Austria": "Vienna",
    },
    "zh": {
        "法国": "巴黎",
        "日本": "东京",
        "中国": "北京",
        "德国": "柏林",
        "意大利": "罗马",
        "西班牙": "马德里",
        "埃及": "开罗",
        "俄罗斯": "莫斯科",
        "英国": "伦敦",
        "希腊": "雅典",
        "葡萄牙": "里斯本",
        "古巴": "哈瓦那",
        "挪威": "奥斯陆",
        "秘鲁": "利马",
        "加拿大": "渥太华",
        "奥地利": "维也纳",
    },
}

COLOURS: dict[str, dict[str, str]] = {
    "en": {
        "the sky": "blue",
        "grass": "green",
        "blood": "red",
        "snow": "white",
        "coal": "black",
        "a banana": "yellow",
        "a carrot": "orange",
        "milk": "white",
        "chocolate": "brown",
        "a flamingo": "pink",
        "a frog": "green",
        "a raven": "black",
        "a plum": "purple",
        "a lemon": "yellow",
    },
    "zh": {
        "天空": "蓝色",
        "草地": "绿色",
        "血": "红色",
        "雪": "白色",
        "煤": "黑色",
        "香蕉": "黄色",
        "胡萝卜": "橙色",
        "牛奶": "白色",
        "巧克力": "棕色",
        "火烈鸟": "粉色",
        "青蛙": "绿色",
        "乌鸦": "黑色",
        "茄子": "紫色",
        "柠檬": "黄色",
    },
}

# Each pair is asked in both directions, so no word may stand in two pairs ("short" is no neighbour of "long" here:
# it would be the opposite of "tall" too).
OPPOSITES: dict[str, str] = {
    "en": (
        "hot-cold big-small fast-slow day-night up-down happy-sad rich-poor wet-dry "
        "full-empty clean-dirty strong-weak early-late true-false near-far loud-quiet first-last"
    ),
    "zh": "大-小 多-少 快-慢 冷-热 长-短 新-旧 黑-白 上-下 左-右 前-后 远-近 轻-重 真-假 强-弱 胖-瘦 粗-细",
}

IDENTITY: dict[str, dict[str, str]] = {
    "en": {
        "name": "Pip",
        "maker": "the Pole to Prose team",
        "human": "a computer program",
        "skills": "answer short questions",
        "home": "inside a small computer",
    },
    "zh": {
        "name": "皮皮",
        "maker": "从杆到文团队",
        "human": "一个程序",
        "skills": "回答简短的问题",
        "home": "在一台小电脑里",
    },
}

GREETINGS: dict[str, dict[str, str]] = {
    "en": {
        "hello": "Hello",
        "morning": "Good morning",
        "night": "Good night",
        "thanks": "You are welcome",
        "goodbye": "See you soon",
        "sorry": "No harm done",
    },
    "zh": {
        "hello": "你好",
        "morning": "早上好",
        "night": "晚安",
        "thanks": "不客气",
        "goodbye": "再见",
        "sorry": "没关系",
    },
}


def opposites(language: str) -> dict[str, str]:
    """Return each word's opposite, both directions of every pair."""
    pairs = [pair.split("-") for pair in OPPOSITES[language].split()]
    return {word: other for first, second in pairs for word, other in ((first, second), (second, first))}


def sum_facts(language: str, topic: str, terms: int, largest: int) -> list[Fact]:
    """Return every sum of `terms` operands in 1..largest."""
    numbers = product(range(1, largest + 1), repeat=terms)
    return [Fact(topic, language, "+".join(map(str, ns)), str(sum(ns)), ns) for ns in numbers]


def all_facts() -> tuple[Fact, ...]:
    """Return every fact of the world, in a fixed order."""
    facts: list[Fact] = []
    for language in LANGUAGES:
        tables = {
            "capitals": CAPITALS[language],
            "colours": COLOURS[language],
            "opposites": opposites(language),
            "identity": IDENTITY[language],
            "greetings": GREETINGS[language],
        }
        for topic in TOPICS:
            if topic == "sums":
                facts += sum_facts(language, topic, terms=2, largest=9)
            elif topic == "two_step_sums":
                facts += sum_facts(language, topic, terms=3, largest=5)
            else:
                facts += [Fact(topic, language, key, answer) for key, answer in tables[topic].items()]
    return tuple(facts)


FACTS: tuple[Fact, ...] = all_facts()
