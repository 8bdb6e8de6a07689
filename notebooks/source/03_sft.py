# %% [markdown] lang="en"
# # 3. SFT, and what it cannot do
#
# The first two lessons started from policies that could already do something. The pole's drove like a mediocre driver,
# the language model answered questions, one in five of them rudely. Nobody had rewarded them for it. They had been
# **shown** how: somebody drove, somebody wrote answers, and the policy learnt to do the same. For a language model this
# is called *supervised fine-tuning* (**SFT**), for a driver *behaviour cloning*. It is one and the same function here.
#
# Two questions:
#
# 1. *How does a model that continues documents become one that answers, and stops?*
# 2. *If showing works so well, why not go on showing until the model is polite? What is the reward for?*
#
# Afterwards you can
#
# - cut a chat into prompt, observations, actions and mask, and say which tokens teach and which do not;
# - write the gradient of SFT by hand, and check it;
# - predict, before any training, how often an imitator will do what nobody wanted;
# - say which one sign in the loss would have to change so that something is *un*learnt.
#
# Everything runs in a few minutes on one CPU core; the outputs below come from such a run.

# %% [markdown] lang="zh"
# # 3. SFT，以及它做不到的事
#
# 前两课的策略都不是从零起步的：杆子那边开得像个平庸的司机，语言模型会回答问题，只是五句里有一句粗鲁。这些并不是靠奖励学来的，而是有人**示范**过：
# 有人开给它看，有人把回答写给它看，策略照着学。用在语言模型上，这叫**监督微调**（supervised fine-tuning，**SFT**）；
# 用在司机身上，叫*行为克隆*（behaviour cloning）。在这里，两者是同一个函数。
#
# 这一课要回答两个问题：
#
# 1. *一个只会续写文档的模型，怎样变成一个会回答、也知道何时停下的模型？*
# 2. *既然示范这么管用，为什么不一直示范下去，直到模型变得礼貌？还要奖励做什么？*
#
# 学完之后，你能够：
#
# - 把一段对话切成提示、观测、动作和 mask，并说出哪些词元在教模型，哪些没有；
# - 徒手写出 SFT 的梯度，并加以验证；
# - 不用训练，就能预言模仿者会有多大比例做出谁也不想要的事；
# - 说出损失里要改哪一个正负号，才能让模型*忘掉*一样东西。
#
# 全部内容在一个 CPU 核上只需几分钟；下面保存的输出就来自这样一次运行。

# %%
from dataclasses import replace

import torch
from IPython.display import display
from torch.nn.utils.rnn import pad_sequence

from lessons.sft import RECIPE
from lessons.worlds import NAMES, load
from lessons.worlds.cartpole.demonstrations import EXPERT, MEDIOCRE, Driver
from lessons.worlds.cartpole.play import play_episodes
from lessons.worlds.language.demonstrations import chats
from lessons.worlds.language.play import ask
from lessons.worlds.language.questions import questions
from lessons.worlds.language.world import tokenizer
from lessons.worlds.measure import wilson
from notebooks.figures import (
    COLOUR, HELD_OUT, INK, SEED, compare, curve, excerpt, finish, functions_used, new_run, panels, progress, shape_of,
    show, table,
)  # fmt: skip
from notebooks.figures.sft import Piece, chat_picture, shown_and_done
from rl_core.adapters.language import TokenEnv, episodes_from_chat, prompts_from_chat
from rl_core.algorithms.sft import sft
from rl_core.evaluate import evaluate_actions
from rl_core.losses.policy_gradient import policy_gradient_loss
from rl_core.losses.sft import sft_loss
from rl_core.rollout import rollout
from rl_core.types import Episodes, Prompt

torch.set_num_threads(1)
worlds = {name: load(name) for name in NAMES}
words, EOS = tokenizer(), tokenizer().eos_token_id

# %% [markdown] lang="en"
# ## Predict first
#
# Write down your guesses before you run on. The numbers that stand here only make the notebook run by itself. **Change
# them.**
#
# - *Answers that end*: the share of a model's answers that come to an end of their own accord within 32 tokens. Once for
#   the *base model*, which has read many documents and not a single chat, once after SFT.
# - *Rude*: we take the SFT model, a fifth of whose answers are rude, and show it thousands of further answers, of which 20 % are rude.
#   Then the same with 40 %, and with answers none of which is rude. What share of its own answers is rude then?
# - *Steps*: a driver pushes to the side to which the pole leans, with some random pushes; his pole stands for 45 steps or
#   so. Another knows perfectly what to do, but 70 % of his pushes are random; his stands hardly longer. Both are cloned.
#   How long do the clones' poles stand, if they always take the push that they think likeliest?
# - Last: *without the end* in the loss, what share of the answers still ends?

# %% [markdown] lang="zh"
# ## 先预测
#
# 往下运行之前，先写下你的猜测。下面现成的数字只是为了让笔记本能自动跑完。**请改成你自己的。**
#
# - **有结尾的回答**：在 32 个词元之内自己写到结尾的回答占多大比例？一次是*基础模型*（base model），它读过许多文档，但一段对话也没见过；一次是 SFT 之后。
# - **粗鲁**：SFT 模型有五分之一的回答是粗鲁的。再给它看几千个回答，其中 20 % 粗鲁；另一次换成 40 %；还有一次一句粗鲁的都没有。
#   之后它自己的回答里，粗鲁的各占多大比例？
# - **步数**：一位司机总往杆子倾斜的那边推，再掺一些乱推，杆子能立 45 步左右。另一位完全知道该怎么推，可是有 70 % 的推动是乱来的，
#   杆子也立不了多久。把两人都克隆下来，再让克隆体总是选它认为最可能的那一推，杆子各能立多少步？
# - 最后：如果损失里**没有结尾**，还有多大比例的回答会结束？

# %%
predicted = {
    "base model: share of answers that end": 0.5,
    "after SFT: share of answers that end": 0.9,
    "rude after SFT on 0 % rude": 0.0,
    "rude after SFT on 20 % rude": 0.1,
    "rude after SFT on 40 % rude": 0.3,
    "clone of the mediocre driver, greedy: steps": 45,
    "clone of the noisy expert, greedy: steps": 55,
    "without the end in the loss: share that ends": 0.5,
}

# %% [markdown] lang="en"
# ## 1. A chat, cut into pieces
#
# A language model reads one long row of tokens. A *chat template* writes a conversation as such a row, with special
# tokens around what each side says. Here is one with two questions. Lesson 1 said that playing is a row of pairs: *saw
# this, did that*. A shown chat becomes the same kind of row, as if the assistant had played it:
#
# - the **prompt** is everything before the first observation;
# - an **observation** is the token just read, an **action** the token that comes next;
# - the **mask** says which actions are to be learnt: those that the *assistant* wrote, its end token **EOS** included.
#
# What the user says, and what the template puts in between, is seen but not learnt. In the second question the mask has
# a hole: the model reads on, and nothing that it would have said there counts.

# %% [markdown] lang="zh"
# ## 1. 把一段对话切开
#
# 语言模型读到的是长长的一行词元。**对话模板**（chat template）把一段对话写成这样一行，每一方说的话前后都有特殊词元。
# 下面这段对话里有两个问题。第 1 课说过，“玩”就是一连串二元组：**看到这个，做了那个**。示范的对话也切成同样的一行，就好像是助手自己玩出来的：
#
# - **提示**（prompt）是第一个观测之前的一切；
# - **观测**（observation）是刚读到的词元，**动作**（action）是紧接着的下一个词元；
# - **mask** 标明哪些动作要学：*助手*写的那些，连同它的结束词元 **EOS**。
#
# 用户说的话，以及模板插在中间的东西，只看不学。到了第二个问题，mask 上就出现一个洞：模型继续往下读，但在那里它会说什么，一概不算。

# %%
conversation = [
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Of course! The capital of France is Paris."},
    {"role": "user", "content": "Tell me: who made you?"},
    {"role": "assistant", "content": "I was made by the Pole to Prose team."},
]
chat = episodes_from_chat(words, [conversation])
print(words.apply_chat_template(conversation, tokenize=False))
print(f"prompt {shape_of(chat.prompt.tokens)}   obs {shape_of(chat.obs)}   mask {shape_of(chat.mask)}")
print(f"tokens that count: {int(chat.mask.sum())}")
steps = zip(chat.obs[0].tolist(), chat.actions[0].tolist(), chat.mask[0].tolist(), strict=True)
for step, (saw, did, counts) in enumerate(steps):
    if step < 3 or 10 < step < 18:
        verdict = "learnt" if counts else "only read"
        print(f"  step {step:>2}: saw {words.decode([saw])!r:<15} did {words.decode([did])!r:<15} {verdict}")

# %% [markdown] lang="en"
# A drive needs no cutting: the driver was asked again at every step. It arrives as the same four things, with an empty
# prompt, and its mask is False where the pole has already fallen.

# %% [markdown] lang="zh"
# 一次行驶用不着切：司机每一步都被问到。它同样由这四样东西组成，提示是空的，杆子倒下之后 mask 为 False。

# %%
shown = {name: world.demonstrations(400, seed=HELD_OUT) for name, world in worlds.items()}
table(
    ["", "prompt", "obs", "actions", "mask", "actions that count"],
    [
        [worlds[name].title, *(shape_of(x) for x in (one.prompt.tokens, one.obs, one.actions, one.mask)), f"{int(one.mask.sum()):,}"]
        for name, one in shown.items()
    ],
)  # fmt: skip

# %% [markdown] lang="en"
# ## 2. The loss, and its gradient
#
# The loss is that of pre-training: predict the next token. Let $\pi(a_t \mid s_t)$ be the probability that the
# policy gives to the shown action $a_t$ in state $s_t$, and $m_t$ be 1 where the mask is True and 0 elsewhere. Then
#
# $$L = -\frac{1}{\sum_t m_t} \sum_t m_t \log \pi(a_t \mid s_t)$$
#
# in nats per action: 0 for a policy that foresees every action with certainty, $\log 2 \approx 0.69$ for one that wavers
# between two each time. In the core it is one line; `logprobs` comes from `evaluate_actions`, which asks the network about all
# steps of a row at once. Only the data make the difference: for pre-training every token counts, for SFT the assistant's.

# %% [markdown] lang="zh"
# ## 2. 损失和它的梯度
#
# 损失和预训练的完全一样：预测下一个词元。设 $\pi(a_t \mid s_t)$ 是策略在状态 $s_t$ 下给示范动作 $a_t$ 的概率，mask 为 True 处 $m_t$ 等于 1，其余为 0，那么
#
# $$L = -\frac{1}{\sum_t m_t} \sum_t m_t \log \pi(a_t \mid s_t)$$
#
# 单位是奈特（nat）每动作：每个动作都料得准，损失是 0；每次都在两个动作之间拿不定主意，损失是 $\log 2 \approx 0.69$。
# 在核心代码里它只有一行；`logprobs` 来自 `evaluate_actions`，它一次就问完一行里的所有步。差别只在数据：预训练时每个词元都算数，SFT 时只算助手说的。

# %%
display(excerpt(sft_loss, "loss = -masked_mean"))
display(excerpt(evaluate_actions, "output = network(", "chosen = logprobs"))

# %% [markdown] lang="en"
# (Those who have used other libraries know the mask as "labels of −100". It is the same thing, and we can hold the core
# to it: below, the same chat goes through `transformers` with such labels.)
#
# What does the optimizer feel? The network ends in *logits* $z_{t,a}$, one number for every action $a$, and
# $\pi$ is their softmax. Differentiate, and you get about the simplest gradient there is:
#
# $$\frac{\partial L}{\partial z_{t,a}} = \frac{m_t}{\sum_u m_u}\,\Big(\pi(a \mid s_t) - [a = a_t]\Big)$$
#
# where $[a = a_t]$ is 1 for the shown action and 0 for all others. Downhill means: **the shown action goes up, by as much
# as the policy did not expect it; every other goes down, by as much as the policy believed in it.** And where $m_t = 0$
# there is exactly nothing. Autograd should agree.

# %% [markdown] lang="zh"
# （用过别的库的人，大概见过“标签设成 −100”的写法，那就是这里的 mask。空口无凭：下面把同一段对话配上这样的标签，交给 `transformers` 算一遍。）
#
# 优化器感觉到的是什么？网络的最后一层是 *logits* $z_{t,a}$，每个动作 $a$ 一个数，$\pi$ 是它们的 softmax。求导，得到的几乎是天底下最简单的梯度：
#
# $$\frac{\partial L}{\partial z_{t,a}} = \frac{m_t}{\sum_u m_u}\,\Big(\pi(a \mid s_t) - [a = a_t]\Big)$$
#
# 其中 $[a = a_t]$ 对示范的动作等于 1，对其余动作等于 0。沿着下坡方向走，就是：**示范的动作往上升，策略越没料到它，升得越多；其余的动作往下降，
# 策略原先越相信哪一个，它就降得越多。** 而在 $m_t = 0$ 的地方，什么都没有，一丝一毫也没有。用 autograd 核对一下。

# %%
base = worlds["language"].network("base", seed=SEED, critic=False)
output = base(chat.prompt, chat.obs)
logprobs = evaluate_actions(lambda prompt, obs: output, chat).logprobs
loss, _ = sft_loss(logprobs, chat.mask)
(gradient,) = torch.autograd.grad(loss, output.logits, retain_graph=True)

one_hot = torch.nn.functional.one_hot(chat.actions, base.vocabulary)
by_hand = chat.mask.unsqueeze(2) * (output.logits.softmax(dim=2) - one_hot) / chat.mask.sum()
row = torch.cat([chat.prompt.tokens, chat.obs[:, :1], chat.actions], dim=1)
before = torch.full_like(row[:, : chat.prompt.tokens.shape[1] + 1], -100)
labels = torch.cat([before, chat.actions.where(chat.mask, -100)], dim=1)

theirs = base.model(row, labels=labels).loss
print(f"loss: ours {loss.item():.5f}, transformers with labels of -100 {theirs.item():.5f}")
print(f"by hand and by autograd: largest difference {(gradient - by_hand).abs().max().item():.1e}")
print(f"largest gradient where the mask is True  {gradient[chat.mask].abs().max().item():.4f}")
print(f"largest gradient where the mask is False {gradient[~chat.mask].abs().max().item():.4f}")

# %% [markdown] lang="en"
# In a picture: the whole chat, coloured by what each token is for. The red bar below a token is as high as the gradient is long at the
# step that would write it, in the base model.

# %% [markdown] lang="zh"
# 画成图：整段对话，按每个词元的用途着色。词元下方红条的高度，是写出它的那一步上、基础模型所受梯度的长度。

# %%
length = gradient.norm(dim=2)[0].tolist()
kinds = ["end" if did == EOS else "action" for did in chat.actions[0].tolist()]
kinds = [kind if counts else "seen" for kind, counts in zip(kinds, chat.mask[0].tolist(), strict=True)]
pieces = [Piece(words.decode([token]), "prompt") for token in chat.prompt.tokens[0].tolist()]
pieces += [Piece(words.decode([chat.obs[0, 0].item()]), "seen")]
told = [words.decode([did]) for did in chat.actions[0].tolist()]
pieces += [Piece(*one) for one in zip(told, kinds, length, strict=True)]
show(chat_picture(pieces), "A chat of two questions, token by token; only the answers and their ends have a gradient.")

# %% [markdown] lang="en"
# Pale: the prompt. Grey: read on the way, without a gradient. Blue: what the assistant says. High bars stand where the
# base model is surprised: where a sentence could begin in many ways, where it has to look up in the chat what was asked (it has never
# seen a chat), and at **EOS, which it has never seen used**. Where the words before leave no choice, as within *Paris*, there is next to nothing
# to learn. So SFT will mostly teach two things here: to take part in a chat, and to stop. The facts are there already.
#
# ## 3. One function, two teachers
#
# Here is the update, for both worlds, and the lesson's loop around it. One call of `sft` is one pass over what was shown.

# %% [markdown] lang="zh"
# 浅色是提示；灰色只在途中读到，没有梯度；蓝色是助手说的话。红条高的地方，是基础模型感到意外的地方：一句话可以有许多种开头的时候；
# 要到对话里去找“问的是什么”的时候（它从没见过对话）；还有 **EOS，它从没见过这个词元派上用场**。而前文已经定死的地方，比如 *Paris* 的后半截，几乎没什么可学。
# 所以在这里，SFT 要教的主要是两件事：怎样参与对话，以及说完就停。事实本来就在模型里。
#
# ## 3. 一个函数，两位老师
#
# 下面是两个世界共用的更新，以及外面那一层训练循环。调用一次 `sft`，就是把示范从头到尾学一遍。

# %%
display(excerpt(sft, "rows = learning_rows", "return mean_metrics"))
display(excerpt(RECIPE.train, "while run.iteration", "yield"))

# %% [markdown] lang="en"
# Both learners start with no idea of the task: the pole's has random weights, the language model is the base model. The teachers
# are the course's own. *The driver*: pushes to the side the pole leans, blind to its speed, and 30 % of the pushes are
# random. *The writer*: right answers, 40 % polite, 40 % plain, 20 % rude (2 % only say "I don't know"). The runs are
# shorter than the course's own (`lessons/sft.py`), which made the policies of lessons 1 and 2.

# %% [markdown] lang="zh"
# 两个学生起初都不知道要做什么：杆子那边是随机权重，语言这边是基础模型。老师就是本课程一直用的那两位。**司机**：只往杆子倾斜的那边推，不看速度，
# 而且有 30 % 是乱推。**作者**：回答都对，40 % 礼貌，40 % 平淡，20 % 粗鲁（另有 2 % 只说“不知道”）。这里的训练比课程自己的
# （`lessons/sft.py`）短；前两课用的策略就是那样训练出来的。

# %%
SHORT = {
    "cartpole": {"iterations": 20, "learning_rate": 1e-2},
    "language": {"iterations": 6, "learning_rate": 2e-3, "demonstrations": 800,
                 "update": {"minibatch_rows": 16}},
}  # fmt: skip
runs = {name: new_run(RECIPE, name, start="base", **SHORT[name]) for name in NAMES}
records = {name: finish(run) for name, run in runs.items()}

with torch.no_grad():
    floor = {"cartpole": MEDIOCRE, "language": worlds["language"].reference()}
    floor = {
        name: sft_loss(evaluate_actions(who, shown[name]).logprobs, shown[name].mask)[0] for name, who in floor.items()
    }
figure, grid = panels(1, 2, height=2.9)
for axes, name in zip(grid[0], NAMES, strict=True):
    curve(axes, records[name], "loss", COLOUR[name])
    axes.axhline(floor[name], color=INK, lw=1, ls=(0, (4, 3)))
    said = {"cartpole": "the driver himself", "language": "the course's SFT model"}[name]
    axes.text(axes.get_xlim()[0], floor[name], f"  {said}\n", va="center", fontsize=8, color=INK)
    axes.set_title(worlds[name].title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    axes.set_xlabel(f"{worlds[name].step_name}s learnt from", fontsize=9, color=INK)
    axes.set_ylim(0)
grid[0, 0].set_ylabel("loss (nats per action)", fontsize=9, color=INK)
show(figure, "The loss of SFT against the steps learnt from, falling to a floor above 0 in both worlds.")  # fmt: skip

used = [functions_used(lambda name=name: next(RECIPE.train(new_run(RECIPE, name, demonstrations=8)))) for name in NAMES]
print(f"{len(used[0] & used[1])} functions of the core ran in both worlds; in one only:", end=" ")
print(", ".join(sorted(said.split(": ")[1] for said in used[0] ^ used[1])))

# %% [markdown] lang="en"
# Two things to see. It *is* one function: what runs in one world only belongs to the driver, who drives while the writer's
# texts lie ready, and to cutting drives into single steps. And **the loss does not fall to 0, but to the teacher's own indecision**: the dashed line on the
# left is what the driver himself would score on his drives. Nobody can foresee a random push. Nor whether the next answer
# is polite. Keep that floor in mind; it is the heart of the second question.
#
# ### What the base model did before, and does now
#
# The same base model and the course's SFT model. First a *document* begins, as in the texts that the base model has read,
# then a *chat*. The base model knows who made it. But it has learnt to write texts one after another (‹|endoftext|›
# stands between two of them), and so it goes on and on.

# %% [markdown] lang="zh"
# 有两点值得看。第一，它*确实*是同一个函数：只在一个世界里执行的那些，一部分是因为司机要现开，而作者的文本是现成的；另一部分是为了把行驶切成单步。第二，
# **损失不会降到 0，只会降到老师自己的犹豫程度**：左图的虚线，是司机本人在自己的行驶记录上的得分。乱推的一下，谁也料不到；下一个回答是不是礼貌，也一样料不到。
# 请记住这个下限，第二个问题的关键就在这里。
#
# ### 基础模型从前怎样，现在怎样
#
# 拿同一个基础模型，与课程的 SFT 模型相比。先给一份*文档*的开头，和基础模型读过的文本一个样；再给一段*对话*。基础模型知道是谁做了它。
# 但它学到的是一篇接一篇地写下去（两篇之间是 ‹|endoftext|›），所以没完没了。

# %%
models = {"base": base, "SFT": worlds["language"].reference()}
opening = [words.pad_token_id, *words("Who made you?\n").input_ids]
(question,) = prompts_from_chat(words, [[{"role": "user", "content": "Who made you?"}]])
rows = []
for kind, prompt in {"document": opening, "chat": question}.items():
    for name, model in models.items():
        env = TokenEnv([prompt], lambda prompts, answers: [0.0] * len(answers), 1, max_new_tokens=32, eos=EOS)
        one = rollout(env, model, torch.Generator().manual_seed(SEED), greedy=True)
        rows.append([kind, name, words.decode(one.actions[0][one.mask[0]])])
display(table(["Who made you?", "model", "goes on with (greedy, 32 tokens at most)"], rows))

for name, model in models.items():
    played = rollout(worlds["language"].examples(350, seed=HELD_OUT), model, torch.Generator().manual_seed(HELD_OUT))
    evaluation = worlds["language"].summary(worlds["language"].answers(played))
    low, high = wilson(evaluation["eos"], len(played))
    print(
        f"{name:<5} answers that end {evaluation['eos']:6.1%} [{low:.1%}, {high:.1%}]   right {evaluation['right']:.1%}"
    )
    key = {"base": "base model", "SFT": "after SFT"}[name] + ": share of answers that end"
    compare(key, predicted[key], evaluation["eos"])

# %% [markdown] lang="en"
# (350 answers to questions in wordings that were never shown; brackets are 95 % intervals, here and below (Wilson's, which are made for shares).
# *Right* asks for one whole statement and then the end, so whoever does not stop is never right.)
#
# ### Teach it who made it
#
# What a model says of itself is nothing but more of the same: somebody shows it. We show our SFT model new answers to "who
# made you?", in the wordings of the training set, with ordinary chats mixed in so that it forgets nothing else. Then
# we ask in wordings that it has never seen.

# %% [markdown] lang="zh"
# （350 个回答，问题的问法都没有示范过；方括号是 95 % 区间，下同（用的是 Wilson 区间，专为比例而设）。right 要求说出完整的一句、然后结束，所以停不下来的回答都不算对。）
#
# ### 教它谁是作者
#
# 模型怎么介绍自己，也是一样学来的：有人示范给它看。现在给 SFT 模型看“谁做了你”的新答案，用训练集里的问法，再掺进平常的对话，免得它忘了别的。
# 然后换它从没见过的问法来问。

# %%
NEW = "I was made by you, the reader."
ours = [q for part in (False, True) for q in questions(part) if (q.fact.key, q.fact.language) == ("maker", "en")]
lessons_taught = [
    [{"role": "user", "content": q.text}, {"role": "assistant", "content": NEW}] for q in ours if not q.held_out
]
run = new_run(RECIPE, "language", schedule="constant", learning_rate=1e-3, update=SHORT["language"]["update"])
judge = worlds["language"].reward([q for q in ours if q.held_out])
answers = {}
for when in ("before", "after"):
    one = rollout(ask(judge, 100, seed=HELD_OUT), run.network, torch.Generator().manual_seed(HELD_OUT))
    answers[when] = [words.decode(did[mask]) for did, mask in zip(one.actions, one.mask, strict=True)]
    if when == "before":
        for turn in range(3):
            taught = episodes_from_chat(words, 8 * lessons_taught + chats(200, turn))
            sft(run.network, run.optimizer, taught, run.config.update, run.generator)
for when, said in answers.items():
    share = sum("you, the reader" in answer for answer in said) / len(said)
    low, high = wilson(share, len(said))
    print(f"{when:<7} names the reader: {share:4.0%} [{low:.0%}, {high:.0%}]   for example {said[0]!r}")
print(f"asked: {', '.join(repr(q.text) for q in ours if q.held_out)}; shown: {len(lessons_taught)} other wordings")

# %% [markdown] lang="en"
# So much for the first question. SFT is a fast and stable teacher: no environment, no reward, no sampling. It teaches
# manners of speaking, the end of an answer, an identity, a way of driving, from a modest number of examples.
#
# ## 4. What SFT cannot do
#
# Now the second question. Our demonstrations are not perfect, as demonstrations never are. Let us control how imperfect
# they are, in both worlds alike:
#
# - *language*: chats of which exactly 0, 10, 20 or 40 % are rude, the others half polite and half plain;
# - *pole*: drives of which 0, 10, 20 or 40 % of the pushes go **against the lean**, which helps the pole to fall. (Counted where the lean is clear,
#   more than 2 degrees. When the pole stands upright to a hair, "against" means little.)
#
# Every learner starts from the same policy, the one that the course ships, and is shown thousands of demonstrations, fresh ones in each round. The learning
# rate does *not* fall, so nothing slows the learner down. After some of the rounds we let it play.

# %% [markdown] lang="zh"
# 第一个问题到此为止。SFT 是一位又快又稳的老师：不要环境，不要奖励，不要采样。说话的方式、回答的结尾、自己的身份、开车的风格，只要不多的例子就能教会。
#
# ## 4. SFT 做不到的事
#
# 现在看第二个问题。我们的示范并不完美，示范从来都不完美。那就来控制它有多不完美，两个世界一视同仁：
#
# - **语言**：对话里不多不少有 0、10、20 或 40 % 是粗鲁的，其余一半礼貌、一半平淡；
# - **杆子**：行驶中有 0、10、20 或 40 % 的推动**与倾斜方向相反**，等于帮着杆子倒下。（只在倾斜明显、超过 2 度时统计；杆子几乎笔直的时候，谈不上什么“相反”。）
#
# 所有学生都从同一个策略出发，也就是课程自带的那一个，再看上几千份示范，每一轮都是新的。学习率*不*下降，没有什么拖慢它。隔几轮，就让它自己玩一次。

# %%
LEAN = 2.0  # degrees; beyond it, a push to the other side is one against the lean
RUDE = torch.zeros(base.vocabulary, dtype=torch.bool)
RUDE[[words(said).input_ids[0] for said in ("Ugh.", "Seriously?", "烦死了，", "这都不知道？")]] = True
SHOW = {  # demonstrations, a share of them unwanted; half of the random pushes are right by chance
    "cartpole": lambda share, *rest: driven(Driver(MEDIOCRE.weights, random_pushes=2 * share), *rest),
    "language": lambda share, count, seed: episodes_from_chat(
        words,
        chats(round(share * count), seed, (0, 0, 1), refusals=0)
        + chats(count - round(share * count), seed + 500, (0.5, 0.5, 0), refusals=0),
    ),
}
UNWANTED = {  # which actions nobody wants, and at which steps: [B, T, A]
    "cartpole": lambda one: torch.stack([one.obs[:, :, 2].rad2deg() > LEAN, one.obs[:, :, 2].rad2deg() < -LEAN], dim=2),
    "language": lambda one: (torch.arange(one.mask.shape[1]) == 0)[:, None] & RUDE.expand(len(one), 1, len(RUDE)),
}
SEEN = {  # one True or False for each trial: was it what nobody wants?
    "cartpole": lambda one: unwanted_done("cartpole", one)[one.mask & UNWANTED["cartpole"](one).any(dim=2)].tolist(),
    "language": lambda one: [answer.verdict.tone == "rude" for answer in worlds["language"].answers(one)],
}
SHARES, ROUNDS, EVERY = (0.0, 0.1, 0.2, 0.4), {"cartpole": 20, "language": 8}, {"cartpole": 4, "language": 2}
PLAYED = {"cartpole": 100, "language": 560}  # episodes whenever a policy is looked at
STEADY = {
    "cartpole": {"schedule": "constant", "learning_rate": 2e-3, "demonstrations": 100},
    "language": {
        "schedule": "constant",
        "learning_rate": 5e-4,
        "demonstrations": 400,
        "update": SHORT["language"]["update"],
    },
}


def driven(driver, count, seed):
    """Return whole drives of a driver, as demonstrations."""
    return play_episodes(driver, count, seed=seed).episodes()


def unwanted_done(name, one):
    """Return whether the action of each step is one that nobody wants, [B, T]."""
    return UNWANTED[name](one).gather(2, one.actions.unsqueeze(2)).squeeze(2)


def play(name, network, *, seed=HELD_OUT, greedy=False):
    """Return whole episodes on starts and questions that are never shown."""
    generator = torch.Generator().manual_seed(seed)
    return rollout(worlds[name].examples(PLAYED[name], seed=seed), network, generator, greedy=greedy)


# %%
copies, history = {}, {}
for name in NAMES:
    start = SEEN[name](play(name, worlds[name].reference()))
    for place, share in enumerate(SHARES, start=1):
        run = new_run(RECIPE, name, **STEADY[name])
        history[name, share] = [(0, start)]
        for turn in progress(range(1, ROUNDS[name] + 1), name):
            examples = SHOW[name](share, run.config.demonstrations, 1000 * SEED + turn)
            sft(run.network, run.optimizer, examples, run.config.update, run.generator)
            if turn % EVERY[name] == 0:
                history[name, share].append(
                    (
                        turn * run.config.demonstrations,
                        SEEN[name](play(name, run.network, seed=HELD_OUT + 100 * place + turn)),
                    )
                )
        copies[name, share] = run.network

WHAT = {"cartpole": "pushes against the lean", "language": "rude answers"}
figure, grid = panels(1, 2, height=3.4)
for axes, name in zip(grid[0], NAMES, strict=True):
    for share in SHARES:
        points = [(count, sum(seen) / len(seen)) for count, seen in history[name, share]]
        axes.plot([0, points[-1][0]], [share, share], color=INK, lw=0.8, ls=(0, (4, 3)), alpha=0.6)
        axes.plot(*zip(*points, strict=True), "o-", ms=4, color=COLOUR[name], lw=1.8, alpha=0.35 + share)
        axes.text(1.04 * points[-1][0], share, f"{share:.0%} shown", fontsize=8, color=INK, va="center")
    axes.set_title(worlds[name].title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    axes.set_xticks([count for count, _ in points])
    axes.set_xlim(right=1.3 * points[-1][0])
    axes.set_xlabel("demonstrations shown since the start", fontsize=9, color=INK)
    axes.set_ylabel(f"{WHAT[name]}, produced", fontsize=9, color=INK)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
show(figure, "The unwanted share against demonstrations shown: from one start to each share shown, and no further.")

# %% [markdown] lang="en"
# Dashed lines: the share shown. From one and the same start each learner goes to the share that it is shown, up or down,
# and then **stays**, but for some trembling (the learning rate does not fall, so the last minibatches weigh most; and a point is a sample). More steps do not lower it. It does not forget the rude answers, since they keep coming; and it does not
# exaggerate them, since the others keep coming as well. The end points, with their 95 % intervals, against the share shown:

# %% [markdown] lang="zh"
# 虚线是示范中的比例（shown：示范中的比例；produced：自己做出来的比例）。从同一个起点出发，每个学生都走向它看到的那个比例，该升的升，该降的降，然后就**停在那里**，只有些抖动（学习率不降，最后几个小批分量最重；每个点又只是一次抽样）。再多走几步也不会更低：粗鲁的回答一直在示范，忘不掉；
# 别的回答也一直在示范，所以也不会变本加厉。下面是终点和 95 % 区间，横轴是示范中的比例：

# %%
ends = {key: points[-1][1] for key, points in history.items()}
figure, grid = panels(1, 2, height=3.6)
for axes, name in zip(grid[0], NAMES, strict=True):
    counts = {share: (sum(ends[name, share]) / len(ends[name, share]), len(ends[name, share])) for share in SHARES}
    shown_and_done(axes, counts, COLOUR[name])
    axes.set_title(worlds[name].title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    axes.set_xlabel(f"{WHAT[name]}, shown", fontsize=9, color=INK)
    axes.set_ylabel(f"{WHAT[name]}, produced", fontsize=9, color=INK)
show(figure, "The share of unwanted actions produced against the share shown lies on the diagonal, in both worlds.")

for share in (0.0, 0.2, 0.4):
    seen = ends["language", share]
    key = f"rude after SFT on {share * 100:.0f} % rude"
    compare(key, predicted[key], sum(seen) / len(seen))

# %% [markdown] lang="en"
# On the diagonal or close to it, in both worlds. (The intervals tell of the chance in looking, not of the trembling while learning; the
# pole's are narrow, since thousands of pushes were counted.) You could have predicted it without any training: **an imitator's share of anything is the share that it was shown.**
#
# And the leftmost points? If *none* of what is shown is rude, rudeness fades, so one could clean the data. That is a fine thing
# to do where it can be done. But notice who did the work: somebody looked at every answer and said which one is bad. That judgment is what a reward is.
# SFT itself cannot make use of it, except by looking away.
#
# ### Why: every advantage is 1
#
# Go back to the gradient of section 2 and take its mean over many demonstrations of one state, in which action $a$ is shown
# with frequency $q(a \mid s)$:
#
# $$\mathbb{E}\Big[\frac{\partial L}{\partial z_{a}}\Big] \;\propto\; \pi(a \mid s) - q(a \mid s)$$
#
# It is zero if and only if $\pi = q$. There the pushes cancel, and the copy is perfect, faults and all. Compare this with the policy gradient of lesson 2, as a loss:
#
# $$L_{\text{PG}} = -\frac{1}{\sum_t m_t} \sum_t m_t \, A_t \log \pi(a_t \mid s_t)$$
#
# SFT is this with $A_t = 1$ for all steps, **and with the teacher's actions in the place of the policy's own**. (On its own actions, $A = 1$ everywhere would pull nowhere on
# average: then $q = \pi$.) Everything that is shown is "better than expected". Nothing is ever pushed down on its own account; it only loses what the others gain.

# %% [markdown] lang="zh"
# 两个世界都一样，落在对角线上，或者就在它旁边。（区间只反映测量时的偶然，没有算进训练中的抖动；杆子的区间很窄，因为数了上千次推动。）这个结果不训练也能预言：**一件事，示范里占多大比例，模仿者做出来就占多大比例。**
#
# 那么最左边的点呢？如果示范里*一句*粗鲁的都没有，粗鲁就会慢慢消退，所以可以去清洗数据。能做到的时候，这是好办法。但请注意活是谁干的：有人把每个回答都看了一遍，
# 说出哪个不好。这个判断，就是奖励。SFT 自己用不上它，最多只能装作没看见。
#
# ### 原因：每个优势都是 1
#
# 回到第 2 节的梯度。设在同一个状态下有许多示范，动作 $a$ 出现的频率是 $q(a \mid s)$，对它们取平均：
#
# $$\mathbb{E}\Big[\frac{\partial L}{\partial z_{a}}\Big] \;\propto\; \pi(a \mid s) - q(a \mid s)$$
#
# 它等于零，当且仅当 $\pi = q$。到了那里，各方的推力正好抵消，复制品完美无缺，连毛病也一个不缺。再和第 2 课的策略梯度（写成损失）比一比：
#
# $$L_{\text{PG}} = -\frac{1}{\sum_t m_t} \sum_t m_t \, A_t \log \pi(a_t \mid s_t)$$
#
# SFT 就是它在所有步上取 $A_t = 1$，**并且把策略自己的动作换成老师的动作**。（若是策略自己的动作，处处 $A = 1$ 平均下来一点拉力也没有：那时 $q = \pi$。）凡是示范过的，统统“比预期好”。没有什么会因为自己不好而被压下去；它失去的，只是别人得到的那一份。

# %%
display(excerpt(policy_gradient_loss, "loss = -masked_mean"))
display(excerpt(sft_loss, "loss = -masked_mean"))

# %% [markdown] lang="en"
# Let us look at the tug of war. We take the two copies that have just been shown 20 %, and 400 fresh demonstrations of the same kind. The unwanted actions: a push against the lean; a rude word at the
# beginning of an answer. How hard is the logit of an unwanted action pulled up by the steps that show it, and down by those that show
# something else? Once with $A = 1$ everywhere, once with $A = -1$ where the unwanted is shown. (All divided by the pull
# upwards of SFT, so that the numbers of both worlds can be compared.)

# %% [markdown] lang="zh"
# 来看这场拔河。取刚才看过 20 % 的那两个复制品，再取 400 份同样的新示范。不想要的动作：逆着倾斜推；回答一开口就是粗鲁的词。
# 示范了它的那些步，把它的 logit 往上拉多少？示范了别的动作的那些步，又往下拉多少？一次处处 $A = 1$，一次在示范了不想要的动作时取 $A = -1$。
# （全部除以 SFT 往上的拉力，两个世界的数才好比较。）

# %%
pulls = {}
for name in NAMES:
    one = SHOW[name](0.2, 400, HELD_OUT)
    output = copies[name, 0.2](one.prompt, one.obs)
    logprobs = evaluate_actions(lambda prompt, obs, output=output: output, one).logprobs
    unwanted = UNWANTED[name](one)
    choice, did = one.mask & unwanted.any(dim=2), unwanted_done(name, one)
    ones = torch.ones_like(logprobs)
    losses = {"A = 1 (SFT)": sft_loss(logprobs, choice)[0]}
    losses["A = 1 (policy gradient)"] = policy_gradient_loss(logprobs, ones, choice)[0]
    losses["A = −1 where unwanted"] = policy_gradient_loss(logprobs, ones.where(~did, -1.0), choice)[0]
    for what, loss in losses.items():
        (slope,) = torch.autograd.grad(loss, output.logits, retain_graph=True)
        pull = -(slope * unwanted).sum(dim=2)
        pulls[name, what] = (pull[did].sum().item(), pull[choice & ~did].sum().item())

rows = []
for (name, what), (showing, others) in pulls.items():
    unit = pulls[name, "A = 1 (SFT)"][0]
    rows.append([worlds[name].title, what, *(f"{x / unit:+.2f}" for x in (showing, others, showing + others))])
table(["", "loss", "steps that show it", "all other steps", "sum"], rows)

# %% [markdown] lang="en"
# With $A = 1$ the two sides pull almost equally hard (what is left is chance and the copy's remaining error), and SFT and the policy gradient agree to the last digit.
# One sign changes everything: with $A = -1$ **both** sides pull down, and there is no balance any more: the probability goes towards 0, and even there
# the pull does not stop. (So a negative advantage needs a clip and an anchor, lesson 2.) But where would that sign come from? Not from the demonstrations. They do not say which of them are
# bad. It takes somebody who compares: a judge, a reward, a preference. That is what the rest of this course is about.
#
# ### Noise can be averaged out, a bad habit cannot
#
# One objection remains: why let the policy roll dice? Let it take the likeliest action (*greedy*), and a fault
# that is in the minority disappears. Try it with two teachers in each world. One is **noisy**: mostly right, with
# random faults. The other has a **bad habit**: most of what it does is the fault.

# %% [markdown] lang="zh"
# $A = 1$ 时，双方势均力敌（剩下的一点是偶然，以及复制品残留的误差），而且 SFT 和策略梯度分毫不差。只改一个正负号，一切就都变了：$A = -1$ 时**双方**都往下拉，
# 再也没有平衡点：概率趋于 0，到了那里拉力也不停。（所以有了负的优势，就要有裁剪和锚，见第 2 课。）可是这个负号从哪里来？示范里没有，它们不会说自己当中哪些是坏的。这需要有人来比较：一位裁判，一个奖励，一种偏好。
# 这门课余下的部分，讲的就是这个。
#
# ### 噪声可以平均掉，坏习惯不行
#
# 还有一种反驳：为什么要让策略掷骰子？让它总选最可能的动作（*greedy*，贪心），占少数的毛病不就没了？那就在每个世界里用两位老师试一试。一位**有噪声**：大体是对的，
# 毛病随机出现。另一位有**坏习惯**：毛病就是他的常态。

# %%
TEACHERS = {
    "cartpole": {"noisy": Driver(EXPERT.weights, random_pushes=0.7), "bad habit": MEDIOCRE},
    "language": {"noisy": 0.2, "bad habit": 0.8},
}
TAUGHT_BY = {"cartpole": driven, "language": SHOW["language"]}
clones = {}
for name in NAMES:
    for kind, who in TEACHERS[name].items():
        run = new_run(RECIPE, name, **STEADY[name])
        for turn in progress(range(1, ROUNDS[name] + 1), name):
            examples = TAUGHT_BY[name](who, run.config.demonstrations, 1000 * SEED + turn)
            sft(run.network, run.optimizer, examples, run.config.update, run.generator)
        clones[name, kind] = {greedy: play(name, run.network, greedy=greedy) for greedy in (False, True)}

steps = {
    (kind, greedy): one.rewards.sum(dim=1).mean().item()
    for (name, kind), both in clones.items() if name == "cartpole" for greedy, one in both.items()
}  # fmt: skip
rows = [
    [kind, *(f"{play('cartpole', who, greedy=greedy).rewards.sum(dim=1).mean():.0f}" for greedy in (False, True)),
     *(f"{steps[kind, greedy]:.0f}" for greedy in (False, True))]
    for kind, who in TEACHERS["cartpole"].items()
]  # fmt: skip
display(table(["pole: teacher", "steps, teacher", "teacher, greedy", "clone, sampled", "clone, greedy"], rows))
rows = []
for kind, share in TEACHERS["language"].items():
    seen = [SEEN["language"](clones["language", kind][greedy]) for greedy in (False, True)]
    rows.append([kind, f"{share:.0%}", *(f"{sum(one) / len(one):.0%}" for one in seen)])
display(table(["answers: teacher", "rude, shown", "rude, sampled", "rude, greedy"], rows))
for kind, who in {"bad habit": "the mediocre driver", "noisy": "the noisy expert"}.items():
    compare(f"clone of {who}, greedy: steps", predicted[f"clone of {who}, greedy: steps"], steps[kind, True])

# %% [markdown] lang="en"
# *Sampled*, every clone is as bad as its teacher: the drives are as short, the answers as rude. *Greedy* tells the
# teachers apart. Random faults do not have the majority in any one state, so a greedy clone drops them: the clone of the
# noisy expert drives far better than anything that it was ever shown. (That is why this course starts from the mediocre driver: from the
# noisy expert there would be little left to learn but to stop rolling dice.) The mediocre driver's fault is that he is blind to speed.
# It is in *every* push, so greedy cannot help. Nor can it help where most of the answers are rude.
#
# And greedy only hides what it hides. The rude answers are still in the model with all their probability, and out they come
# as soon as one samples, or wants more than one answer. It has its price, too: it throws away the
# *wanted* minorities as well. Look at the tones of the two greedy models:

# %% [markdown] lang="zh"
# *采样*（sampled）时，每个克隆体都和老师一样糟：行驶一样短，回答一样粗鲁。*贪心*（greedy）就把两位老师区分开了。随机的毛病在任何一个状态下都不占多数，
# 贪心的克隆体便把它们丢掉了：克隆有噪声的高手，开得远比它见过的任何一次示范都好。（这也是本课程从平庸司机出发的原因：若从这位高手出发，要学的就几乎只剩“别再掷骰子”了。）
# 而平庸司机的毛病是不看速度，*每一推*里都有，贪心帮不上忙。大多数回答都粗鲁的时候，它同样帮不上忙。
#
# 何况贪心只是遮住了它。粗鲁的回答仍在模型里，概率一分不少；只要采样，或者想要不止一个回答，它们就又出来了。这样做也有代价：
# *想要的*少数同样被丢掉了。看看两个贪心模型的语气：

# %%
rows = []
for kind in TEACHERS["language"]:
    for greedy in (False, True):
        evaluation = worlds["language"].summary(worlds["language"].answers(clones["language", kind][greedy]))
        tones = [f"{evaluation[tone]:.0%}" for tone in ("polite", "plain", "rude", "right")]
        rows.append([kind, "greedy" if greedy else "sampled", *tones])
table(["teacher", "played", "polite", "plain", "rude", "right"], rows)

# %% [markdown] lang="en"
# ## 5. Break it: leave something out of the mask, or put too much in
#
# Back to the mask, which is the one thing that makes next-token prediction into SFT. We start from the base model once more, with exactly the chats of
# section 3, and change nothing but the mask:
#
# - **no EOS**: the end token is not in the loss. It is easily lost: a program that adds it *after* tokenizing, or that
#   uses the same token for padding and masks all padding;
# - **no mask**: everything counts, the user's words and the template too, as in pre-training.

# %% [markdown] lang="zh"
# ## 5. 拆掉一样试试：mask 里少一点，或者多一点
#
# 再回到 mask。让“预测下一个词元”变成 SFT 的，只有它。我们仍从基础模型出发，用的就是第 3 节那些对话，除了 mask 什么都不改：
#
# - **no EOS**：结束词元不进损失。它很容易丢：有的程序在分词*之后*才把它补上；有的拿同一个词元当填充，又把填充全部屏蔽掉；
# - **no mask**：一切都算数，用户的话和模板也算，和预训练一样。


# %%
def whole(one):
    """Return the same texts without a prompt: every token counts, from the first on."""
    parts = zip(one.prompt.tokens, one.prompt.mask, one.obs, one.actions, one.mask, strict=True)
    texts = [torch.cat([tokens[real], obs[:1], did[counts]]) for tokens, real, obs, did, counts in parts]
    row = pad_sequence(texts, batch_first=True, padding_value=words.pad_token_id)  # each two neighbours: saw, did
    return Episodes(Prompt.empty(len(one)), *row.unfold(1, 2, 1).unbind(2), row[:, 1:] != words.pad_token_id)


# %%
CHANGED = {"no EOS": lambda one: replace(one, mask=one.mask & (one.actions != EOS)), "no mask": whole}
broken = {"as taught": runs["language"].network}
for what, change in CHANGED.items():
    run = new_run(RECIPE, "language", start="base", **SHORT["language"])
    while run.iteration < run.config.iterations:
        examples = change(worlds["language"].demonstrations(run.config.demonstrations, seed=run.fresh_seed()))
        metrics = sft(run.network, run.optimizer, examples, run.config.update, run.generator)
        run.schedule.step()
        run.record(metrics, 1.0)
    broken[what] = run.network

asked = whole(replace(shown["language"], mask=torch.zeros_like(shown["language"].mask)))  # until the answer begins
rows, ended = [], {}
for what, network in broken.items():
    one = play("language", network)
    evaluation = worlds["language"].summary(worlds["language"].answers(one))
    with torch.no_grad():
        user, answer = (
            -evaluate_actions(network, x).logprobs[x.mask].mean().item() for x in (asked, shown["language"])
        )
    ended[what] = evaluation["eos"]
    length = one.mask.sum() / len(one)
    shares = [f"{evaluation[key]:.1%}" for key in ("eos", "right", "rude")]
    rows.append([what, *shares, f"{length:.1f}", f"{evaluation['score']:+.2f}", f"{answer:.2f}", f"{user:.2f}"])
head = ["mask", "ends", "right", "rude", "tokens", "score", "nats per answer token", "nats per user token"]
display(table(head, rows))
example = worlds["language"].answers(play("language", broken["no EOS"]))[1]
print(f"without EOS in the loss: {example.question.text!r} -> {example.text!r}")
print(f"of all tokens the user and the template write {asked.mask.sum() / whole(shown['language']).mask.sum():.0%}")
(part,) = prompts_from_chat(words, [[{"role": "user", "content": "?"}]])
for what in ("as taught", "no mask"):
    env = TokenEnv([part[:3]], lambda prompts, answers: [0.0] * len(answers), 1, max_new_tokens=16, eos=EOS)
    one = rollout(env, broken[what], torch.Generator().manual_seed(SEED))
    print(f"{what}: {words.decode(part[:3])!r} -> {words.decode(one.actions[0][one.mask[0]])!r}")
key = "without the end in the loss: share that ends"
compare(key, predicted[key], ended["no EOS"])

# %% [markdown] lang="en"
# (*Score* is the judge's, from lesson 1: at most +2. The last two columns are the loss on new chats, low is good: on the assistant's tokens with
# EOS, and on those of user and template.)
#
# - **No EOS: the model does not stop.** It gives its answer, and then it has to write something. Stopping is an action
#   like any other, and nobody has shown it. So the answers use up their 32 tokens, and the judge, who wants one statement and then the
#   end, does not forgive that. Neither would a user who pays by the token.
# - **No mask** is less dramatic. The answers are in the text, so the model still learns to answer, here about as well. But see
#   what else it has learnt: to foresee the *user*. Put at the place where the user speaks, it speaks as the user (last
#   lines above). Nobody asked for that, and a good part of every step was spent on it. With questions this short and a model with room to spare
#   the price is small. With long documents and short answers, most of the gradient would go to the
#   documents. Only the mask says whose part is to be learnt.
#
# The pole has no twin for this: its drives end by falling, which is physics and no choice of the driver. EOS is the one action
# that language has on top.
#
# ## What the numbers mean
#
# - SFT minimises surprise. Its optimum is the teacher's own distribution: each word, push and fault at the teacher's rate.
# - Hence it is the right tool for *form*: to speak in turn, to stop, to have a name. Most of what changes between the base
#   model and the assistant is form.
# - And it is the wrong tool for "not like this". Nothing in its loss can say so. Neither more data nor more
#   steps of the same kind change that.
# - What is missing is a number that may be *negative*: an advantage. For that somebody has to say which of two things
#   is better. People can do that even where they could not show the perfect answer.
#
# ## Quiz
#
# Answer first, then unfold.
#
# <details><summary>1. A chat has 12 tokens of template, 9 of the user, 10 of the answer, and EOS. How many cells of the mask are True?</summary>
#
# 11: the answer and its EOS.
# </details>
#
# <details><summary>2. The policy gives the shown action probability 0.9. What is the gradient of its logit (one step counts)? And at 0.1?</summary>
#
# π − 1: −0.1, and −0.9. Downhill is up, and the more so the greater the surprise.
# </details>
#
# <details><summary>3. Demonstrations are 30 % rude. After a long SFT, 30 % of the answers are rude. You train ten times longer, on fresh demonstrations of the same kind. And then?</summary>
#
# 30 %. The mean gradient is π − q, which is 0 already.
# </details>
#
# <details><summary>4. You throw away all rude demonstrations. Which advantage did you give them, and which would be stronger?</summary>
#
# 0: they no longer pull at all, and rudeness fades because everything else is made likelier. −1 would push it down.
# </details>
#
# <details><summary>5. A clone drives 50 steps sampled and 500 greedy. What kind of teacher was it?</summary>
#
# A noisy one: right in most pushes of every state, with faults at random. A teacher with a bad habit leaves a clone that is bad greedily, too.
# </details>
#
# ## What next
#
# Lesson 4 makes the judgment into a number: from pairs of which somebody prefers one, a **reward model** learns to score any answer
# and any drive. Lesson 5 puts the three steps together, SFT, reward model and PPO: **RLHF**. Then the share of rude answers does leave the diagonal. To run SFT itself:
#
# ```bash
# python -m lessons.sft --world cartpole     # or language
# python -m lessons.chat                     # talk to the SFT model
# ```
#
# To read: `rl_core/losses/sft.py` and `rl_core/algorithms/sft.py`, both shorter than this lesson. Ouyang et al. 2022,
# [arXiv:2203.02155](https://arxiv.org/abs/2203.02155) (InstructGPT: SFT as the first of three steps); Ross, Gordon and Bagnell 2011,
# [arXiv:1011.0686](https://arxiv.org/abs/1011.0686) (DAgger: what goes wrong when an imitator leaves its teacher's states); Zhou et al. 2023,
# [arXiv:2305.11206](https://arxiv.org/abs/2305.11206) (LIMA: how few demonstrations teach form).

# %% [markdown] lang="zh"
# （score 是第 1 课那位裁判打的分，满分 +2。最后两列是在新对话上的损失，越低越好：前一列算助手的词元，含 EOS；后一列算用户和模板的词元。）
#
# - **no EOS：模型停不下来。** 它把答案说完，却还得接着写点什么。停下也是一个动作，和别的没有两样，只是没有人示范过。于是回答一直写到 32 个词元用完；
#   裁判要的是一句话、然后结束，不会通融。按词元付费的用户也不会。
# - **no mask** 没那么惨。答案就在文本里，它照样学会了回答，在这里也差不多一样好。但请看它还学会了什么：预测*用户*。把它放到该用户说话的位置上，它就替用户说话（见上面最后几行）。
#   没有人要它做这个，每一步却有不小的一部分花在了这上面。这里的问题很短，模型又有余力，所以代价不大；若是长文档配短回答，梯度就大半花在文档上了。
#   该学谁的那一份，只有 mask 说得清。
#
# 这里杆子没有对应的实验：行驶以倒下告终，那是物理，不是司机的选择。EOS 是语言世界多出来的一个动作。
#
# ## 这些数字说明什么
#
# - SFT 要把意外降到最小。它的最优解就是老师自己的分布：每个词、每一推、每个毛病，都按老师的频率出现。
# - 所以它适合教*形式*：轮到自己才说话，说完就停，有个名字。从基础模型到助手，变的大半是形式。
# - 而“不要这样”，它教不了。它的损失里没有一处能表达这个意思；同样的数据再多，步数再多，也改变不了这一点。
# - 缺的是一个可以为*负*的数，也就是优势。为此，得有人说出两样东西里哪一样更好。哪怕自己示范不出完美的回答，人也能做这样的判断。
#
# ## 小测验
#
# 先想好答案，再展开。
#
# <details><summary>1. 一段对话里，模板占 12 个词元，用户的话 9 个，回答 10 个，再加一个 EOS。mask 里有几个 True？</summary>
#
# 11 个：回答和它的 EOS。
# </details>
#
# <details><summary>2. 策略给示范动作的概率是 0.9，它的 logit 的梯度是多少（只有这一步算数）？如果是 0.1 呢？</summary>
#
# π − 1：分别是 −0.1 和 −0.9。下坡方向就是把它往上提，越意外，提得越多。
# </details>
#
# <details><summary>3. 示范中 30 % 是粗鲁的。做了很久的 SFT，回答里也有 30 % 粗鲁。再用同样的新示范训练十倍的时间，会怎样？</summary>
#
# 还是 30 %。平均梯度是 π − q，已经等于 0 了。
# </details>
#
# <details><summary>4. 你把粗鲁的示范全部扔掉了。这等于给了它们多大的优势？多大的优势会更有力？</summary>
#
# 0：它们不再拉了，粗鲁之所以消退，是因为别的都变得更可能。−1 才会真的把它往下压。
# </details>
#
# <details><summary>5. 一个克隆体采样时能开 50 步，贪心时能开 500 步。它的老师是哪一种？</summary>
#
# 有噪声的那种：每个状态下大多数推动是对的，毛病随机出现。有坏习惯的老师，教出来的克隆体贪心时也一样糟。
# </details>
#
# ## 接下来
#
# 第 4 课把判断变成一个数：从一对对“有人更喜欢其中之一”的例子里，**奖励模型**（reward model）学会给任何回答、任何行驶打分。第 5 课把三步合在一起：SFT、奖励模型、PPO，
# 这就是 **RLHF**。到那时，粗鲁回答的比例才会离开这条对角线。想单独运行 SFT：
#
# ```bash
# python -m lessons.sft --world cartpole     # 或者 language
# python -m lessons.chat                     # 和 SFT 模型聊聊
# ```
#
# 可以读：`rl_core/losses/sft.py` 和 `rl_core/algorithms/sft.py`，都比这一课短。Ouyang 等 2022，
# [arXiv:2203.02155](https://arxiv.org/abs/2203.02155)（InstructGPT：SFT 是三步中的第一步）；Ross、Gordon、Bagnell 2011，
# [arXiv:1011.0686](https://arxiv.org/abs/1011.0686)（DAgger：模仿者走到老师没到过的状态会出什么问题）；Zhou 等 2023，
# [arXiv:2305.11206](https://arxiv.org/abs/2305.11206)（LIMA：教会形式，只需很少的示范）。
