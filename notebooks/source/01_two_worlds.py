# %% [markdown] lang="en"
# # 1. Two worlds, one loop
#
# A cart has to keep a pole upright. A language model has to answer politely. The first is a toy from a physics book,
# the second is what chat assistants are made of. **This course claims that they are the same problem, and proves it by
# solving both with the same lines of code.**
#
# The question of this lesson: *what are state, action, policy, reward, value, advantage, environment and trajectory
# when the "world" is a text?*
#
# Afterwards you can
#
# - point at each of these eight words in a pole's drive and in a model's answer, as a tensor with a shape;
# - play one step of either world by hand, and say why no code here shifts labels by one;
# - read off, step by step, who gets the credit for a fall or for a rude word;
# - say where the analogy is exact, and where it is not.
#
# You need Python and some PyTorch. No reinforcement learning: that is what we are here for.

# %% [markdown] lang="zh"
# # 1. 两个世界，一个循环
#
# 一辆小车要让杆子立着不倒；一个语言模型要礼貌地回答问题。前者是物理课上的玩具，后者是聊天助手的前身。**本课程的主张是：
# 它们其实是同一个问题。证明的办法，是用同一份代码把两个问题都解决掉。**
#
# 这一课要回答的是：**当“世界”是一段文本时，状态、动作、策略、奖励、价值、优势、环境、轨迹分别是什么？**
#
# 学完之后，你能够：
#
# - 在小车的一次行驶和模型的一次回答里，把这八个词逐一指出来，而且说得出它是哪个张量、什么形状；
# - 在任一世界里亲手走一步，并说清楚为什么这里的代码从来不用“把标签错开一位”；
# - 逐步读出：杆子倒了，或者冒出一句粗鲁的话，这笔账该算在哪一步头上；
# - 说明这个类比在哪里严丝合缝，又在哪里对不上。
#
# 你只需要会 Python 和一点 PyTorch，不需要任何强化学习（reinforcement learning, RL）基础——那正是我们要学的。

# %%
import torch
from IPython.display import display

from lessons import one_page
from notebooks.figures import excerpt

torch.set_num_threads(1)
display(excerpt(one_page.pole, "def pole", "return env"))
display(excerpt(one_page.words, "def words", "return asked"))
display(excerpt(one_page.train, "def train", "return network"))

# %% [markdown] lang="en"
# ## One page first
#
# That is the whole course on one page (`lessons/one_page.py`; excerpts like these are read from the files as they are).
# Two functions say what the two worlds are: what is seen, what can be done, what is paid. The third one learns, and it
# does not know in which world. Never mind the words that are new; each will have its turn. Here it is at work, first
# with the pole, for some seconds: the return is the number of steps that it stayed up, of at most 500.

# %% [markdown] lang="zh"
# ## 先看这一页
#
# 整门课就在这一页里（`lessons/one_page.py`；这类摘录都是直接从源文件里读出来的）。前两个函数说明两个世界各是什么样：
# 看到什么，能做什么，得到什么奖励。第三个函数负责学习，而它并不知道自己在哪个世界。有不认识的词没有关系，后面会一个个讲到。
# 先让它对付杆子，只要几秒钟：回报（return）就是杆子立住的步数，最多 500。

# %%
torch.manual_seed(0)
driver = one_page.train(*one_page.pole(), iterations=34)

# %% [markdown] lang="en"
# The pole stands. Now the same function with a language model, which is paid 1 for each answer that ends and holds a
# good wish. It takes half a minute. Read the answers before and after.

# %% [markdown] lang="zh"
# 杆子立住了。现在把同一个函数用在语言模型上：每个有头有尾、带一句祝福的回答得 1 分。大约要半分钟。请对照训练前后的回答。

# %%
env, network, config, learning_rate = one_page.words()
one_page.show_answers(network, "before")
writer = one_page.train(env, network, config, learning_rate, iterations=16)
one_page.show_answers(writer, "after")

# %% [markdown] lang="en"
# A habit has been learned: the model knew such wishes from its demonstrations and wrote one now and then, and those that
# came by chance were paid. Nothing else was paid, so look closely: is each answer still right? Whatever a reward leaves out
# may be lost; this is called *reward hacking*. The rest of this lesson takes the page apart, word by word. It uses the
# course's own runs, which differ in that a judge also looks at whether the answer is right, and that the policy is kept
# close to where it started.

# %% [markdown] lang="zh"
# 模型学会了一个习惯：祝福语在 SFT 示范里本来就有，它偶尔也会说；碰巧说出来的，就得到奖励。别的一概不给分，所以请仔细看：
# 每个回答还都对吗？奖励没有顾及的东西，就可能丢掉，这叫**奖励作弊**（reward hacking）。这一课余下的部分，就把这一页逐词拆开来看。
# 后面用的是课程自己的训练设置，不同之处在于：裁判还会看答得对不对，而且策略不许离起点太远。

# %%
from dataclasses import replace

from lessons.ppo import RECIPE, train
from lessons.ppo import SETTINGS as PPO
from lessons.worlds import NAMES, load
from notebooks.figures import (
    COLOUR, compare, curve, finish, functions_used, new_run, panels, progress, shape_of, show, table, watch,
)  # fmt: skip
from notebooks.figures.credit import credit_of, drawable, loop_picture, microscope, states_shown
from rl_core.advantages import gae
from rl_core.algorithms.ppo import ppo
from rl_core.evaluate import sample, state_values
from rl_core.losses.ppo import clipped_surrogate
from rl_core.rollout import rollout
from rl_core.true_values import Rewards, true_values

# %% [markdown] lang="en"
# ## Predict first
#
# Guessing before looking is the cheapest way to learn: a wrong guess shows you where your picture is off. **Change the
# numbers below, then run on.** They are compared with the measurements as these come in.
#
# What you need to know to guess:
#
# - *The pole* earns +1 for each step that it stays up, for at most 500 steps. It starts as a copy of a mediocre
#   driver.
# - *The answer* is scored by a judge, a program: +1 if right, another +1 if right and polite, −1 if rude, and −1 if it
#   never ends. So +2 is best (and "I don't know" earns 0.2). The model starts as one that was shown imperfect answers,
#   some of them rude.

# %% [markdown] lang="zh"
# ## 先预测
#
# 先猜后看，是最省力的学习方法：猜错的地方，正是你脑中图景不准的地方。**请改动下面的数字，再往下运行。**
# 每当测出真实结果，就会和你的预测放在一起比较。
#
# 猜之前需要知道：
#
# - **杆子**：每多立一步得 +1，最多 500 步。起点是对一个平庸司机做行为克隆（behaviour cloning）得到的策略。
# - **回答**：由裁判（一个程序）打分：答对得 +1，答对而且礼貌再得 +1，粗鲁扣 1 分，一直不结束也扣 1 分，所以满分是 +2
#   （老老实实说“不知道”得 0.2）。
#   模型的起点看过一批并不完美的示范回答，其中有一些是粗鲁的。

# %%
predicted = {
    "share of steps with a reward": {"cartpole": 0.5, "language": 0.5},
    "mean return after a short training": {"cartpole": 80, "language": 1.2},
    "best return ever, starting from scratch": {"cartpole": 40, "language": 1.0},
}

# %% [markdown] lang="en"
# ## The loop
#
# Someone who knows nothing looks, acts, is rewarded, looks again. That is all there is. The one who acts is
# the **policy**; everything else is the **environment**. What the environment shows is the **state**, what it pays is
# the **reward**. What belongs to the pole is orange, here and in all figures; what belongs to the language model is
# blue.

# %% [markdown] lang="zh"
# ## 这个循环
#
# 看一眼，做个动作，得到奖励，再看一眼——全部内容就是这些。做动作的一方叫**策略**（policy），其余的一切都叫
# **环境**（environment）。环境给人看的叫**状态**（state），环境付给你的叫**奖励**（reward）。
# 从这里起，所有图中橙色属于杆子，蓝色属于语言模型。

# %%
show(loop_picture(), "The loop: the policy sends an action, the environment sends back a reward and an observation.")

# %% [markdown] lang="en"
# ## Open both worlds
#
# A world knows how to make a network, and how to make an environment for it. We ask for the policy that each world
# starts from, which the code calls `"reference"`. From here on, nearly every cell is a `for name in NAMES` loop, and
# **what is inside the loop never asks which world it is in**.

# %% [markdown] lang="zh"
# ## 打开两个世界
#
# 每个世界都会造网络，也会造供网络活动的环境。我们先要来各自的起始策略，代码里叫 `"reference"`。从这里起，
# 几乎每个代码单元都是一个 `for name in NAMES` 循环，
# 而且**循环里面从不过问自己身在哪个世界**。

# %%
worlds = {name: load(name) for name in NAMES}
networks = {name: world.network("reference", seed=0) for name, world in worlds.items()}

for name, world in worlds.items():
    network = networks[name]
    count = sum(parameter.numel() for parameter in network.parameters())
    print(f"{world.title:<16}{type(network).__name__:<14}{count:>9,} parameters   memoryless: {network.memoryless}")

# %% [markdown] lang="en"
# The parameters are those of the policy and of a second network beside it, the critic, whom we meet below.
# `memoryless` says whether the present observation is all that the network needs. A pole's is: position, speed, lean,
# turning speed. A language model must remember the text so far. It is the only difference that the core is ever told
# about.
#
# ## One step by hand
#
# Let us play a single step in each world, for three rows side by side. **B** is the number of rows, **A** the number
# of actions to choose from. Five calls, and you have seen all that there is to "interaction":
#
# 1. `env.reset()` begins: it gives what comes before the first observation (the *prompt*), and the first observation;
# 2. `network.start(prompt)` reads the prompt into the network's memory;
# 3. `network.step(obs, state)` looks at one observation, and scores every possible action (*logits*);
# 4. `sample(logits, generator)` rolls the dice and picks one;
# 5. `env.step(actions)` answers with the next observation, a reward, and whether it is over.

# %% [markdown] lang="zh"
# 这里的参数量包含策略网络，也包含它旁边的另一个网络“评论家”（critic），后面会讲到。`memoryless` 说的是：
# 只凭眼前这一次观测够不够。对杆子来说够了：位置、速度、倾角、角速度。语言模型则必须记住前面的文字。
# 这是核心代码唯一需要知道的区别。
#
# ## 亲手走一步
#
# 我们在每个世界里各走一步，三行（row）并排进行。**B** 表示行数，**A** 表示可选的动作数。一共五次调用，
# 所谓“与环境交互”就全在这里了：
#
# 1. `env.reset()`：开局。给出第一个观测之前的内容（**提示**，prompt），以及第一个观测（observation）；
# 2. `network.start(prompt)`：网络把提示读进自己的记忆；
# 3. `network.step(obs, state)`：看一个观测，给每个可能的动作打分（*logits*）；
# 4. `sample(logits, generator)`：掷骰子，选出一个动作；
# 5. `env.step(actions)`：环境给出下一个观测、奖励，以及是否已经结束。

# %%
for name, world in worlds.items():
    network, env = networks[name], world.examples(3, seed=1)
    generator = torch.Generator().manual_seed(0)

    prompt, seen = env.reset()
    state = network.start(prompt)
    with torch.no_grad():
        logits, state = network.step(seen.obs, state)
    actions, logprobs = sample(logits, generator)
    after = env.step(actions)

    print(f"{world.title}")
    for what, tensor in [
        ("prompt", prompt.tokens), ("observation", seen.obs), ("logits", logits), ("action", actions),
        ("next observation", after.obs), ("reward", after.reward), ("over", after.terminated),
    ]:  # fmt: skip
        example = tensor.flatten()[:4].tolist() if tensor.is_floating_point() else tensor[0].tolist()
        cells = [f"{x:z.2f}" for x in example] if tensor.is_floating_point() else example
        print(f"  {what:<17}{shape_of(tensor):<20}{str(cells)[:60]}")

# %% [markdown] lang="en"
# (Of floats only the first four are shown, otherwise the first row; a language model's numbers are ids
# in its vocabulary.)
#
# Compare line by line. CartPole's prompt is there, it just has length 0. The pole has 2 logits, the language model has
# one for each entry in its vocabulary. Everything else has the same shape, except that the pole's observation is four
# numbers where the model's is one token. And look at the language model's **next observation: it is the very action**.
# That is no coincidence. Its environment is simple: whatever you write now stands in the text.
#
# In formulas, $\pi(a \mid s)$ is the probability that the policy, in state $s$,
# chooses action $a$, and the fourth call
# draws from it:
#
# $$\pi(a \mid s) = \frac{e^{z_a}}{\sum_b e^{z_b}}, \qquad a \sim \pi(\cdot \mid s)$$
#
# with $z$ the logits. Here are those lines of the core.
# (`greedy` takes the likeliest action instead of rolling dice.)

# %% [markdown] lang="zh"
# （带小数的张量只显示前四个数，其余显示第一行；语言模型那里的整数是词表中的编号。）
#
# 请逐行对照。CartPole 也有提示，只不过长度为 0。杆子有 2 个 logits，语言模型则是词表里每个词元（token）各一个。
# 其余的形状全都一样，只有观测不同：杆子看到四个数，模型看到一个词元。再看语言模型的**下一个观测：它正是刚才的动作**。
# 这不是巧合。文本的环境很简单：你写下什么，文本里就多了什么。
#
# 写成公式：$\pi(a \mid s)$ 是策略在状态 $s$ 下选择动作 $a$ 的概率，第四次调用就是从中抽样：
#
# $$\pi(a \mid s) = \frac{e^{z_a}}{\sum_b e^{z_b}}, \qquad a \sim \pi(\cdot \mid s)$$
#
# 其中 $z$ 是 logits。下面是核心代码里对应的几行。
# （`greedy` 表示不掷骰子，直接取概率最大的动作。）

# %%
excerpt(sample, "logprobs = log_softmax(logits)", "return")

# %% [markdown] lang="en"
# ## An observation is what is new
#
# One might say that the state of a language model is "the whole text so far", and hand over a longer and longer text
# at each step. This code does not. **The observation is what is new since the last look: the token just read.**
# Remembering the rest is the network's own business (its *KV cache*). The last token of the question is the first
# observation; what stands before it is the prompt.
#
# So each step is a pair: *saw this, did that*. Look at the pairs of one answer. The action of one step is the
# observation of the next, and the famous trap of language-model training, "shift the labels by one", cannot be fallen
# into, for the shift *is* the pair.

# %% [markdown] lang="zh"
# ## 观测，就是“新来的那一点”
#
# 有人会说：语言模型的状态是“到目前为止的全部文本”，于是每一步都把越来越长的文本整个交给它。这里不这么做。
# **观测只是上次看过之后新来的东西，也就是刚读到的那个词元。** 其余的由网络自己去记（靠 **KV 缓存**）。
# 问题的最后一个词元就是第一个观测，在它之前的内容是提示。
#
# 于是每一步都是一个二元组：**看到这个，做了那个**。请看一次回答里的这些二元组：这一步的动作，就是下一步的观测。
# 训练语言模型时那个著名的坑——“标签要错开一位”——在这里根本不会掉进去，因为错开的那一位**就是**二元组本身。

# %%
generator = torch.Generator().manual_seed(0)
played = {name: rollout(world.examples(64, seed=1), networks[name], generator) for name, world in worlds.items()}

for name, one in played.items():
    print(worlds[name].title)
    for t in range(5):
        saw, did = one.obs[0, t], one.actions[0, t].item()
        saw = [f"{x:+z.3f}" for x in saw.tolist()] if saw.dim() else saw.item()
        print(f"  step {t}: saw {saw!s:<40} did {did:<5} {worlds[name].words(one, 0)[t]!r}")

# %% [markdown] lang="en"
# ## A drive, an answer: the trajectory
#
# `rollout` repeats the step until all rows are over. It is the whole of "playing", in both worlds. A row can be over
# in two ways: `terminated`, nothing can follow; or `truncated`, we merely stop watching.

# %% [markdown] lang="zh"
# ## 一次行驶，一次回答：轨迹
#
# `rollout` 把上面那一步反复做，直到每一行都结束。在两个世界里，“玩一局”就是这些。
# 一行的结束有两种：`terminated`（终止），后面不会再有什么；`truncated`（截断），只是我们不再看下去。

# %%
excerpt(rollout, "while live.any()", "live = live &")

# %% [markdown] lang="en"
# Some poles fall early, some answers end early (the model chose the end token, **EOS**: an action like any other).
# Rows advance together, so rows that are over are filled up with cells that do not count. A `mask` says which cells
# are real, or *live*. **The padding behind a short answer and the dead pole on the floor are the same thing.** Below,
# six rows of each world; a block stands for steps that count, a dot for filling.

# %% [markdown] lang="zh"
# 有的杆子倒得早，有的回答结束得早（模型选择了结束词元 **EOS**，它和别的动作没有两样）。各行同步前进，
# 所以已经结束的行要用无效的格子补齐，由 `mask` 标明哪些格子有效（live）。
# **短回答后面的填充（padding），和倒在地上的杆子，是同一回事。** 下面每个世界画六行：方块是有效步，圆点是填充。

# %%
for name, one in played.items():
    live, width = one.mask[:6], one.mask.shape[1]
    stride = max(1, width // 60)
    print(f"{worlds[name].title}: mask {shape_of(one.mask)}, one sign is {stride} step(s)")
    for row in live[:, ::stride].tolist():
        print("  " + "".join("█" if cell else "·" for cell in row))

# %% [markdown] lang="en"
# ## Who pays, and when
#
# The **return** of a row is the sum of its rewards. It is what we want to be large. How do the rewards get there?

# %% [markdown] lang="zh"
# ## 奖励什么时候来
#
# 一行的全部奖励之和叫**回报**（return），我们要的就是它越大越好。那么奖励是怎么分布的呢？

# %%
before = {}
for name, one in played.items():
    rewards = one.rewards[one.mask]
    before[name] = one.rewards.sum(dim=1).mean().item()
    share = (rewards != 0).float().mean().item()
    compare(f"{name}: share of steps with a reward", predicted["share of steps with a reward"][name], share)
for name, value in before.items():
    print(f"{name}: mean return of the starting policy {value:.2f}")

# %% [markdown] lang="en"
# The pole is paid at every step, the answer once, at its end (and a score of exactly 0 is no payment at all). A judge
# cannot say of the third token whether it was good. This is the one great difference in the signal: **dense reward
# against reward at the end**. And yet the pole's problem is no easier in kind. +1 at *every* step says nothing either
# about *which* push was the bad one. Both worlds need someone who turns "it went like this" into "this step did it".
#
# ## Better than expected?
#
# That someone is the **critic**. It learns to predict, from any state, what is still to come: the **value** $V(s)$.
# Then each step can be judged by how it changed the outlook, the **TD error** $\delta$, and a step's **advantage** $A$
# sums up the errors from here on, later ones weighing less and less:
#
# $$\delta_t = r_t + \gamma V(s_{t+1}) - V(s_t)$$
#
# $$A_t = \delta_t + \gamma \lambda A_{t+1}$$
#
# In words: what I got, plus what I now expect, minus what I expected before. $A > 0$: better than expected, do it more
# often. $A < 0$: worse, do it less. $\gamma$ and $\lambda$ are numbers between 0 and 1: how much the later counts now.
# What comes after the end is worth 0. The two equations, in the core (`select(x, mask)` is `x` where the mask is True,
# and 0 elsewhere):

# %% [markdown] lang="zh"
# 杆子每一步都有奖励；回答只在结束时得到一次（分数恰好为 0 时，就等于什么也没给）。裁判没法评价“第三个词元好不好”。
# 两个世界的信号在这里差别最大：**奖励是步步都有，还是只在最后才有**。
# 不过杆子的问题在本质上并不更容易：**每一步**都是 +1，
# 同样没有说明**哪一推**推坏了。两个世界都需要有人把“结果是这样”翻译成“是这一步造成的”。
#
# ## 比预期更好吗？
#
# 这个人就是**评论家**（critic）。它学着从任一状态预测今后还能得到多少，这个预测叫**价值**（value）$V(s)$。
# 有了它，就能按“这一步让前景变好还是变坏”来评判每一步，这就是 **TD 误差**（TD error）$\delta$；
# 而一步的**优势**（advantage）$A$ 把从这一步起的误差累加起来，越往后权重越小：
#
# $$\delta_t = r_t + \gamma V(s_{t+1}) - V(s_t)$$
#
# $$A_t = \delta_t + \gamma \lambda A_{t+1}$$
#
# 换成大白话：这一步拿到的，加上现在预期的，减去先前预期的。$A > 0$：比预期好，以后多做；$A < 0$：比预期差，以后少做。
# $\gamma$ 和 $\lambda$ 是 0 到 1 之间的数，决定以后的事在眼前占多大分量。结束之后的价值是 0。
# 这两个式子在核心代码里是这样的
# （`select(x, mask)` 在 mask 为 True 处取 `x`，其余处取 0）：

# %%
excerpt(gae, "now = select(values", "advantages[:, t]")

# %% [markdown] lang="en"
# ## The credit microscope
#
# A critic has to learn before it can judge. So we let it watch the starting policy play for a while. Only the critic
# may change: its parameters are those that the frozen *reference* (the same policy without a critic) does not have.
# The update is `ppo`, which we meet in a moment. `rounds` and `rate` say how long the critic watches, and how fast it
# learns.

# %% [markdown] lang="zh"
# ## 信用分配显微镜
#
# 评论家得先学习，才会评判。所以先让它旁观一阵起始策略的表现，此时只许评论家变化：它的参数，
# 就是冻结的**参考网络**（reference，同一个策略，但没有评论家）所没有的那些。更新用的是 `ppo`，马上就会讲到。
# `rounds` 和 `rate` 表示旁观多久、学得多快。

# %%
WATCH = {"cartpole": {"rounds": 30, "rate": 5e-3}, "language": {"rounds": 12, "rate": 2e-3}}
LAMBDA = 0.9  # of the advantages that are shown here
critics = {}
for name, world in worlds.items():
    network, frozen = world.network("reference", seed=0), world.reference().state_dict()
    for key, parameter in network.named_parameters():
        parameter.requires_grad_(key not in frozen)
    critic = [parameter for parameter in network.parameters() if parameter.requires_grad]
    env, generator = world.env(rows=64, steps=PPO[name].steps, seed=0), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(critic, lr=WATCH[name]["rate"])
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, WATCH[name]["rounds"])
    config = replace(PPO[name].update, lam=LAMBDA, epochs=3, minibatches=16, value_weight=1.0, max_grad_norm=None)
    for _ in progress(range(WATCH[name]["rounds"]), f"critic · {name}"):
        metrics = ppo(network, None, optimizer, rollout(env, network, generator), config, generator)
        schedule.step()
    critics[name] = network
    print(f"{name}: the critic now explains {metrics['explained_variance']:.0%} of the variance of its targets")

# %% [markdown] lang="en"
# Now play 64 rows with a critic who knows something, and put two of each world under the microscope: the row with the
# *greatest disappointment* (the lowest TD error of all) and the one with the *happiest surprise*. Only rows whose
# words the figure's font can draw take part, hence the English answers.
#
# How would we know whether the critic is right? By trying: from each state shown, play on 64 times and take the mean of what
# comes. A pole can be put back to four numbers, an answer to its first words. That is the *true value*, and with it the *true
# advantage* of what was done (`rl_core/true_values.py`). It is far too expensive to train with; a critic is a cheap guess at it.
# Same function, same six lines, both worlds.

# %% [markdown] lang="zh"
# 现在评论家心里有数了。让它陪着策略再走 64 行，然后每个世界挑两行放到显微镜下：**最大的失望**（TD 误差最低的那一行）
# 和**最大的惊喜**（TD 误差最高的那一行）。为了让图中的字体都能显示，只从英文回答里挑。
#
# 怎么知道评论家说得对不对？试一试就知道：从图中的每个状态出发，接着玩 64 次，把得到的回报取平均。杆子可以放回那四个数，
# 回答可以从已经写下的那几个词接着写。这就是**真实价值**（true value），由它又得到所做动作的**真实优势**（见 `rl_core/true_values.py`）。
# 训练时这样做太贵了，评论家就是对它的便宜猜测。两个世界用同一个函数，画同样的六行数。

# %%
generator = torch.Generator().manual_seed(0)
watched = {name: rollout(world.examples(64, seed=2), critics[name], generator) for name, world in worlds.items()}
chosen = {"lowest": [], "highest": []}
for name, one in watched.items():
    config = PPO[name].update
    values = state_values(critics[name], one)
    errors, _ = gae(one.rewards, values, one.terminated, one.mask, gamma=config.gamma, lam=0.0)
    fits = torch.tensor([drawable(worlds[name].words(one, row)) for row in range(len(one))])
    least = errors.where(fits.unsqueeze(1), torch.inf).argmin().item()
    most = errors.where(fits.unsqueeze(1), -torch.inf).argmax().item()
    for kind, cell in (("lowest", least), ("highest", most)):
        row, step = divmod(cell, one.mask.shape[1])
        words, question = worlds[name].words(one, row), worlds[name].question(one, row)
        env, where = worlds[name].examples(64, seed=2), states_shown(one, row, step)
        truth = true_values(env, critics[name], one, generator, rewards=Rewards(config.gamma), where=where)
        options = {"gamma": config.gamma, "lam": LAMBDA, "around": step, "truth": truth, "question": question}
        chosen[kind].append(credit_of(one, row, words, values, **options))

titles = [world.title for world in worlds.values()]
show(microscope(chosen["lowest"], titles), "The most disappointing moment of each world, with its credit step by step.")

# %% [markdown] lang="en"
# **How to read it.** Columns are steps, those around the moment in question; green is above 0, red below. Within a world a
# colour means the same number in both lines of values, and in the three lines below them. On top stands what was done: a
# push (◀ or ▶) with the lean of the pole in degrees that it answered, or a token.
#
# - *Reward*: 1 in each of the pole's columns; none in the answer's, but for its score in the last one, EOS.
# - *Value V*: what the critic expects from here on. Below it, *true V*: what comes on average. Where they differ, the critic
#   is wrong.
# - *TD error*: the change of the critic's hope, plus the pay. Where true V hardly moves, a deep red is the critic's own
#   mistake, and no fault of the push or the word above it.
# - *Advantage*: the same news carried backwards to the steps before, the nearer the more, mistakes included.
# - *True A*: what the action was worth: the pay and true V after it, less true V before it. Grey numbers on white are
#   too close to 0 for 64 games to tell their sign, and most are: single actions seldom matter.
#
# And mind who is speaking: this critic has watched for less than a minute.
#
# The other extreme, the happiest surprise of each world. (Is it one? A V below 0 where every step pays 1 is a mistake, and
# to have it put right at the fall is no good news.)

# %% [markdown] lang="zh"
# **怎么看这张图。** 每列是一步（只显示那一刻前后的几步）；绿色大于 0，红色小于 0。在同一个世界里，两行价值共用一个色标，
# 它们下面的三行共用另一个：颜色相同，数就相同。最上面是做了什么：
# 一推（◀ 或 ▶）以及推之前杆子倾斜的角度（度），或者一个词元。
#
# - **reward（奖励）**：杆子每一列都是 1；回答途中始终为 0，只在最后一步 EOS 得到它的分数。
# - **value V（价值）**：评论家预期今后还能得到多少。下面一行 **true V** 是平均真正得到的。两者不同，就是评论家错了。
# - **TD error（TD 误差）**：价值估计的变化，加上当步的奖励。如果 true V 几乎没动，那里的深红就是评论家自己看走了眼，
#   怪不得上面的那一推、那个词。
# - **advantage（优势）**：同一个消息传给前面的几步，离得越近，分到越多，连同其中的错误。
# - **true A（真实优势）**：动作真正值多少：奖励加上之后的 true V，减去之前的 true V。白底灰字的数离 0 太近，
#   玩 64 次还分不出正负；大多数格子都是这样：单独一个动作很少举足轻重。
#
# 还要留意说话的是谁：这位评论家只旁观了不到一分钟。
#
# 再看另一个极端，两个世界里最大的惊喜。（真是惊喜吗？每一步都得 1 分，V 却小于 0，那是评论家错了；杆子倒下时把它纠正过来，算不上好消息。）

# %%
show(microscope(chosen["highest"], titles), "The happiest moment of each world, with its credit step by step.")

# %% [markdown] lang="en"
# ## Eight words, from live objects
#
# Everything is on the table now. Each cell shows the type or the shape of the real object, then an example out of it.
# The first axis is always rows (**B**), the second steps (**T**).

# %% [markdown] lang="zh"
# ## 八个词，来自真实的对象
#
# 现在八样东西都到齐了。每一格先写真实对象的类型或形状，再举一个例子。第一维总是行数 **B**，第二维是步数 **T**。

# %%
WORDS = {
    "state": "状态", "action": "动作", "policy": "策略", "reward": "奖励",
    "value": "价值", "advantage": "优势", "environment": "环境", "trajectory": "轨迹",
}  # fmt: skip
columns = []
for name, one in watched.items():
    network, config, told = critics[name], PPO[name].update, worlds[name].analogy(one, critics[name])
    values = state_values(network, one)
    advantages, _ = gae(one.rewards, values, one.terminated, one.mask, gamma=config.gamma, lam=LAMBDA)
    with torch.no_grad():
        logits = network(one.prompt, one.obs).logits
    last = int(one.mask[0].sum()) - 1
    columns.append({
        "state": f"obs {shape_of(one.obs)}: {told['state']}",
        "action": f"actions {shape_of(one.actions)}: {told['action']}",
        "policy": f"logits {shape_of(logits)}: {told['policy']}",
        "reward": f"rewards {shape_of(one.rewards)}: {one.rewards[0, 0]:+.1f} first, {one.rewards[0, last]:+.1f} last",
        "value": f"values {shape_of(values)}: {values[0, 0]:.2f} expected at the start",
        "advantage": f"{shape_of(advantages)}: {advantages[0, 0]:+.2f} first, {advantages[0, last]:+.2f} last",
        "environment": f"{type(worlds[name].env(rows=1, steps=1, seed=0)).__name__}: {told['environment']}",
        "trajectory": f"{type(one).__name__}: row 0 has {last + 1} live steps of {one.mask.shape[1]}",
    })  # fmt: skip
table(
    ["", *titles],
    [[f"{word}\u00a0{chinese}", *(column[word] for column in columns)] for word, chinese in WORDS.items()],
)

# %% [markdown] lang="en"
# (`values` has one column more than the rest: what was seen *after* the last step has a value too, which counts when
# we merely stop watching a pole that still stands.)
#
# ## Learning: make the better choices likelier
#
# One thing is missing: to use the advantages. PPO (*proximal policy optimisation*) compares how likely an action is
# now with how likely it was when it was played, $\rho$, and maximises
#
# $$J = \min\big(\rho A,\ \mathrm{clip}(\rho, 1-\varepsilon, 1+\varepsilon)\,A\big), \qquad \rho = \frac{\pi(a \mid s)}{\pi_{\text{old}}(a \mid s)}$$
#
# For $A > 0$ it pays to make the action likelier, for $A < 0$ less likely, and beyond a change of $\varepsilon$ it
# pays no more: small, safe steps. Lesson 2 is about this line. Here it is only to be seen that it knows of no world:

# %% [markdown] lang="zh"
# （`values` 比其他张量多一列：最后一步**之后**看到的状态也有价值。杆子还立着、只是我们不再看下去时，就要用到它。）
#
# ## 学习：让更好的选择更有可能
#
# 只差最后一步：把优势用起来。
# 近端策略优化（proximal policy optimisation, PPO）把一个动作现在的概率与当初做出它时的概率相比，得到 $\rho$，然后最大化
#
# $$J = \min\big(\rho A,\ \mathrm{clip}(\rho, 1-\varepsilon, 1+\varepsilon)\,A\big), \qquad \rho = \frac{\pi(a \mid s)}{\pi_{\text{old}}(a \mid s)}$$
#
# 当 $A > 0$，提高这个动作的概率有好处；当 $A < 0$，降低才有好处；变化一旦超过 $\varepsilon$，就不再有好处了：小步走，
# 才走得稳。第 2 课会细讲这个式子。这里只要看到一点：它根本不知道自己在哪个世界。

# %%
excerpt(clipped_surrogate, "ratio = torch.exp", "return torch.minimum")

# %% [markdown] lang="en"
# And this is the whole training loop, for a pole and for a language model (`schedule` lowers the learning rate,
# `reference` is the frozen starting policy, and `next_update` gives the settings of the update: in the first iterations the
# policy stays frozen, and only the critic learns, its *warm-up*):

# %% [markdown] lang="zh"
# 而整个训练循环就是下面这些，杆子用它，语言模型也用它
# （`schedule` 负责降低学习率，`reference` 是冻结的起始策略，`next_update` 给出这次更新的设置：最初几轮策略不动，只有评论家在学，
# 这叫*预热*（warm-up））：

# %%
excerpt(train, "while run.iteration", "yield")

# %% [markdown] lang="en"
# We run it for a few iterations with the settings of the course, which differ in numbers only (learning rate, rows,
# the discount, and so on; `lessons/ppo.py`).
# A full run has more iterations; however many there are, the learning rate falls to 0 over them.

# %% [markdown] lang="zh"
# 我们用课程的设置跑几轮。两个世界的设置只是数值不同（学习率、行数、折扣等等，见 `lessons/ppo.py`）。
# 完整训练的轮数更多；无论共有几轮，学习率都会在其间逐渐降到 0。

# %%
ITERATIONS = {"cartpole": 25, "language": 8}
runs, records = {}, {}
for name in NAMES:
    runs[name] = new_run(RECIPE, name, iterations=ITERATIONS[name])
    records[name] = finish(runs[name])

figure, grid = panels(1, 2, height=2.9)
for axes, (name, rows) in zip(grid[0], records.items(), strict=True):
    colour = COLOUR[name]
    curve(axes, rows, "return", colour)
    last = rows[-1]
    axes.plot(last["steps"], last["return"], "o", color=colour)
    label = {"textcoords": "offset points", "ha": "right", "color": colour}
    axes.annotate(f"{last['return']:.1f}", (last["steps"], last["return"]), (3, 9), **label)
    axes.set_title(worlds[name].title, loc="left", color=colour, fontsize=11, weight="bold")
    axes.set_xlabel(f"live {worlds[name].step_name}s seen", fontsize=9)
    axes.set_ylim(0, 1.15 * max(row["return"] for row in rows))
grid[0][0].set_ylabel("mean return", fontsize=9)
show(figure, "Mean return of recent episodes against steps seen: it rises in both worlds.")

# %% [markdown] lang="en"
# (Mean of the latest finished episodes, as many as there are rows: it lags behind, most of all where drives grow long, since long drives finish
# late.) What the policies can do now, on starts and questions that they were not trained on, against your prediction:

# %% [markdown] lang="zh"
# （纵轴是最近结束的若干回合（episode，个数等于行数）的平均回报，所以会滞后；行驶越长，结束得越晚，滞后也越明显。）
# 现在用没有训练过的开局和问题，看看这两个策略的真实水平，并与你的预测比较：

# %%
generator = torch.Generator().manual_seed(0)
for name, world in worlds.items():
    again = rollout(world.examples(64, seed=1), runs[name].network, generator)
    measured = again.rewards.sum(dim=1).mean().item()
    compare(f"{name}: mean return after", predicted["mean return after a short training"][name], measured)
    print(f"{'':<52} before    {before[name]:>8.2f}")

# %% [markdown] lang="en"
# ## Is it really the same code?
#
# Do not believe it, watch it. We write down every function of the core that runs during one iteration in each world,
# and compare the two lists. (Left out are the *adapters*, the thin layer that speaks to Gymnasium on one side and to a
# transformer on the other: it has to differ, and it is the only thing that does.)

# %% [markdown] lang="zh"
# ## 真的是同一份代码吗？
#
# 不必相信，亲眼看看。我们在每个世界里各跑一轮，把核心代码中实际执行过的函数全部记下来，再比较这两份名单。
# （**适配层**不计在内。它很薄，一边对接 Gymnasium，另一边对接 transformer 模型：这一层只能不同，也只有这一层不同。）

# %%
used = {}
for name in NAMES:
    run = new_run(RECIPE, name, iterations=1, rows=8)
    used[name] = functions_used(lambda run=run: next(train(run)))

print(f"in both: {len(used['cartpole'] & used['language'])} functions")
print("\n".join(f"  {function}" for function in sorted(used["cartpole"] & used["language"])))
for name, other in (NAMES, NAMES[::-1]):
    print(f"in {name} only: {', '.join(sorted(used[name] - used[other])) or 'none'}")

# %% [markdown] lang="en"
# What is left over belongs to the window (a pole cut off there needs V of what it saw last: `seen_last`, `last_columns`) and
# to `memoryless`. The pole's network needs no memory, so its rows become single
# steps (`as_steps`) that can be shuffled (a step without a prompt: `Prompt.empty`), and what was computed for them is put
# back into rows (`as_rows`). A language model's rows stay whole. Same loss, same advantages, same rollout, same update.
#
# ## Break it: start from nothing
#
# Both policies had a head start: the pole's is a copy of a driver, the language model was pre-trained and then
# fine-tuned on demonstrations (*SFT*). Take that away, start from random weights, and run the same loop.

# %% [markdown] lang="zh"
# 剩下的差别，一部分来自窗口：杆子在窗口处被截断，要用最后看到的状态的 V（`seen_last`、`last_columns`）；
# 另一部分来自 `memoryless`：杆子的网络不需要记忆，
# 所以它的行可以**切成单步**（`as_steps`）来打乱（单步没有提示：`Prompt.empty`），算出的结果再**放回**
# 原来的行里（`as_rows`）；语言模型的行则保持完整。损失、优势、采样、更新，全都一样。
#
# ## 消融：从零开始
#
# 两个策略都不是白手起家：杆子的策略是从一个司机那里克隆来的；语言模型先做过预训练（pre-training），又用示范做过监督微调
# （supervised fine-tuning, SFT）。现在把这些都拿掉，从随机权重出发，跑同一个循环。

# %%
ITERATIONS = {"cartpole": 25, "language": 4}
for name, world in worlds.items():
    run = new_run(RECIPE, name, start="scratch", iterations=ITERATIONS[name])
    best, seen = float("-inf"), []
    for record in watch(run):
        best, seen = max([best, *(value for value, _ in run.recent)]), [*seen, record]
    choices = torch.tensor(seen[0]["entropy"]).exp().item()
    print(f"{world.title}: at first as undecided as among {choices:.0f} equally likely actions")
    print(f"  mean return {seen[0]['return']:.2f} in the first iteration, {seen[-1]['return']:.2f} in the last")
    compare(f"{name}: best return ever", predicted["best return ever, starting from scratch"][name], best)

again = [rows.sum().item() for rows in watched["language"].mask]
length, tokens = sum(again) / len(again), networks["language"].vocabulary
texts = float(tokens) ** round(length)
print(f"An answer has about {length:.0f} tokens: there are {tokens}^{length:.0f} = {texts:.0e} texts of that length.")

# %% [markdown] lang="en"
# **The pole learns anyway, the language model gets nowhere.** Not because text is another kind of thing, but because
# of numbers. Two random pushes in a row differ in what they lead to, so there is always something to compare. A random
# text is noise whatever its tokens: no answer is ever right, so none is ever better for being *nearly* right, and
# there is nothing to prefer. In time such a model may learn to stop early, or to avoid rude words, for that is the
# only difference it ever sees; it will not learn what the capital of France is.
#
# This is what pre-training and SFT are for: they bring the policy to where good answers are *sometimes* found.
# Reinforcement learning can then make "sometimes" into "nearly always". It makes likelier what already happens.
#
# ## Where the analogy is not perfect
#
# A good analogy says where it ends.
#
# 1. **The environment is not out there.** The laws of motion can surprise the policy. Appending a token cannot: what
#    the model writes is what it sees next. It explores its own output.
# 2. **Who pays?** The pole's reward is physics and costs nothing. Here a program judges the answers; in practice
#    people do, through a reward model learnt from their preferences, and such a model can be fooled.
# 3. **When?** Dense against at the end, as seen above.
# 4. **How many actions?** Two, against the whole vocabulary: a thousand here at most, 150,000 in large models.
# 5. **Memory.** Four numbers say all about a pole. A text has to be remembered, hence caches and whole rows.
# 6. **Staying close.** The pole may forget its first driver, nobody minds. A language model must keep what it knows,
#    so it pays a price for leaving its starting point, the *KL divergence*. In this course's settings the pole's price
#    is 0 and the language model's is not: a number, not another algorithm.
# 7. **The budget.** A pole that still stands after 64 watched steps goes on in the next rollout. An answer that uses
#    up its tokens is over: the budget is part of the task.
#
# ## Quiz
#
# Answer first, then open.
#
# <details><summary>1. In the language world, what is the first observation, and where is the rest of the question?</summary>
#
# The last token of the question (in its chat format). All before it is the prompt, which `network.start` has read into
# memory.
# </details>
#
# <details><summary>2. An answer's reward is +2, on its last token only. Can its first token have an advantage that is not 0?</summary>
#
# Yes. The value can change with the first token (a rude opening spoils the outlook), which is a TD error at once; and
# later errors are passed back through $\gamma\lambda$.
# </details>
#
# <details><summary>3. Two rows have 5 and 9 live steps. What are the shapes of <code>mask</code> and <code>values</code>, and how many cells count?</summary>
#
# `mask` is [2, 9], `values` is [2, 10], and 14 cells of the mask are True.
# </details>
#
# <details><summary>4. Why is EOS an action, and not something that the environment decides?</summary>
#
# The model chooses it from the same logits as any token, so it can be rewarded and learnt. If it were left out of the
# loss, nothing would teach the model when to stop.
# </details>
#
# <details><summary>5. Before the first update, what is $\rho$, and what is the clip good for then?</summary>
#
# Exactly 1: now and old are the same policy. The clip does nothing yet. It matters from the second minibatch on, when
# the policy has moved away from the one that played.
# </details>
#
# ## What next
#
# Lesson 2 takes PPO apart: why it clips, why it stays close, and what goes wrong without, once more in both worlds. To
# watch the full runs now, from the repository's root:
#
# ```
# python -m lessons.side_by_side             # both worlds, one algorithm, one report
# python -m lessons.ppo --world cartpole     # one of them; or language
# python -m lessons.chat                     # talk to the model that we started from
# ```
#
# Sources: Sutton and Barto, *Reinforcement Learning: An Introduction*, chapter 3 (the words); Schulman et al. 2015,
# arXiv:1506.02438 (the advantage); Schulman et al. 2017, arXiv:1707.06347 (PPO).

# %% [markdown] lang="zh"
# **杆子照样学会了，语言模型却寸步难行。** 原因不在于文本是另一类东西，而在于数字。随便推两下，后果总有差别，
# 于是总有东西可以比较。而随机写出的文本，换成哪些词元都是噪声：从来没有一个回答是对的，
# 也就没有哪个回答因为**差一点就对**而更好，
# 根本无从取舍。时间长了，这样的模型也许会学会早早闭嘴，或者避开粗鲁的词，因为它见过的差别只有这些；
# 但它不会因此知道法国的首都是哪里。
#
# 这正是预训练和 SFT 的意义：把策略带到**偶尔**能碰上好回答的地方，强化学习才能把“偶尔”变成“几乎总是”。
# 它所做的，是让已经出现过的好事更常出现。
#
# ## 类比在哪里对不上
#
# 好的类比，会说清楚自己到哪里为止。
#
# 1. **环境并不在“外面”。** 运动定律可能出乎策略的意料，而往文本后面添一个词元不会：写下什么，接着看到的就是什么。
#    模型探索的是自己的输出。
# 2. **谁来给奖励？** 杆子的奖励来自物理，不花一分钱。这里由一个程序给回答打分；在现实中打分的是人，
#    通常先从人的偏好学出一个奖励模型，
#    而奖励模型是可能被钻空子的。
# 3. **什么时候给？** 步步都有，还是最后才有，上面已经看到了。
# 4. **有多少动作？** 一边是两个，一边是整个词表：这里至多一千，大模型约十五万。
# 5. **记忆。** 四个数就说尽了杆子的状况；文本却必须记住，所以才需要缓存，也才要保持整行。
# 6. **不要走远。** 杆子的策略忘了最初那位司机也无妨。语言模型却不能丢掉已经会的东西，所以离开起点要付代价，
#    这个代价就是 **KL 散度**（KL divergence）。在本课程的设置里，杆子的这个系数是 0，语言模型的不是 0：差的是一个数，
#    不是另一种算法。
# 7. **预算。** 看了 64 步还立着的杆子，下一轮接着看；而用完了词元预算的回答就此结束：预算是任务的一部分。
#
# ## 小测验
#
# 先自己回答，再点开。
#
# <details><summary>1. 在语言世界里，第一个观测是什么？问题的其余部分在哪里？</summary>
#
# 是问题（按聊天格式写成）的最后一个词元。它之前的全部内容是提示，`network.start` 已经把它读进了记忆。
# </details>
#
# <details><summary>2. 一个回答的奖励是 +2，只出现在最后一个词元上。它的第一个词元的优势可能不为 0 吗？</summary>
#
# 可能。价值可能从第一个词元起就变了（粗鲁的开头会让前景变差），这马上就是一个 TD 误差；
# 而且后面的误差也会通过 $\gamma\lambda$ 传回来。
# </details>
#
# <details><summary>3. 有两行，分别有 5 个和 9 个有效步。<code>mask</code> 和 <code>values</code> 各是什么形状？一共有几个有效的格子？</summary>
#
# `mask` 是 [2, 9]，`values` 是 [2, 10]；mask 中有 14 个格子为 True。
# </details>
#
# <details><summary>4. 为什么 EOS 是一个动作，而不是由环境决定的？</summary>
#
# 模型从同一组 logits 里选出它，和选别的词元没有两样，所以它能得到奖励，也能被学会。如果损失里没有它，
# 就没有什么能教会模型何时停下。
# </details>
#
# <details><summary>5. 第一次更新之前，$\rho$ 等于多少？这时裁剪（clip）有什么用？</summary>
#
# 恰好等于 1：现在的策略和当初的策略是同一个，裁剪还不起作用。从第二个小批量起，策略已经离开了当初采样的那个策略，
# 裁剪才有意义。
# </details>
#
# ## 接下来
#
# 第 2 课把 PPO 拆开来看：为什么要裁剪，为什么不能走远，去掉它们会出什么毛病——照样是在两个世界里一起看。
# 想现在就看完整的训练，可在仓库根目录运行：
#
# ```
# python -m lessons.side_by_side             # 两个世界，一个算法，一份报告
# python -m lessons.ppo --world cartpole     # 只跑其中一个；也可以是 language
# python -m lessons.chat                     # 和我们的起点模型聊聊
# ```
#
# 出处：Sutton 与 Barto，*Reinforcement Learning: An Introduction*，
# 第 3 章（这些术语）；Schulman 等 2015，arXiv:1506.02438（优势）；
# Schulman 等 2017，arXiv:1707.06347（PPO）。
