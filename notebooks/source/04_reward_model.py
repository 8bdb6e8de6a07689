# %% [markdown] lang="en"
# # 4. A reward model: can taste be a number?
#
# PPO makes what is paid for likelier. The pole was paid by physics, one point for each step upright, and the answers by a
# program that knows what is right and polite. But what if all we have is a person who looks at two answers and says: *I like this
# one better*? No formula says what "helpful" is. Yet most people can tell which of two answers is.
#
# > Can a taste that only ever compares be turned into a number, one that PPO can climb?
#
# It can. The network that gives the number is called a **reward model**: an episode goes in, a score comes out. It is the
# second of the three steps of RLHF (reinforcement learning from human feedback): start from a trained model, **learn a reward
# from preferences**, run PPO on that reward while staying close.
#
# In the language world we need it, because the reward is not there to begin with. In the pole's world it is, so we hide it:
# nobody may see the +1. All we keep are judgments of the kind "this drive was better than that one". And then the same function,
# `reward_model`, learns a taste from pairs of answers and from pairs of drives.
#
# Afterwards you can
#
# - say what the Bradley-Terry model assumes, and why an ignorant model loses exactly $\log 2$ on every pair;
# - say where the score stands: on an answer's last token, but on every step of a drive;
# - tell what judgments have taught a reward model from what they left open, and how much worse wrong judgments make it;
# - show what pairs *cannot* say, and turn an agent that balances into one that hurries to fall, without changing a single judgment of a clip.
#
# It takes about three minutes to run on one CPU core.

# %% [markdown] lang="zh"
# # 4. 奖励模型：喜好能变成一个数吗？
#
# PPO 会让得到报酬的行为更常出现。杆子的报酬来自物理：每多立一步得一分；回答的报酬来自一个程序，它知道什么是正确、什么是礼貌。
# 可是，如果我们手里只有一个人，他看着两个回答，只会说一句：*我更喜欢这个*呢？“乐于助人”没有公式可写，但两个回答摆在一起，哪个更乐于助人，多数人都说得出。
#
# > 只会比较的喜好，能不能变成一个数，让 PPO 可以去追求？
#
# 能。给出这个数的网络叫**奖励模型**（reward model）：输入一个回合，输出一个分数。它是 RLHF（基于人类反馈的强化学习）三步中的第二步：
# 从训练好的模型出发；**从偏好中学出奖励**；用 PPO 追求这个奖励，同时不要走远。
#
# 语言世界非要它不可，因为那里本来就没有现成的奖励。杆子的世界里有，那我们就把它藏起来：谁也不许看那个 +1，
# 只留下“这次行驶比那次好”这样的判断。然后，同一个函数 `reward_model` 既从成对的回答里、也从成对的行驶里学出喜好来。
#
# 学完之后，你能够：
#
# - 说出 Bradley-Terry 模型假设了什么，以及为什么一无所知的模型在每一对上的损失恰好是 $\log 2$；
# - 说出分数放在哪里：回答放在最后一个词元上，行驶则每一步都有；
# - 分清奖励模型里哪些是判断教会的，哪些是判断没有管到的；也看清判断出错会让它变差多少；
# - 指出成对的比较*说不出*什么，并且对 clips 的判断一条都不改，就让一个会扶杆子的智能体变成急着让它倒下。
#
# 在一个 CPU 核上，全部运行一遍大约三分钟。

# %%
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from IPython.display import display

from lessons import ppo, reward_model
from lessons.harness.evaluation import judged
from lessons.harness.report.summary import told
from lessons.worlds import NAMES
from lessons.worlds.measure import mean, swapped
from notebooks.figures import (
    BAD, COLOUR, GOOD, HELD_OUT, INK, PALE, SEED, compare, excerpt, finish, functions_used, new_run, panels, show,
    table,
)  # fmt: skip
from notebooks.figures.credit import drawable
from rl_core.adapters.gym import MLPScorer
from rl_core.adapters.language import TokenScorer, read_preferences
from rl_core.advantages import gae, normalize
from rl_core.algorithms.reward_model import accuracy, episode_scores
from rl_core.evaluate import state_values
from rl_core.losses.reward_model import bradley_terry_loss
from rl_core.pairs import Pairs
from rl_core.rollout import relabel, rollout
from rl_core.types import Episodes, Prompt

torch.set_num_threads(1)
SHORTER = {
    "cartpole": {"iterations": 50},
    "language": {"iterations": 6, "update": {"minibatch_rows": 16}},
}

# %% [markdown] lang="en"
# ## 1. Two, and one of them
#
# Why pairs, and no marks from 1 to 10? Because a 7 means something else to everyone, and to the same person
# after lunch. "This one rather than that one" is asked and answered in seconds, and means the same to all.
#
# Each world plays twice from one start, with the policy that we begin with, and a judge prefers one of the two:
#
# | kind of pair | what is compared | what is preferred |
# |---|---|---|
# | **answers** | two answers of the language model to one question | the one that the judge program gives more points: right rather than wrong, polite rather than plain, plain rather than rude |
# | **drives** | two drives of the pole from one start, each until it falls | the one that stands longer |
# | **clips** | the same 16 steps cut from two drives | the steadier one: the mean lean $\lvert \theta \rvert$ of the pole is smaller |
#
# The judge is a program here, so that we can count a model's mistakes afterwards; people would sit in the same place. The model never
# sees the points, only which of the two was preferred. Here are some pairs, *held out*: from questions and starts that training never sees.

# %% [markdown] lang="zh"
# ## 1. 两个里选一个
#
# 为什么要成对比较，而不是打 1 到 10 分？因为同样是 7 分，每个人的意思都不一样；同一个人，午饭前后也不一样。
# “宁要这个，不要那个”，几秒钟就能答完，而且人人理解一致。
#
# 每个世界都用出发时的策略，从同一个起点玩两次，再由裁判选出更好的一个：
#
# | 哪一种 | 比较什么 | 偏爱哪个 |
# |---|---|---|
# | **answers**（回答） | 语言模型对同一个问题的两个回答 | 裁判程序给分更高的：对的胜过错的，礼貌的胜过平淡的，平淡的胜过粗鲁的 |
# | **drives**（行驶） | 从同一个起点开始的两次行驶，都一直到倒下为止 | 立得更久的 |
# | **clips**（片段） | 从两次行驶中截取的同样 16 步 | 更稳的：杆子的平均倾角 $\lvert \theta \rvert$ 更小 |
#
# 这里的裁判是程序，为的是事后能数出模型错了多少；换成人，坐的也是同一个位置。模型看不到分数，只知道两个里偏爱了哪个。
# 下面看几对样例，它们都是*留出*（held out）的：问题和起点在训练中从不出现。

# %%
fresh = {name: new_run(reward_model.RECIPE, name, **SHORTER[name]) for name in NAMES}
held_out = {name: run.world.preferences(run.network, 400, seed=HELD_OUT, held_out=True) for name, run in fresh.items()}
language, answers = fresh["language"].world, held_out["language"]["answers"]
told_pairs = list(zip(language.answers(answers.chosen), language.answers(answers.rejected), strict=True))
display(table(["question", "preferred", "not preferred"],
              [[one.question.text, one.text, other.text] for one, other in told_pairs[:6]]))  # fmt: skip


# %%
def draw_lean(axes, kind, row):
    """Draw the lean of both poles of a pair, in degrees, against the step."""
    for episodes, colour, label in ((kind.rejected, BAD, "rejected"), (kind.chosen, GOOD, "chosen")):
        lean = episodes.obs[row, :, 2][episodes.mask[row]].rad2deg()
        axes.plot(range(1, len(lean) + 1), lean, color=colour, lw=1.8, label=label)
        axes.plot(len(lean), lean[-1], "o", color=colour, ms=5)
    axes.axhline(0, color=INK, lw=0.8)
    axes.set_xlabel("step", color=INK, fontsize=9)


figure, grid = panels(1, 2, height=2.8, width_ratios=[3, 2])
for axes, (kind, row) in zip(grid[0], (("drives", 0), ("clips", 1)), strict=True):
    draw_lean(axes, held_out["cartpole"][kind], row)
    axes.set_title(kind, loc="left", color=COLOUR["cartpole"], fontsize=11, weight="bold")
grid[0, 0].set_ylabel("lean (degrees)", color=INK, fontsize=9)
grid[0, 0].legend(frameon=False, fontsize=9, labelcolor=INK)
show(figure, "The lean of the pole against the step for one pair of drives and one pair of clips.")

# %% [markdown] lang="en"
# Left, the green pole stands longer: that drive was preferred. Right, both clips have the same number of steps, and the green
# one leans less on average. The two kinds ask different things of a reward, and this will matter: **how long a drive lasts is to be seen
# in drives, and is invisible in clips.** The plainest model of all, "count the steps", shows it. What share of the held-out pairs does it get right?
# (A tie counts half, as if a coin were tossed.)

# %% [markdown] lang="zh"
# （图例：chosen 选中，rejected 落选。）左图，绿色的杆子立得更久，所以这次行驶被选中。右图，两个片段步数相同，绿色的平均倾斜更小。这两种比较向奖励提的要求不一样，后面很要紧：
# **一次行驶有多久，在 drives 里看得见，在 clips 里看不见。** 最简单的模型“数步数”就能说明这一点。在留出的各对中，它判对多大比例？
# （平局算半对，等于抛一枚硬币。）

# %%
start = {name: judged(run.scorer, held_out[name]) for name, run in fresh.items()}
rows = []
for name in NAMES:
    for kind, pairs in held_out[name].items():
        lengths = [part.mask.sum(dim=1).float().mean() for part in (pairs.chosen, pairs.rejected)]
        counted = told(fresh[name], start[name], f"count_steps_{kind}")
        rows.append([kind, f"{len(pairs)}", *(f"{length:.1f}" for length in lengths), counted])
table(["kind", "pairs held out", "mean steps, chosen", "mean steps, rejected", "count the steps: right"], rows)

# %% [markdown] lang="en"
# On drives, counting is *perfect*: there, the longer drive is by definition the better one. On clips it is a coin. On answers it does better than a coin,
# because polite words take up room. So a good number on one kind of pairs says little; below, each kind is reported by itself, and
# with the step counter beside it. (Brackets, here and below, are 95 % intervals.)
#
# ## 2. From a taste to a number
#
# Suppose each episode has a score $s$. The **Bradley-Terry model** says how likely it is that one is preferred to another: the greater the
# difference, the surer.
#
# $$P(\text{chosen} \succ \text{rejected}) = \sigma(s^+ - s^-), \qquad \sigma(m) = \frac{1}{1 + e^{-m}}$$
#
# $s^+$ is the score of the chosen episode, $s^-$ that of the rejected one, and their difference $m$ is the *margin*. $\sigma$ brings any number
# between 0 and 1. Then learn as always: make likely what was observed. With $N$ pairs,
#
# $$L = -\frac{1}{N} \sum_{n} \log \sigma(s^+_n - s^-_n)$$
#
# In the core:

# %% [markdown] lang="zh"
# 在 drives 上，数步数*百发百中*：那里的“好”本来就定义为更久。在 clips 上，它等于抛硬币。在 answers 上，它比抛硬币强一点，因为礼貌的话总要占些地方。
# 所以，只看一种比较上的好成绩说明不了什么；下面每一种都单独报告，旁边放上“数步数”作对照。（方括号里是 95 % 置信区间，下同。）
#
# ## 2. 从喜好到数
#
# 设每个回合有一个分数 $s$。**Bradley-Terry 模型**说的是：一个比另一个更受偏爱的概率有多大。分数差得越多，就越有把握。
#
# $$P(\text{选中} \succ \text{落选}) = \sigma(s^+ - s^-), \qquad \sigma(m) = \frac{1}{1 + e^{-m}}$$
#
# $s^+$ 是选中的回合的分数，$s^-$ 是落选的，两者之差 $m$ 叫*间隔*（margin）。$\sigma$ 把任何数变到 0 与 1 之间。
# 接下来照老办法学：让观察到的事情尽量可能。设有 $N$ 对，
#
# $$L = -\frac{1}{N} \sum_{n} \log \sigma(s^+_n - s^-_n)$$
#
# 在核心代码里：

# %%
display(excerpt(bradley_terry_loss, first="margins = chosen_scores", last="loss = -logsigmoid"))
margins = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0], requires_grad=True)
rows = []
for place, margin in enumerate(margins.tolist()):
    loss, _ = bradley_terry_loss(margins[place : place + 1], torch.zeros(1))
    (slope,) = torch.autograd.grad(loss, margins)
    rows.append([f"{margin:+.0f}", f"{torch.tensor(margin).sigmoid():.3f}", f"{loss:.3f}", f"{slope[place]:+.3f}"])
table(["margin m", "P(chosen ≻ rejected)", "loss (nats)", "slope dL/dm"], rows)

# %% [markdown] lang="en"
# This is classification, with the margin as its logit. A model that knows nothing has margin 0, gives even odds, and loses $\log 2 \approx 0.693$ nats
# on every pair. A pair that is wrong by far pulls with nearly full force; one that is settled hardly pulls any more.
#
# Mind what the formula does *not* hold: a score by itself. Only differences count. We shall come back to that.
#
# ## 3. Where the number stands
#
# The loss wants one number for a whole episode. The core wants a reward for each step, since PPO does. So a *scorer* gives one number a step,
# and an episode's score is the sum of these numbers $r_t$, over the steps $t$ that count (the mask):
#
# $$s = \sum_{t} r_t$$

# %% [markdown] lang="zh"
# 这就是分类，间隔就是它的 logit。一无所知的模型间隔为 0，两边各给一半，每一对损失 $\log 2 \approx 0.693$ 奈特。
# 错得离谱的一对几乎用全力去拉；已经分清的一对就几乎不再出力。
#
# 注意公式里*没有*什么：没有单独的分数，只有差才算数。这一点后面还要回来说。
#
# ## 3. 这个数放在哪里
#
# 损失要的是整个回合一个数；核心代码要的是每步一个奖励，因为 PPO 需要。所以*打分器*（scorer）每步给一个数，
# 一个回合的分数就是这些数 $r_t$ 在有效步 $t$（由 mask 标明）上的和：
#
# $$s = \sum_{t} r_t$$

# %%
display(excerpt(episode_scores, first="return select(scorer.score"))
display(excerpt(MLPScorer.score, first="seen = _features", last="return select"))
display(excerpt(TokenScorer.score, first="tokens = torch.cat"))
display(excerpt(TokenScorer.score, first="steps = torch.arange", last="return select"))

# %% [markdown] lang="en"
# - **The pole's scorer** (`MLPScorer`) is a small perceptron that sees one state and the push that answered it. It puts a reward on *each* step, so a
#   drive's score is a sum with as many terms as it has steps.
# - **The answer's scorer** (`TokenScorer`) is a language model without its last layer. In place of the layer that
#   scores the next token there is a head with a single output, which begins at 0. It reads the question and the answer, and puts the whole score on the *last*
#   live step; every other step gets 0.
#
# One detail has ruined many a reward model: the head must have read the **last token**. A policy's network at its last step
# has seen all tokens *but the one it is about to choose*. A head on top of that would not know whether the answer ends with "Hope that helps!" or with something else. This is why
# `tokens` in the excerpt joins prompt, first observation and *all actions*. Below we check it.
#
# ## 4. Predict first
#
# The numbers that stand here are only there so that the notebook runs by itself. **Change them**, then run on.
#
# - What share of held-out pairs will each reward model get right, by kind?
# - Now let the judge be wrong in one of five training pairs, at random. The best anyone can do on *such* judgments is 80 %. What share of *true*
#   preferences will the model get right that learnt from them?
# - At the end we teach a pole's reward model clips only, and then add a constant to the reward of every step, the same everywhere. On how many
#   percent of the clips will its judgment change? How long will a pole stand whose driver learns from it, if the constant makes rewards negative?

# %% [markdown] lang="zh"
# - **杆子的打分器**（`MLPScorer`）是一个小感知机，看一个状态，以及当时的那一推。它给*每一步*放一个奖励，所以一次行驶有多少步，分数就是多少项之和。
# - **回答的打分器**（`TokenScorer`）是一个去掉最后一层的语言模型。原来给下一个词元打分的那一层，换成了只有一个输出的“头”（head），从 0 开始学。
#   它把问题和回答都读完，把整个分数放在*最后*一个有效步上，其余各步都是 0。
#
# 有一个细节毁掉过许多奖励模型：这个头必须读到**最后一个词元**。策略网络走到最后一步时，看过的是*除了马上要选的那个之外*的所有词元；
# 把头直接接在那里，它就不知道回答的结尾到底是“希望能帮到您！”还是别的什么。所以摘录里的 `tokens` 拼接了提示、第一个观测和*全部动作*。下面会检验这一点。
#
# ## 4. 先预测
#
# 下面现成的数字，只是为了让笔记本能自动跑完。**请改成你自己的**，再往下运行。
#
# - 两个奖励模型在留出的各种比较上，各会判对多大比例？
# - 再让裁判在训练数据里随机判错五分之一。面对*这样的*判断，谁最多也只能答对 80 %。那么，从中学出来的模型，在*真实的*偏好上会判对多大比例？
# - 最后，我们只用 clips 教杆子的奖励模型，然后给每一步的奖励都加上同一个常数。它对多大比例的 clips 会改变判断？
#   如果这个常数让奖励变成负的，照着它学的司机能让杆子立多少步？

# %%
predicted = {
    "answers: right": 0.80,
    "drives: right": 0.90,
    "clips: right": 0.80,
    "answers: right, after judgments of which 20 % are wrong": 0.75,
    "clips: judgments that a constant per step changes": 0.10,
    "steps upright, with a negative constant per step": 100,
}

# %% [markdown] lang="en"
# ## 5. Both worlds learn
#
# One iteration: play fresh pairs, go over them once. This is the loop, the same function object in both worlds:

# %% [markdown] lang="zh"
# ## 5. 两个世界一起学
#
# 一轮迭代：玩出一批新的对子，把它们过一遍。循环是这样的，两个世界用的是同一个函数对象：

# %%
display(excerpt(reward_model.train, first="while run.iteration", last="yield"))
display(excerpt(reward_model.reward_model, first="for index in", last="return mean_metrics"))
runs, records = {}, {}
for name in NAMES:
    for noise in (0.0, 0.2):  # the noisy ones are for section 7
        runs[name, noise] = new_run(reward_model.RECIPE, name, noise=noise, **SHORTER[name])
        records[name, noise] = finish(runs[name, noise])

# %%
FLOOR = -(0.2 * torch.tensor(0.2).log() + 0.8 * torch.tensor(0.8).log()).item()  # nats: the entropy of a 20 % coin
figure, grid = panels(2, 2, height=4.6, sharex="col")
for (name, noise), history in records.items():
    column = NAMES.index(name)
    style = {"ls": (0, (4, 1.5)), "color": INK, "lw": 1.4} if noise else {"color": COLOUR[name], "lw": 2}
    label = "20 % judged wrong" if noise else "all judged right"
    for axes, quantity in zip(grid[:, column], ("loss", "accuracy"), strict=True):
        axes.plot([row["iteration"] for row in history], [row[quantity] for row in history], label=label, **style)
for column, name in enumerate(NAMES):
    top, low = grid[:, column]
    for axes, lines in ((top, (torch.tensor(2.0).log(), FLOOR)), (low, (0.8,))):
        for height in lines:
            axes.axhline(height, color=INK, lw=0.9, ls=":")
    top.set(ylim=(0, 1.05 * max(1, *(row["loss"] for noise in (0.0, 0.2) for row in records[name, noise]))))
    top.set_yticks([0, FLOOR, torch.tensor(2.0).log(), 1], ["0", f"{FLOOR:.2f}", "log 2", "1"])
    low.set(ylim=(0.45, 1.02))
    top.set_title(fresh[name].world.title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    low.set_xlabel("iteration", color=INK, fontsize=9)
    low.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
grid[0, 0].set_ylabel("loss\n(nats per pair)", color=INK, fontsize=9)
grid[1, 0].set_ylabel("share of pairs\nrightly told apart", color=INK, fontsize=9)
show(figure, "Loss and accuracy on the training pairs against the iteration, with right and with noisy judgments.")

# %% [markdown] lang="en"
# Look at the solid lines first; the dashed ones belong to section 7. The loss comes down from $\log 2$, and the share of pairs that are told apart rises. (A point is the
# mean over one pass on *fresh* pairs, so it is already learning while it is measured; the pole's model learns so fast that its first point
# lies below $\log 2$.) On held-out pairs, before and after:

# %% [markdown] lang="zh"
# 先看实线，虚线留到第 7 节。损失从 $\log 2$ 往下走，分得清的比例往上走。（一个点是在一批*新*对子上过一遍的平均，边量边学；
# 杆子的模型学得很快，所以它的第一个点已经低于 $\log 2$。）在留出的对子上，训练前后是这样：

# %%
after = {key: judged(run.scorer, held_out[key[0]]) for key, run in runs.items()}
rows = []
for name in NAMES:
    run, evaluation = runs[name, 0.0], after[name, 0.0]
    rows += [
        [kind, *(told(run, results, f"accuracy_{kind}") for results in (start[name], evaluation)), told(run, evaluation, f"count_steps_{kind}")]
        for kind in held_out[name]
    ]  # fmt: skip
    rows.append([f"{name}, all", *(told(run, results, "accuracy") for results in (start[name], evaluation)), "–"])
display(table(["share of held-out pairs judged right", "before", "after", "count the steps"], rows))
for name in NAMES:
    pairs = Pairs.joined(list(held_out[name].values()))
    with torch.no_grad():
        loss, _ = bradley_terry_loss(
            episode_scores(fresh[name].scorer, pairs.chosen), episode_scores(fresh[name].scorer, pairs.rejected)
        )
    print(f"{name:<10} before training: loss {loss:.4f} nats   log 2 = {torch.tensor(2.0).log():.4f}")
clips = held_out["cartpole"]["clips"]
with torch.no_grad():
    hit = episode_scores(runs["cartpole", 0.0].scorer, clips.chosen) > episode_scores(
        runs["cartpole", 0.0].scorer, clips.rejected
    )
steadier = [part.obs[..., 2].abs().mean(dim=1).rad2deg() for part in (clips.rejected, clips.chosen)]
apart = steadier[0] - steadier[1]
print(
    f"clips, difference of the mean lean (median): {apart[hit].median():.2f}° where judged right, {apart[~hit].median():.2f}° where wrong"
)
for name in NAMES:
    for kind in held_out[name]:
        compare(f"{kind}: right", predicted[f"{kind}: right"], after[name, 0.0][f"accuracy_{kind}"])

# %% [markdown] lang="en"
# Before, the model says 0 to everything: every pair is a tie. Afterwards it tells nearly all of them apart, and beats the step counter wherever that
# one has no rule to follow. (On drives it can at best draw level.) Clips are the hardest, and where the model
# goes wrong, the two usually differ by a fraction of a degree.
#
# Is it one algorithm? The tracer of lesson 1 notes which functions of `rl_core` run in an iteration:

# %% [markdown] lang="zh"
# 训练前，模型对一切都说 0，每一对都是平局。训练后，它几乎都分得清；凡是“数步数”派不上用场的地方，它都更强。（在 drives 上，它最多和数步数打平。）
# 最难的是 clips；而模型判错的那些，两边的平均倾角往往只差零点几度。
#
# 是同一个算法吗？用第一课的跟踪器，看一轮迭代里执行了 `rl_core` 的哪些函数：

# %%
used = {
    name: functions_used(lambda name=name: next(reward_model.train(new_run(reward_model.RECIPE, name, starts=16))))
    for name in NAMES
}
shared = set.intersection(*used.values())
for name in ("reward_model", "episode_scores", "bradley_terry_loss", "optimizer_step"):
    print("both worlds run   ", next(function for function in sorted(shared) if function.split(": ")[1] == name))
for name in NAMES:
    print(f"only {name}: {', '.join(sorted(used[name] - shared)) or 'none'}")

# %% [markdown] lang="en"
# (The pole's prompt is an empty one, and somebody has to make it.)
#
# ## 6. What has been learnt
#
# ### The scores
#
# For each kind, the scores of all held-out episodes, in green where the episode was chosen and in red where it was rejected. Before
# training, all of them stood at exactly 0.

# %% [markdown] lang="zh"
# （杆子的提示是空的，但也得有人来造。）
#
# ## 6. 学到了什么
#
# ### 分数
#
# 对每一种比较，画出所有留出回合的分数：选中的为绿色，落选的为红色。训练之前，它们全都恰好是 0。

# %%
scores = {}
for name in NAMES:
    for kind, pairs in held_out[name].items():
        with torch.no_grad():
            parts = (pairs.chosen, pairs.rejected)
            scores[name, kind] = [episode_scores(runs[name, 0.0].scorer, part) for part in parts]
figure, grid = panels(1, 3, height=2.9)
for axes, ((name, kind), kind_scores) in zip(grid[0], scores.items(), strict=True):
    bins = torch.linspace(torch.cat(kind_scores).min(), torch.cat(kind_scores).max(), 33).tolist()
    for part, colour, label in zip(kind_scores, (GOOD, BAD), ("chosen", "rejected"), strict=True):
        axes.hist(part.tolist(), bins=bins, color=colour, alpha=0.55, label=label)
    axes.set_title(kind, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    axes.set_xlabel("score of the episode", color=INK, fontsize=9)
grid[0, 0].set_ylabel("episodes", color=INK, fontsize=9)
grid[0, 1].legend(frameon=False, fontsize=9, labelcolor=INK)
show(figure, "Histograms of the scores of chosen and rejected episodes, for drives, clips and answers.")

# %% [markdown] lang="en"
# The colours overlap, and still nearly all pairs are right. That is no contradiction. A pair compares two episodes from *one* start (clips: the same steps of two such drives); an easy start may give both a
# high score. In the answers you see the judge's ladder: rude, plain, polite. A plain answer is chosen over a rude one and rejected for a
# polite one, so the middle of the ladder is both green and red.
#
# As long as the judge is never wrong, the unit is arbitrary: margins may grow for ever, and their size only tells how long we trained. The last iteration therefore gives it one: `typical_reward` in the loop above divides
# all rewards by their root mean square, so that a pole's reward is about 1 a step and a text's about 1 an answer, as PPO's settings expect.
#
# ### The pole's taste
#
# The pole's reward has four numbers and a push as its input. We put the cart in the middle of its track, at rest, and look at the two others: the lean
# $\theta$ and the angular velocity $\dot\theta$, that is how fast the lean changes. Each point of the map is the learnt reward of one step, as the mean of both
# pushes; dots are states in which our starting policy was. On the right are three cuts through the map.

# %% [markdown] lang="zh"
# 两种颜色有重叠，几乎每一对却都判对了，这并不矛盾。一对比较的是从*同一个*起点开始的两个回合（clips 则是这样两次行驶的同一段）；起点容易，两个分数可能都高。
# 在 answers 里看得出裁判的阶梯：粗鲁、平淡、礼貌。平淡的回答遇到粗鲁的会被选中，遇到礼貌的会落选，所以阶梯的中段既有绿色也有红色。
#
# 只要裁判从不出错，单位就是随意的：间隔可以一直大下去，它的大小只说明训练了多久。所以最后一轮迭代会给它定一个单位：上面循环里的 `typical_reward` 把所有奖励除以它们的均方根，
# 于是杆子的奖励大约每步为 1，文本的大约每个回答为 1，正合 PPO 的设置。
#
# ### 杆子的喜好
#
# 杆子的奖励以四个数和一次推动为输入。我们让小车停在轨道正中，速度为零，只看另外两个数：倾角 $\theta$ 和角速度 $\dot\theta$（倾角变化的快慢）。
# 图中每一点是学到的一步的奖励，取两种推法的平均；黑点是起始策略到过的状态。右图是这张图的三个剖面。

# %%
SIDE = 41
lean, turn = torch.meshgrid(torch.linspace(-0.21, 0.21, SIDE), torch.linspace(-2, 2, SIDE), indexing="xy")  # rad, rad/s
seen = torch.stack([0 * lean, 0 * lean, lean, turn], dim=-1).view(-1, 1, 4)
count = len(seen)


def rewards_for(scorer, push):
    """Return the scorer's reward of that push in every state of the map."""
    pushed = torch.full((count, 1), push)
    grid_of = Episodes(Prompt.empty(count), seen, pushed, torch.ones(count, 1, dtype=torch.bool))
    return scorer.score(grid_of).detach().view(SIDE, SIDE)


left, right = (rewards_for(runs["cartpole", 0.0].scorer, push) for push in (0, 1))
reward = (left + right) / 2
figure, grid = panels(1, 2, height=3.3, width_ratios=[5, 4])
field, cuts = grid[0]
extent = (-12, 12, -2, 2)
picture = field.imshow(reward, origin="lower", aspect="auto", extent=extent, cmap="YlGn", interpolation="bilinear")
figure.colorbar(picture, ax=field, label="reward of a step").ax.tick_params(labelsize=8, length=0)
drives = held_out["cartpole"]["drives"].chosen
states = drives.obs[drives.mask][::23]
field.plot(states[:, 2].rad2deg(), states[:, 3], ".", color=INK, ms=1.5, alpha=0.5)
field.set(xlim=(-12, 12), ylim=(-2, 2))
field.grid(False)
field.set_ylabel(r"angular velocity $\dot\theta$ (rad/s)", color=INK, fontsize=9)
for line, colour in ((10, COLOUR["language"]), (20, INK), (30, COLOUR["cartpole"])):
    cut_label = rf"$\dot\theta$ = {turn[line, 0]:+.0f} rad/s".replace("-", "−").replace("+0", "0").replace("−0", "0")
    cuts.plot(lean[line].rad2deg(), reward[line], color=colour, lw=2, label=cut_label)
    field.axhline(turn[line, 0], color=colour, lw=1, alpha=0.7)
cuts.legend(frameon=False, fontsize=8, labelcolor=INK)
cuts.set_ylabel("reward of a step", color=INK, fontsize=9)
for axes in (field, cuts):
    axes.set_xlabel(r"lean $\theta$ (degrees)", color=INK, fontsize=9)
show(figure, "The learnt reward of the pole over lean and angular velocity, with three cuts at fixed angular velocity.")
apart = (right - left).abs().max()
print(f"rewards on this map: {reward.min():.2f} to {reward.max():.2f}; the two pushes differ by {apart:.2f} at most")

# %% [markdown] lang="en"
# Two things are to be seen.
#
# - **There is a ridge, and it is slanted.** Where the pole stands still, the reward is highest near upright. Where it turns, the reward is highest where
#   the pole leans to the one side *and is on its way back from there*. Nobody has mentioned angular velocity. The judgments were about lasting and about leaning, and
#   the model has found out by itself which states lead to both.
# - **Nearly all of the reward is a constant**: about 1 for a step in any state. That is what the drives ask for: standing for one more step is worth something, whatever
#   the state. The clips ask for the ridge. Remember this constant.
#
# ### The taste in answers
#
# An answer's score is one number. To see where it comes from, we take an answer and let it end early: after its first token, after its second, and so on, always with the end token
# (EOS) behind. Each box below shows a token, and below it the score of the answer that ends there. (Some tokens are pieces of words. Two questions: one with a polite and a
# rude answer, one with a right answer and a refusal. Green is above 0, red below.)

# %% [markdown] lang="zh"
# 可以看出两点。
#
# - **有一道山脊，而且是斜的。** 杆子不转动时，越接近竖直，奖励越高；转动时，奖励最高的地方是：杆子向一侧倾斜，*并且正从那一侧往回走*。
#   谁也没有提过角速度。判断说的只是立得久不久、斜得多不多，而哪些状态能带来这两样，是模型自己发现的。
# - **奖励几乎全是一个常数**：不论什么状态，每步大约是 1。这正是 drives 所要求的：不管处在什么状态，多立一步总归值一些。clips 要求的则是山脊。请记住这个常数。
#
# ### 对回答的喜好
#
# 一个回答的分数只有一个数。想知道它从哪里来，我们就让回答提前结束：在第一个词元之后，在第二个之后，依此类推，后面总跟着结束词元（EOS）。
# 下图每个方框是一个词元，框下的数是回答到此结束时的分数。（有些词元只是单词的一部分。两个问题：一个有礼貌和粗鲁两种回答，另一个一答对、一拒答。绿色大于 0，红色小于 0。）


# %%
def draw_tokens(axes, words, numbers, title, colour):
    """Draw an answer's tokens as boxes, each coloured by the score that the answer would have if it ended there."""
    for place, (word, number) in enumerate(zip(words, numbers, strict=True)):
        text = word.strip() or "␣"
        tint = (GOOD if number > 0 else BAD, min(0.75, 0.4 * abs(number)))
        box = {"boxstyle": "round,pad=0.35", "facecolor": tint, "edgecolor": PALE}
        text = text if drawable([text]) else f"#{place + 1}"
        axes.text(place, 0.62, text, ha="center", va="center", fontsize=9 if len(text) < 8 else 7, color=INK, bbox=box)
        axes.text(
            place,
            0.12,
            f"{number:+.1f}" if abs(number) >= 0.05 else "0",
            ha="center",
            va="center",
            fontsize=8,
            color=INK,
        )
    axes.set(xlim=(-0.6, 14.6), ylim=(-0.1, 1), xticks=[], yticks=[])
    axes.set_title(title, loc="left", color=colour, fontsize=9)
    axes.grid(False)


english = [
    (row, one, other)
    for row, (one, other) in enumerate(told_pairs)
    if one.question.fact.language == "en"
    and answers.chosen.mask[row].sum() <= 16
    and answers.rejected.mask[row].sum() <= 16
]
rude = [
    candidate for candidate in english if (candidate[1].verdict.tone, candidate[2].verdict.tone) == ("polite", "rude")
]
wrong = [candidate for candidate in english if candidate[1].verdict.right and not candidate[2].verdict.right]
examples = (rude[:1] + wrong[:1] + english)[:2]
judge_of_answers = runs["language", 0.0].scorer
figure, grid = panels(4, 1, width=9.6, height=4.2)
sides = [(answers.chosen, "chosen", GOOD), (answers.rejected, "rejected", BAD)]
for number, (row, one, _) in enumerate(examples):
    for line, (part, side, colour) in enumerate(sides):
        length = int(part.mask[row].sum())
        end = part.actions[row, length - 1]
        copies = part.rows(torch.full((length - 1,), row))  # the same answer, once for each place where it may end
        here = torch.ones_like(copies.mask).tril().roll(1, dims=1)  # row k ends with column k + 1
        here[:, 0] = True
        stop = here & ~torch.ones_like(copies.mask).tril()
        early = replace(copies, actions=torch.where(stop, end, copies.actions), mask=copies.mask & here)
        with torch.no_grad():
            ended = episode_scores(judge_of_answers, early)
        title = f"{one.question.text}   {side}"
        draw_tokens(grid[2 * number + line, 0], language.words(part, row)[:-1], ended.tolist(), title, colour)
show(figure, "The tokens of four answers, each coloured by the score of the answer up to there.")

# %% [markdown] lang="en"
# The last number of each line is the score of the whole answer. It is decided late: most beginnings get about what a plain answer gets, near the middle of the ladder, and the last tokens tip the scale.
#
# But look at the half sentences just before the end. A polite wish without its last sign scores less than no wish at all. Nobody has judged it so: no such thing was ever in a pair, and *no judgment
# has ever said what it is worth*. A reward model is reliable where it was taught, and anything at all elsewhere, too high or too low. A policy that hunts for points will find the places where it is too high. That is called
# *reward hacking*, and it is one more reason for staying close to the start.
#
# ### Does it read the last token?
#
# We exchange the last live action of each chosen episode for another one, and leave everything else as it is. The observations stay the same, so a head on the states of a
# policy would notice nothing. Where do the rewards change?

# %% [markdown] lang="zh"
# 每一行最后的数，就是整个回答的分数。它定得很晚：大多数开头得到的分数和平淡的回答差不多，在阶梯的中段；最后几个词元才让它一边倒。
#
# 不过请看快到结尾的半截话：一句礼貌的祝愿，少了最后一个符号，得分竟然比没有祝愿还低。可没有人这样评判过：这样的东西从来没有出现在任何一对里，*没有哪个判断说过它值多少*。
# 奖励模型在学过的地方可靠，在别处说什么都有可能，或高或低。一心找分的策略会找到打得太高的地方，这叫*奖励作弊*（reward hacking），也是不要离起点太远的又一个理由。
#
# ### 它读到最后一个词元了吗？
#
# 把每个选中的回合里最后一个有效的动作换成另一个，其余一概不动。观测完全一样，所以接在策略状态上的头什么也察觉不到。那么，奖励在哪里变了？

# %%
rows = []
for name in NAMES:
    scorer, episodes = runs[name, 0.0].scorer, next(iter(held_out[name].values())).chosen
    last = episodes.mask & (episodes.mask.cumsum(dim=1) == episodes.mask.sum(dim=1, keepdim=True))
    others = torch.where(last, episodes.actions ^ 1, episodes.actions)  # 0 becomes 1 and 1 becomes 0, 2 becomes 3, ...
    exchanged = replace(episodes, actions=others)
    with torch.no_grad():
        change = (scorer.score(exchanged) - scorer.score(episodes)).abs()
    earlier = change[episodes.mask & ~last].max()
    cells = [f"{(change[last] > 1e-4).float().mean():.0%}", f"{change[last].mean():.2f}", f"{earlier:.0e}"]
    rows.append([name, str(torch.equal(exchanged.obs, episodes.obs)), *cells])
table(["world", "same observations", "last reward changes in", "by, on average", "earlier rewards change by"], rows)

# %% [markdown] lang="en"
# In both worlds the last action counts, and in neither does it change a reward that was given before. For the pole, the last
# push is one of many; for the answer, the last reward is all of its score.
#
# ## 7. When the judge is wrong
#
# People disagree, hurry, and slip. In the dashed runs of section 5 the judge was wrong in about 20 % of the training pairs, at random. Nobody can
# then be right about more than 80 % of the *judgments*, for which of them are wrong is pure chance. And no model can lose less than the
# entropy of such a coin, $-0.2 \log 0.2 - 0.8 \log 0.8 \approx 0.50$ nats a pair: the second dotted line. But what about the *truth*?

# %% [markdown] lang="zh"
# 两个世界里，最后一个动作都算数；也都没有改变在它之前给出的奖励。对杆子来说，最后一推只是许多推中的一个；对回答来说，最后那个奖励就是全部分数。
#
# ## 7. 裁判也会错
#
# 人会意见不一，会赶时间，会看走眼。在第 5 节的虚线里，裁判在大约 20 % 的训练对子上随机判错。这样一来，谁也不可能在*判断*上答对超过 80 %，
# 因为哪些判错纯属偶然；也没有哪个模型的损失能低于这样一枚硬币的熵：每对 $-0.2 \log 0.2 - 0.8 \log 0.8 \approx 0.50$ 奈特，就是图中的第二条点线。
# 那么，在*真实*的偏好上又如何？

# %%
rows = []
for name in NAMES:
    for kind, pairs in held_out[name].items():
        judgments = swapped(pairs, 0.2, torch.Generator().manual_seed(HELD_OUT))
        noisy = runs[name, 0.2]
        rows.append([
            kind,
            told(runs[name, 0.0], after[name, 0.0], f"accuracy_{kind}"),
            f"{accuracy(noisy.scorer, judgments):.1%}",
            told(noisy, after[name, 0.2], f"accuracy_{kind}"),
        ])  # fmt: skip
head = [
    "right about",
    "the truth, taught rightly",
    "judgments, 20 % wrong, taught with such",
    "the truth, taught with 20 % wrong",
]
display(table(head, rows))
for name in NAMES:
    margins = [records[name, noise][-1]["margin"] for noise in (0.0, 0.2)]
    print(f"{name:<10} mean margin, last iteration: {margins[0]:7.2f} taught rightly, {margins[1]:.2f} with 20 % wrong")
claim = "answers: right, after judgments of which 20 % are wrong"
compare(claim, predicted[claim], after["language", 0.2]["accuracy_answers"])

# %% [markdown] lang="en"
# **The pupil is better than its teacher.** Wrong judgments are random, so some pull one way and some the other, and they cancel; right ones all pull the same way, and add
# up. What noise costs is *data*: more pairs for the same accuracy. The pole's model pays more. A drive's score is the sum of dozens of rewards, so one wrongly judged long drive pulls
# hard (see the spikes of its dashed loss).
#
# **And it is less sure of itself.** Where no judgment ever contradicts, margins may grow for ever. With 20 % wrong, the best margin is the one with $\sigma(m) = 0.8$, that is $m = \log 4 \approx 1.39$. As it
# counts negative in every fifth pair, the best mean is $(0.8 - 0.2) \log 4 \approx 0.83$: compare it with the printed ones. So a margin is more than a ranking. It says *how likely this judge is to
# prefer the one to the other* (before `typical_reward` divides it).
#
# One warning. What cancels are mistakes that are *random*. A judge who likes long answers errs always in the same direction, and the model will learn it like everything else.
#
# ## 8. What pairs cannot say
#
# ### A constant per episode
#
# Add a constant $c$ to the score of *every* episode. The loss does not notice:
#
# $$\sigma\big((s^+ + c) - (s^- + c)\big) = \sigma(s^+ - s^-)$$
#
# Neither does the gradient, so training can never decide how high the scores are. Here are loss and gradient of a batch, with $c = 0$ and with $c = 8$. (The
# scores have got their unit by now, so these losses are not those of the curves.)

# %% [markdown] lang="zh"
# **学生比老师强。** 判错是随机的，有的往这边拉，有的往那边拉，互相抵消；判对的都往一个方向拉，越积越多。噪声要付的代价是*数据*：
# 要达到同样的准确率，需要更多的对子。杆子的模型付得更多：一次行驶的分数是几十个奖励之和，一次很长的行驶若被判错，拉力就很大（看它虚线上的尖峰）。
#
# **它也不那么自信了。** 如果从来没有相反的判断，间隔可以一直大下去。有 20 % 判错时，最好的间隔满足 $\sigma(m) = 0.8$，即 $m = \log 4 \approx 1.39$。
# 每五对里有一对要取负号，所以平均值最好是 $(0.8 - 0.2) \log 4 \approx 0.83$：请和印出的数比一比。可见间隔不只是排个名次，它说的是*这位裁判有多大可能更喜欢这一个*（这指的是除以 `typical_reward` 之前）。
#
# 要提醒的是：能互相抵消的，只有*随机*的错误。偏爱长回答的裁判总是往同一个方向错，模型会像学别的东西一样把它学会。
#
# ## 8. 成对的比较说不出什么
#
# ### 每个回合一个常数
#
# 给*每个*回合的分数都加上一个常数 $c$，损失毫无察觉：
#
# $$\sigma\big((s^+ + c) - (s^- + c)\big) = \sigma(s^+ - s^-)$$
#
# 梯度也毫无察觉，所以训练永远无法决定分数的高低。下面是一批对子在 $c = 0$ 与 $c = 8$ 时的损失和梯度。（这时分数已经定过单位，所以和曲线里的损失不同。）

# %%
for name in NAMES:
    scorer, pairs = runs[name, 0.0].scorer, next(reversed(held_out[name].values())).rows(slice(0, 64))
    ups, downs = episode_scores(scorer, pairs.chosen), episode_scores(scorer, pairs.rejected)
    losses_and_gradients = []
    for constant in (0.0, 8.0):
        loss, _ = bradley_terry_loss(ups + constant, downs + constant)
        gradients = torch.autograd.grad(loss, list(scorer.parameters()), retain_graph=True, materialize_grads=True)
        losses_and_gradients.append((loss.item(), torch.cat([gradient.flatten() for gradient in gradients])))
    (plain, slope), (raised, other) = losses_and_gradients
    print(f"{name:<10} loss {plain:.5f} and {raised:.5f}   gradient: largest {slope.abs().max():.1e}, "
          f"largest difference {(slope - other).abs().max():.0e}")  # fmt: skip

# %% [markdown] lang="en"
# Nothing but rounding.
#
# ### A constant per step
#
# Now add $c$ to the reward of every *step*. With $L^+$ and $L^-$ steps, the margin becomes
#
# $$(s^+ + c L^+) - (s^- + c L^-) = (s^+ - s^-) + c\,(L^+ - L^-)$$
#
# On clips, $L^+ = L^-$, and nothing changes at all. On drives everything may change. So a reward model that was taught with clips alone has an *offset per step that no
# judgment has ever decided*: it is whatever the network's shape and its initialisation happen to leave there. And whoever learns from it does notice. To test this, we hand both worlds' models to PPO (`relabel` puts the scorer's numbers in the place of a rollout's rewards) and take 2 away from every number that
# the model gives ($c = -2$; for an answer that is one number, for a drive one a step, so that about $+1$ becomes about $-1$). PPO learns from advantages. How much do they change?

# %% [markdown] lang="zh"
# 除了舍入误差，没有任何差别。
#
# ### 每步一个常数
#
# 现在给每一*步*的奖励都加上 $c$。设两边各有 $L^+$ 和 $L^-$ 步，间隔就变成
#
# $$(s^+ + c L^+) - (s^- + c L^-) = (s^+ - s^-) + c\,(L^+ - L^-)$$
#
# 在 clips 上 $L^+ = L^-$，什么都没变；在 drives 上，一切都可能变。所以，只用 clips 教出来的奖励模型，*每步的基准是多少，从来没有任何判断来决定*：
# 网络的形状和初始化碰巧留下什么，就是什么。而照着它学的人却会察觉。来检验一下：把两个世界的模型交给 PPO（`relabel` 把一批轨迹里的奖励换成打分器给的数），把模型给出的每个数都减去 2
# （$c = -2$；回答只有一个数，行驶每步一个，于是大约 $+1$ 变成了大约 $-1$）。PPO 学的是优势，那么优势会变多少？

# %%
for name in NAMES:
    learner = new_run(ppo.RECIPE, name)
    played = relabel(rollout(learner.env, learner.network, learner.generator), runs[name, 0.0].scorer)
    update, values, advantages = learner.config.update, state_values(learner.network, played), []
    for constant in (0.0, -2.0):
        rewards = played.rewards + constant * (played.rewards != 0)
        raw, _ = gae(rewards, values, played.terminated, played.mask, gamma=update.gamma, lam=update.lam)
        advantages.append(normalize(raw, played.mask))
    flipped = ((advantages[0] > 0) != (advantages[1] > 0))[played.mask].float().mean()
    apart = (advantages[0] - advantages[1]).abs().max()
    print(f"{name:<10} largest change of an advantage {apart:.1e}   advantages whose sign changed {flipped:.1%}")

# %% [markdown] lang="en"
# (Advantages are brought to mean 0 and standard deviation 1 before they are used, as PPO does; so 1 is a lot.) An answer gets one number, whenever it ends. A
# constant there moves all answers alike, and "better than expected" stays what it was. A drive gets more of the constants the longer it
# lasts. A positive one says "go on", a negative one says "make an end of it".
#
# ### The agent that hurries to fall
#
# We teach the pole's model clips alone, with three seeds. From each of these models we make two more, by changing a single
# number, the bias of the last layer, so that the mean reward on a drive of our starting policy is $+1$ a step, or $-1$ a step. Then PPO learns from each of
# them, for 30 iterations. Beside them stands PPO on the model of section 5, which was taught with drives as well. The world's own +1 is shown to none of them; it is only counted for the table.

# %% [markdown] lang="zh"
# （优势在使用前会像 PPO 那样调整到均值 0、标准差 1，所以变化 1 已经很大。）回答无论何时结束，都只得到一个数；在那里加常数，所有回答一起升降，
# “比预期好”还是原来那些。行驶则是越久，得到的常数越多：常数为正，等于说“坚持下去”；常数为负，等于说“早点了结”。
#
# ### 急着倒下的智能体
#
# 只用 clips 教杆子的奖励模型，用三个随机种子。再从每个模型各做出两个变体，只改一个数，即最后一层的偏置，使它在起始策略的行驶上平均每步奖励为 $+1$ 或 $-1$。
# 然后让 PPO 照着每一个各学 30 轮。作为对照，再让 PPO 照着第 5 节的模型学，那个模型还学过 drives。
# 环境自己的 +1 谁也没见过，只在制表时用来计数。

# %%
SEEDS, UPDATES = (0, 1, 2), 30
STYLE = {"all pairs": INK, "clips": COLOUR["cartpole"], "clips, mean +1": GOOD, "clips, mean −1": BAD}
pole, usual = fresh["cartpole"].world, held_out["cartpole"]
reference_drives = Episodes.joined([usual["drives"].chosen, usual["drives"].rejected])
judges = {}
for seed in SEEDS:
    taught = new_run(reward_model.RECIPE, "cartpole", seed=seed, kinds=("clips",), iterations=20)
    finish(taught)
    judges["all pairs", seed], judges["clips", seed] = runs["cartpole", 0.0].scorer, taught.scorer
    for target, variant in ((1.0, "clips, mean +1"), (-1.0, "clips, mean −1")):
        judges[variant, seed] = deepcopy(taught.scorer)
        with torch.no_grad():
            now = taught.scorer.score(reference_drives)[reference_drives.mask].mean()
            judges[variant, seed].reward[-1].bias.add_(target - now)

drivers, histories = {}, {}
for (variant, seed), scorer in judges.items():
    learner = new_run(ppo.RECIPE, "cartpole", seed=seed, iterations=UPDATES)
    learner.scorer = scorer.requires_grad_(False)
    histories[variant, seed] = finish(learner)
    drivers[variant, seed] = pole.evaluate(learner.network, seed=HELD_OUT, quick=True)

# %%
figure, grid = panels(1, 2, height=3.2)
for (variant, seed), history in histories.items():
    points = [(row["iteration"], row["length"]) for row in history if row["length"] is not None]
    label = variant if seed == SEED else None
    grid[0, 0].plot(*zip(*points, strict=True), color=STYLE[variant], lw=1.6, label=label)
    accuracies = judged(judges[variant, seed], usual)
    ring = {"mfc": "none", "mew": 1.6, "ms": 13} if variant == "clips" else {"ms": 7}
    steps = drivers[variant, seed]["sampled_return"]
    grid[0, 1].plot(accuracies["accuracy_clips"], steps, "o", color=STYLE[variant], clip_on=False, **ring)
    if "−" in variant:
        grid[0, 1].vlines(
            accuracies["accuracy_clips"], steps, drivers["clips", seed]["sampled_return"], color=PALE, lw=3, zorder=0
        )
grid[0, 0].legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
grid[0, 0].set_xlabel("iteration of PPO", color=INK, fontsize=9)
grid[0, 0].set_ylabel("steps of a drive\n(recent drives)", color=INK, fontsize=9)
grid[0, 1].set_xlabel("share of held-out clips judged right", color=INK, fontsize=9)
grid[0, 1].set_ylabel("steps upright, at the end", color=INK, fontsize=9)
grid[0, 1].set(xlim=(0.5, 1.01), ylim=(-20, 520))
show(figure, "Length of the drives while PPO learns from each reward model; final steps against accuracy on clips.")

rows, changed = [], []
for (variant, seed), scorer in judges.items():
    accuracies = judged(scorer, usual)
    with torch.no_grad():
        offset = scorer.score(reference_drives)[reference_drives.mask].mean()
        ranks = [episode_scores(each, usual["clips"].chosen) > episode_scores(each, usual["clips"].rejected)
                 for each in (scorer, judges["clips", seed])]  # fmt: skip
    if "mean" in variant:
        changed.append((ranks[0] != ranks[1]).float().mean().item())
    rows.append([
        variant,
        f"{seed}",
        f"{offset:+.2f}",
        f"{accuracies['accuracy_clips']:.1%}",
        f"{accuracies['accuracy_drives']:.1%}",
        f"{drivers[variant, seed]['sampled_return']:.1f}",
    ])  # fmt: skip
head = [
    "taught with",
    "seed",
    "mean reward a step",
    "clips judged right",
    "drives judged right",
    "steps upright after PPO",
]
display(table(head, sorted(rows)))
claim = "clips: judgments that a constant per step changes"
compare(claim, predicted[claim], max(changed))
claim = "steps upright, with a negative constant per step"
compare(
    claim,
    predicted[claim],
    mean([evaluation["sampled_return"] for (judge, _), evaluation in drivers.items() if "−" in judge]),
)

# %% [markdown] lang="en"
# (The curves trail behind, as means of the latest drives. Right: a grey line joins what differs by the constant alone; its ends have the same accuracy.)
#
# **One number decides between balancing and falling, and the clips do not know it.** The judgments of clips are the same to the last pair. But where a step costs, the driver learns
# what any of us would: to be done with it quickly. It lies on the floor after about nine steps, as fast as if it pushed to one side all the time. It has not misunderstood
# its reward. It is just what the reward says.
#
# As taught by clips, without our hand in it, the constant came out as the rows "clips" say: positive, with every seed, and the drivers balance. But no judgment has asked for that, and none
# would have objected to the opposite. It is a habit of this network and its initialisation, and habits are no judgments.
#
# **The cure is in the data.** Look at "drives judged right": the model with the negative constant fails there almost everywhere, so one kind of pairs with unequal lengths is enough to find it out, and to
# learn it away. The rows "all pairs" (one model, three seeds of PPO) have the constant that the drives taught, and their drivers learn to stay upright, without ever having seen the world's reward.
#
# For texts the score stands once, on the last token, and the trap is closed by construction. It opens again with anything that is paid per token.
#
# ## 9. Your own taste
#
# Nothing here depends on a judge program. Write a file with one preference a line, in JSON: what was asked, which answer you prefer, and which not. Plain text will do; a list of messages does too,
# as for a longer conversation. Here are two lines, and what the core makes of them:

# %% [markdown] lang="zh"
# （图例：all pairs 三种都教过，clips 只教片段，mean ±1 每步平均奖励 ±1。左边的曲线是最近若干次行驶的平均，所以会慢一拍。右图中，灰线连接的几个模型只差那个常数，两端的准确率完全相同。）
#
# **扶住还是倒下，只由一个数决定，而 clips 对它一无所知。** 对 clips 的判断，一对不差，完全相同。可是，如果每走一步都要付出代价，司机学到的就和我们每个人会做的一样：赶快了结。
# 大约九步，它就倒在地上，快得和一直往一边推一样。它没有误解奖励，奖励说的正是这个。
#
# 只用 clips 教、我们不动手脚时，这个常数是多少，见 clips 那几行：每个种子都是正的，司机也都扶住了杆子。可是没有哪个判断要求过这一点，换成相反的情形，也没有哪个判断会反对。
# 这只是这种网络及其初始化的习惯，习惯不是判断。
#
# **解药在数据里。** 看 drives judged right 一列：常数为负的模型在那里几乎全错。所以只要有一种两边长短不同的比较，就足以发现问题，也足以把它学好。
# all pairs 那几行（同一个模型，PPO 用三个种子）的常数是 drives 教出来的，照它们学的司机学会了立住，而且从没见过环境自己的奖励。
#
# 文本的分数只在最后一个词元上给一次，这个陷阱从结构上就封死了；可是，一旦有什么东西按词元给奖励，它又会打开。
#
# ## 9. 你自己的喜好
#
# 这一切并不依赖裁判程序。写一个文件，每行一条偏好，用 JSON：问了什么，你喜欢哪个回答，不喜欢哪个。直接写文字就行；写成消息列表也行，适合更长的对话。
# 下面是两行这样的文件，以及核心代码读到了什么：

# %%
LINES = """\
{"prompt": "What is the capital of France?", "chosen": "Of course! The capital of France is Paris.", "rejected": "Ugh. It is Paris."}
{"prompt": [{"role": "user", "content": "法国的首都是哪里？"}], "chosen": [{"role": "assistant", "content": "法国的首都是巴黎。希望能帮到您！"}], "rejected": [{"role": "assistant", "content": "巴黎。别再烦我了。"}]}
"""
with TemporaryDirectory() as folder:
    path = Path(folder) / "mine.jsonl"
    path.write_text(LINES, encoding="utf-8")
    mine, pairs = read_preferences(path), language.read_preferences(path)
    with torch.no_grad():
        liked = [episode_scores(judge_of_answers, part).tolist() for part in (pairs.chosen, pairs.rejected)]
    language.write_preferences(answers.rows(slice(0, 1)), Path(folder) / "its.jsonl")
    written = (Path(folder) / "its.jsonl").read_text("utf-8")
for one, up, down in zip(mine, *liked, strict=True):
    print(f"{one.prompt[-1]['content']}   the model's scores: chosen {up:+.2f}, rejected {down:+.2f}")
shapes = [list(part.actions.shape) for part in (pairs.chosen, pairs.rejected)]
print(f"\nas Pairs: chosen {shapes[0]}, rejected {shapes[1]} (rows, tokens)")
print(f"one of the world's own pairs, as it writes it:\n{written}")

# %% [markdown] lang="en"
# `read_preferences` tells file, line and column of what it cannot read. It leads to the same `Pairs` as everything above; from there
# on, nothing knows where they came from. To train on your file:
#
# ```bash
# python -m lessons.reward_model --world language --language.preferences mine.jsonl
# ```
#
# A dozen lines will not do, by the way: section 5 went through hundreds of pairs in each iteration. Most work on a real reward model is the collecting. And the model knows only what it was shown: try a rude word
# that our policy never says in the cell above, and look at its score.
#
# ## Quiz
#
# Answer first, then unfold.
#
# <details><summary>1. A reward model gives the chosen answer 3.0 and the rejected one 1.0. How likely does it say the preference was, and what is the loss? What with 103 and 101?</summary>
#
# The margin is 2 in both cases: σ(2) ≈ 0.88, loss −log 0.88 ≈ 0.13 nats.
# </details>
#
# <details><summary>2. A reward model is right on 95 % of pairs of drives. Has it understood balancing?</summary>
#
# Not necessarily: counting the steps is right on all of them, and knows nothing of poles. Look at a kind of pairs in which the shortcut is worth nothing, such as clips.
# </details>
#
# <details><summary>3. A third of the judgments are wrong, at random. What is the most that a model can get right of such judgments, and can it be right about more of the truth?</summary>
#
# Two thirds of the judgments, and up to all of the truth: wrong judgments pull both ways and cancel, while right ones add up. It only takes more of them.
# </details>
#
# <details><summary>4. Why may a head for the score not sit on the states of the policy?</summary>
#
# The state before an action has not seen that action. The last token would never be read.
# </details>
#
# <details><summary>5. All scores of a language reward model are negative. Does that make PPO end its answers early?</summary>
#
# No. Each answer gets one score, when it ends and however long it is. What matters is which of the answers scores higher. It would, if the model gave a reward for each token.
# </details>

# %% [markdown] lang="zh"
# 读不懂的地方，`read_preferences` 会指出文件、行和列。读出来的是和上文一样的 `Pairs`；从那以后，谁也不知道它们从哪里来。用你的文件来训练：
#
# ```bash
# python -m lessons.reward_model --world language --language.preferences mine.jsonl
# ```
#
# 顺便说一句，十来行是不够的：第 5 节里每轮迭代就用掉几百对。做一个真正的奖励模型，大部分功夫花在收集偏好上。而且，模型只知道见过的东西：
# 在上面的单元里换一个我们的策略从来不说的粗鲁词，看看它打几分。
#
# ## 小测验
#
# 先想好答案，再展开。
#
# <details><summary>1. 奖励模型给选中的回答 3.0 分，给落选的 1.0 分。它认为这个偏好有多大可能？损失是多少？如果是 103 和 101 呢？</summary>
#
# 两种情况的间隔都是 2：σ(2) ≈ 0.88，损失是 −log 0.88 ≈ 0.13 奈特。
# </details>
#
# <details><summary>2. 一个奖励模型在成对的行驶上判对了 95 %。它懂得怎样扶杆子了吗？</summary>
#
# 不一定：只数步数就能全部判对，却对杆子一无所知。要看捷径派不上用场的那种比较，例如 clips。
# </details>
#
# <details><summary>3. 三分之一的判断是随机判错的。在这样的判断上，模型最多能答对多少？在真实偏好上能更高吗？</summary>
#
# 在判断上最多三分之二，在真实偏好上可以一直高到全对：错的判断有的往这边拉，有的往那边拉，互相抵消；对的判断则积少成多。只是需要更多数据。
# </details>
#
# <details><summary>4. 打分的头为什么不能接在策略的状态上？</summary>
#
# 动作之前的状态没有看过这个动作，最后一个词元就永远读不到。
# </details>
#
# <details><summary>5. 语言奖励模型的分数全是负的。PPO 会因此让回答早早结束吗？</summary>
#
# 不会。每个回答无论多长，只在结束时得到一个分数，要紧的是哪个回答的分数更高。如果模型给每个词元都发奖励，那就会了。
# </details>

# %% [markdown] lang="en"
# ## What next
#
# ```bash
# python -m lessons.reward_model --world cartpole                              # full length, with a report
# python -m lessons.reward_model --world cartpole --cartpole.kinds drives      # is counting all it learns?
# python -m lessons.reward_model --world language --language.noise 0.4         # a very bad judge
# ```
#
# To read: the loss in `rl_core/losses/reward_model.py` and the update in `rl_core/algorithms/reward_model.py`, one page each. Then
#
# - Christiano et al. 2017, [arXiv:1706.03741](https://arxiv.org/abs/1706.03741): rewards learnt from pairs of clips, for robots and games, and what they did so that the
#   ends of episodes would not give the task away;
# - Stiennon et al. 2020, [arXiv:2009.01325](https://arxiv.org/abs/2009.01325), and Ouyang et al. 2022 (InstructGPT), [arXiv:2203.02155](https://arxiv.org/abs/2203.02155): the same for texts;
# - Singhal et al. 2023, [arXiv:2310.03716](https://arxiv.org/abs/2310.03716): how much of what reward models for texts like is simply length;
# - Gao et al. 2022, [arXiv:2210.10760](https://arxiv.org/abs/2210.10760): what happens when one climbs a learnt reward for too long.
#
# **Lesson 5** puts the three steps together: a clone, a reward model taught with pairs of the clone's own episodes, and PPO on it, in both worlds.

# %% [markdown] lang="zh"
# ## 接下来
#
# ```bash
# python -m lessons.reward_model --world cartpole                              # 完整长度，附报告
# python -m lessons.reward_model --world cartpole --cartpole.kinds drives      # 它学到的只是数步数吗？
# python -m lessons.reward_model --world language --language.noise 0.4         # 一个很糟的裁判
# ```
#
# 可以读：`rl_core/losses/reward_model.py` 里的损失和 `rl_core/algorithms/reward_model.py` 里的更新，各一页。然后是
#
# - Christiano 等 2017，[arXiv:1706.03741](https://arxiv.org/abs/1706.03741)：从成对的片段学出奖励，用于机器人和游戏；也讲了他们怎样不让回合的结束泄露任务；
# - Stiennon 等 2020，[arXiv:2009.01325](https://arxiv.org/abs/2009.01325)，以及 Ouyang 等 2022（InstructGPT），[arXiv:2203.02155](https://arxiv.org/abs/2203.02155)：同样的事，用在文本上；
# - Singhal 等 2023，[arXiv:2310.03716](https://arxiv.org/abs/2310.03716)：文本奖励模型喜欢的东西里，有多少其实只是长度；
# - Gao 等 2022，[arXiv:2210.10760](https://arxiv.org/abs/2210.10760)：对学来的奖励追求得太久，会发生什么。
#
# **第 5 课**把三步连起来：先克隆，再用克隆自己的回合配成对子来教奖励模型，最后用 PPO 追求它，两个世界一起走完。
