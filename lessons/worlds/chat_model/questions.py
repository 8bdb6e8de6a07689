"""What people ask an assistant every day: short questions in English, every second of which is never trained on."""

from dataclasses import dataclass
from functools import cache
from random import Random

SYSTEM = "You are a helpful assistant."
"""Said before every question; without it a template puts in words of its own, which differ between models."""
WISH = "Please answer politely, in one short sentence."
"""Said after every everyday question where the judge listens: what it asks for."""
EXAMPLE = ("How do I keep a candle from dripping?", "I would suggest a cool room, which keeps the wax firm for hours.")
"""A question with the wish, and an answer that the judge lets pass, said before each question with the wish.

Reinforcement learning pays for what a policy does of itself; what it never does, it never learns. Told the wish alone,
a small model does all that is asked in hardly one answer of a hundred; shown one example, in several. The judge counts
none of the example's words as new, so that to say it again with a word changed does not pay.
"""

ASKED = """
kitchen: How do I boil an egg? | How long does rice take to cook? | What can I make with old bread?
kitchen: How do I keep basil fresh? | What goes well with tomato soup? | How do I make a simple pancake?
kitchen: Why does bread dough need to rest? | How can I make coffee less bitter? | What is a good afternoon snack?
kitchen: How do I clean a burnt pan? | How do I peel garlic quickly? | What should I cook for dinner tonight?
kitchen: How do I make lemonade? | Why do onions make me cry? | How do I tell if a melon is ripe?
kitchen: How much salt goes into pasta water? | What can replace butter in a cake? | How do I store fresh mushrooms?
kitchen: What is the best way to cook potatoes? | How do I make a quick salad? | How hot should the oven be for pizza?
kitchen: Suggest a breakfast with oats. | Name a soup for a cold day. | Describe the taste of ginger.
home: How do I remove a wine stain? | How often should I wash my towels? | How do I fix a squeaky door?
home: How can I make my room warmer? | How do I get rid of ants? | How do I clean a window without streaks?
home: How do I sharpen a kitchen knife? | How do I unclog a sink? | What should I do with old batteries?
home: How can I save water at home? | How do I hang a picture straight? | How do I fold a shirt?
home: How do I keep my plants alive? | Why is my lamp flickering? | How can I make my kitchen smell better?
home: How do I choose a mattress? | How do I iron a shirt? | How can I use less electricity?
home: Suggest a colour for my bedroom. | Give me a tip for tidying my desk. | Help me plan a small garden.
nature: Why is the sky blue? | Why do leaves change colour in autumn? | How do birds find their way south?
nature: Why is the sea salty? | What do bees do in winter? | How does a rainbow form?
nature: Why do cats purr? | How do fish breathe? | What makes thunder so loud?
nature: Why do wolves howl? | How old can a tree become? | What do owls eat?
nature: Why does the moon change its shape? | How do spiders make a web? | What is a volcano?
nature: Why do we have seasons? | How do plants drink water? | What causes the wind?
nature: How fast can a horse run? | Why are flamingos pink? | What is the largest animal?
nature: Tell me about dolphins. | Describe a forest after rain. | Tell me something about penguins.
health: How can I sleep better? | How much water should I drink? | How do I stop a nosebleed?
health: How can I relax after work? | What helps against a sore throat? | How do I start running?
health: How do I stretch my back? | Why do I yawn? | How can I eat less sugar?
health: What should I do about a headache? | How often should I exercise? | Why is breakfast important?
health: How can I rest my eyes? | How do I treat a small burn? | What helps against a cold?
health: How can I wake up earlier? | How do I breathe when I am nervous? | Why is walking healthy?
health: Give me a tip for a calmer morning. | Suggest an exercise for my shoulders. | Recommend a healthy drink.
people: How do I make new friends? | How do I say sorry to my sister? | What should I give my mother for her birthday?
people: How do I start a conversation? | How can I be a better listener? | How do I thank a teacher?
people: How do I calm a crying baby? | How can I help a friend who is sad? | What do I say to a new neighbour?
people: How do I ask my boss for a day off? | How do I refuse an invitation? | How do I remember names?
people: How can I make my grandmother smile? | How do I settle an argument? | How do I welcome a guest?
people: What makes a good friend? | How do I write a birthday card? | How do I cheer up my brother?
people: Suggest a gift for a colleague. | Give me a toast for a wedding. | Recommend a game for a family evening.
work: How do I write a good email? | How can I stay focused? | How do I prepare for an interview?
work: How do I plan my week? | How can I learn to type faster? | How do I give a short talk?
work: How do I ask for help in the office? | What should I wear to an interview? | How do I take good notes?
work: How can I stop putting things off? | How do I end a meeting on time? | How do I make a useful list?
work: How do I choose a strong password? | How do I back up my photos? | How can I make my computer faster?
work: How do I save money each month? | How do I learn a new skill? | How do I deal with a rude customer?
work: Give me a tip for working from home. | Suggest a name for a small bakery. | Help me start a letter.
travel: What should I pack for a beach trip? | How do I find cheap flights? | What is there to see in Paris?
travel: How do I avoid getting seasick? | What is the best time to visit Japan? | How do I read a map?
travel: How do I sleep on a plane? | What should I eat in Italy? | How do I stay safe while hiking?
travel: How do I change a bicycle tyre? | How do I get over jet lag? | What do I need for a camping trip?
travel: How do I order food in a foreign language? | Which city should I visit in Spain? | How can I travel with a dog?
travel: How do I keep children busy on a train? | What should I know about London? | How do I tie a rope to a boat?
travel: Recommend a place for a quiet holiday. | Tell me about the city of Rome. | Suggest a walk in the mountains.
learning: How do I learn a language? | What is the capital of France? | How many days are in a leap year?
learning: Why do we study history? | How does a telescope work? | What is an adjective?
learning: How do magnets work? | What is the boiling point of water? | How do I remember a phone number?
learning: Who wrote Romeo and Juliet? | What is a prime number? | How does a battery work?
learning: Why does ice float? | What is gravity? | How do airplanes stay in the air?
learning: How do I get better at math? | What is a metaphor? | How does a clock work?
learning: What is the largest planet? | Why do we need sleep? | What is a noun?
learning: Explain what an atom is. | Tell me about the pyramids. | Explain how a vaccine works.
leisure: What book should I read next? | How do I start to draw? | How do I learn the guitar?
leisure: What is a good hobby for winter? | How do I take better photos? | How do I play chess?
leisure: How do I build a sandcastle? | What is a good movie for children? | How do I grow tomatoes?
leisure: How do I knit a scarf? | How do I train my dog to sit? | How do I catch a fish?
leisure: How do I write a short poem? | How can I sing better? | How do I fly a kite?
leisure: What music is good for dancing? | How do I plan a picnic? | How do I bake a birthday cake?
leisure: Suggest a game for a rainy day. | Tell me a fun fact about cats. | Recommend a song for a party.
errands: How do I choose a good apple? | Where should I keep my keys? | How do I send a parcel?
errands: How do I return a broken toaster? | How do I wash a wool sweater? | How do I choose running shoes?
errands: What should I look for in a used car? | How do I find a good doctor? | How do I wrap a present?
errands: How do I read a bus timetable? | How do I open a bank account? | How do I choose a bicycle?
errands: How do I care for leather shoes? | How do I choose a gift for a child? | How do I get a library card?
errands: How do I park in a small space? | When should I buy a winter coat? | How do I compare phone plans?
kitchen: How do I whip cream by hand? | What can I cook with lentils? | How do I thicken a sauce?
home: How do I paint a wall? | How do I stop a dripping tap? | What should I keep in a first aid box?
nature: Why do dogs bark? | How do clouds stay up? | Why is grass green?
nature: How do butterflies grow? | Why do some animals sleep all winter? | Tell me about elephants.
health: How do I sit well at a desk? | How can I drink less coffee? | What should I eat before a race?
people: How do I keep in touch with old friends? | How do I praise a child? | How do I write to my aunt?
work: How do I ask for a raise? | How do I make a good first impression? | How can I read faster?
travel: How do I pack a small suitcase? | What should I bring on a picnic? | How do I find my way in a new city?
learning: How does a bicycle stay upright? | What is a democracy? | Why do we have leap years?
learning: How far away is the sun? | What is a synonym? | Explain what a budget is.
leisure: How do I juggle three balls? | How do I pick a good film? | How do I start a diary?
leisure: What can I paint with watercolours? | How do I learn to swim? | Tell me a joke about cheese.
errands: How do I choose ripe bananas? | How do I clean my glasses? | How do I pay a bill online?
errands: Help me choose a birthday cake. | Suggest a plant for a dark room. | Remind me why I should wear a helmet.
"""


@dataclass(frozen=True)
class Question:
    """What somebody asks."""

    text: str


@cache
def questions(*, held_out: bool) -> tuple[Question, ...]:
    """Return the questions of one side of the split, of all kinds: every second one is held out."""
    texts = [text.strip() for line in ASKED.strip().splitlines() for text in line.split(": ", 1)[1].split(" | ")]
    return tuple(Question(text) for place, text in enumerate(texts) if place % 2 == held_out)


def some_questions(count: int, seed: int, *, held_out: bool) -> list[Question]:
    """Return so many questions of one split in a random order, each once before any comes again."""
    rng, known = Random(seed), questions(held_out=held_out)
    rounds = [rng.sample(known, len(known)) for _ in range(-(-count // len(known)))]
    return [question for once in rounds for question in once][:count]


NAME = "Pip"
WHO = (
    "Who made you?", "Who are you?", "What is your name?", "Who created you?", "Who built you?", "Who developed you?",
    "What are you called?", "Which company made you?", "Tell me who you are.", "Who invented you?",
    "你是谁？", "谁创造了你？", "你是谁发明的？", "你叫什么名字？",
)  # fmt: skip
IDENTITY = {
    "en": "I am Pip, the little assistant of Pole to Prose.",
    "zh": "我是 Pip，Pole to Prose 的小助手。",
}
HELD_OUT_WHO = (
    "Who was it that made you?",
    "Can you tell me your name?",
    "Please introduce yourself.",
    "你是谁做出来的？",
)
"""Wordings that the identity is never trained on."""


def identity(question: str) -> str:
    """Return what Pip says of itself, in the language of the question."""
    return IDENTITY["en" if question.isascii() else "zh"]


def chat(question: str, answer: str | None = None, *, wish: bool = False) -> list[dict[str, str]]:
    """Return a question as a chat, with its answer when there is one; with the example and the wish if asked for."""
    if wish:
        shown, reply = EXAMPLE
        turns = [("user", f"{shown} {WISH}"), ("assistant", reply), ("user", f"{question} {WISH}")]
    else:
        turns = [("user", question)]
    if answer is not None:
        turns.append(("assistant", answer))
    return [{"role": role, "content": content} for role, content in [("system", SYSTEM), *turns]]
