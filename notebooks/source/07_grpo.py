# %% [markdown] lang="en"
# # 7. GRPO: can the critic go?
#
# PPO keeps a second network, the critic, whose only work is to answer one question: *what was to be expected here?*
# In a language model the critic is a second language model, as large as the first. It has to be trained, it has to be
# stored, and early in training it is wrong.
#
# **Group-relative policy optimisation** (GRPO; Shao et al. 2024, [arXiv:2402.03300](https://arxiv.org/abs/2402.03300))
# has a plain reply: play several episodes from the same start, and see. What was to be expected is their mean. The
# method became famous through models that learn to reason (DeepSeekMath, DeepSeek-R1). What is said of it, and where
# we measure it:
#
# | claim | measured in |
# |---|---|
# | it drops the value model, and saves its memory | section 1 |
# | it judges whole answers within a group, not single tokens | sections 3 and 4 |
# | it puts the KL into the loss | section 5 |
# | this suits reasoning, where the whole solution counts | section 8 |
# | comparing within a group suits reward models, which were learnt from comparisons | section 9 |
#
# You need lesson 2, for the ratio, the clip and the anchor. All of them are still here. The notebook runs in about
# three minutes on one CPU core, and the outputs below come from such a run.

# %% [markdown] lang="zh"
# # 7. GRPO：评论家可以走了吗？
#
# PPO 身边总带着第二个网络：评论家（critic）。它只干一件事，就是回答“**走到这里，本来该预期多少？**”对语言模型来说，
# 评论家是和策略一样大的另一个语言模型：要训练，要占内存，而且在训练初期说得并不准。
#
# **组相对策略优化**（Group-Relative Policy Optimisation，GRPO；Shao 等，2024，[arXiv:2402.03300](https://arxiv.org/abs/2402.03300)）
# 的办法很朴素：从同一个起点多玩几次，看看就知道了。预期是多少？就是这几次的平均。这个方法因为会推理的模型（DeepSeekMath、DeepSeek-R1）而出名。
# 人们对它的说法，以及我们在哪里测量：
#
# | 说法 | 在哪里测 |
# |---|---|
# | 去掉了价值模型，省下它占的内存 | 第 1 节 |
# | 在组内评判整个回答，而不是单个词元 | 第 3、4 节 |
# | 把 KL 放进损失 | 第 5 节 |
# | 适合推理，因为推理看的是整个解答 | 第 8 节 |
# | 组内比较与奖励模型合拍，因为奖励模型本来就是从比较中学来的 | 第 9 节 |
#
# 你需要先读第 2 课，知道比率、裁剪和锚是什么；它们在这里一样不少。整个笔记本在一个 CPU 核上大约运行三分钟，下面的输出就来自这样一次运行。

# %%
import json
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import torch
from IPython.display import Markdown, display
from torch.nn.utils import parameters_to_vector

from lessons import grpo as lesson
from lessons import ppo as with_critic
from lessons import reinforce as relative
from lessons.harness.report.summary import told
from lessons.worlds import NAMES, load
from notebooks.figures import (
    BAD, COLOUR, EDGE, HELD_OUT, INK, PALE, compare, curve, excerpt, finish, new_run, panels, show, table,
)  # fmt: skip
from notebooks.figures.credit import drawable
from notebooks.figures.groups import Group, forks, group_bars
from notebooks.figures.page import CORE
from rl_core.advantages import group_advantages, leave_one_out_advantages, on_every_step
from rl_core.algorithms.grpo import grpo
from rl_core.evaluate import evaluate_actions
from rl_core.losses.grpo import grpo_loss, mean_of_episodes
from rl_core.losses.kl import kl_k1, kl_k2, kl_k3
from rl_core.losses.policy_gradient import policy_gradient_loss
from rl_core.losses.reward_model import bradley_terry_loss
from rl_core.rollout import relabel, rollout

torch.set_num_threads(1)
G = 8  # rows in a group
SHORTER = {"language": {"iterations": 24}, "sums": {"iterations": 20}}  # than the lesson's own settings
worlds = {name: load(name) for name in (*NAMES, "sums")}

# %% [markdown] lang="en"
# ## Predict first
#
# Write down your guesses, then run on. A wrong guess shows you where your picture is off. **Change the numbers below.**
#
# - How many times the memory of GRPO does PPO need for the same language model: weights, gradients, optimizer, and the
#   frozen reference of both?
# - One language-model answer in five is rude at the start. What share is still rude after GRPO? And if we train
#   nothing, and only pick the best of 8 answers, by the judge who also gives the rewards?
# - Section 8 has a model that gets four sums in ten right. What share after GRPO, if only the result is rewarded?
#   In what share of its groups of 8 will all eight then be equally good, so that the group teaches nothing?
# - Section 10 takes the baseline away altogether: every drive is praised for its own return. How many of at most 500
#   steps will the pole stand after training?

# %% [markdown] lang="zh"
# ## 先预测
#
# 先写下你的猜测，再往下运行。猜错的地方，正是你脑中图景不准的地方。**请改动下面的数字。**
#
# - 同一个语言模型，把权重、梯度、优化器和双方都有的冻结参考策略全算上，PPO 占的内存是 GRPO 的多少倍？
# - 语言模型一开始有五分之一的回答是粗鲁的。GRPO 之后还剩多少？如果什么都不训练，只从 8 个回答里挑最好的一个（由发奖励的那位裁判来挑），又剩多少？
# - 第 8 节有一个模型，十道算式只对四道。如果只奖励结果，GRPO 之后能对多少？到那时，有多大比例的组（每组 8 个）里八个回答一样好，因而什么也教不了？
# - 第 10 节把基线完全拿掉：每次行驶都按自己的回报受表扬。训练之后，杆子在最多 500 步里能立多少步？

# %%
predicted = {
    "memory of PPO / memory of GRPO": 1.5,
    "language: rude after GRPO": 0.10,
    "language: rude, best of 8": 0.10,
    "sums: right after GRPO": 0.70,
    "sums: groups that teach nothing, after GRPO": 0.20,
    "cartpole: steps, without a baseline": 300,
}

# %% [markdown] lang="en"
# ## 1. What the critic costs
#
# We start one run of each kind, let it make a single update, and count what is then in memory: the **weights** that
# learn, their **gradients**, the two running means that the optimizer Adam keeps for each weight (its **moments**), and
# the weights of the frozen **reference**. All numbers have 4 bytes here; 1 MiB is $2^{20}$ bytes.

# %% [markdown] lang="zh"
# ## 1. 评论家要花多少
#
# 两种训练各开一个，各做一次更新，然后数一数内存里有什么：正在学习的**权重**（weights）、它们的**梯度**（gradients）、
# 优化器 Adam 为每个权重保存的两个滑动平均（**矩**，moments），以及冻结的**参考策略**（reference）的权重。
# 这里每个数占 4 字节；1 MiB 是 $2^{20}$ 字节。

# %%
rows, held = [], {}
for name in NAMES:
    for kind in (with_critic.RECIPE, lesson.RECIPE):
        run = new_run(kind, name, iterations=1, rows=16)
        next(kind.train(run))
        learnt = list(run.network.parameters())
        state = [x for kept in run.optimizer.state.values() for x in kept.values() if x.dim()]
        counts = [
            sum(x.numel() for x in tensors)
            for tensors in (learnt, [x.grad for x in learnt], state, list(run.reference.parameters()))
        ]
        held[name, kind.name] = sum(counts)
        rows.append([run.world.title, kind.name.upper(), *(f"{x:,}" for x in counts), f"{4 * sum(counts) / 2**20:.2f}"])
display(table(["world", "", "weights that learn", "gradients", "Adam's moments", "reference", "MiB"], rows))

ratio = {name: held[name, "ppo"] / held[name, "grpo"] for name in NAMES}
for name in NAMES:
    print(f"{name:<10} PPO needs {ratio[name]:.2f} times the memory of GRPO")
compare("memory of PPO / memory of GRPO", predicted["memory of PPO / memory of GRPO"], ratio["language"])
BILLION, BYTES = 7, 4 * 4  # a usual size; weight, gradient and two moments of 4 bytes each
print(f"a policy of {BILLION} billion weights: a critic beside it takes {BILLION * BYTES:,} GB more")

# %% [markdown] lang="en"
# All that learns is doubled by a critic of the policy's own size; only the reference stays single. (For a critic that
# shares the policy's trunk the difference is small. But then both pull at the same weights.)
#
# For a pole these are a few kilobytes. For a large model they decide on how many machines it fits. Nothing is free,
# though: GRPO pays with *playing*. It needs several answers to each question, and it needs whole episodes. What that
# costs, section 7 will show.

# %% [markdown] lang="zh"
# 和策略一样大的评论家，让“正在学习的”全都翻倍，只有参考策略还是一份。（如果评论家和策略共用主干，差别就很小；但那样一来，两者会拉扯同一批权重。）
#
# 对杆子来说，这只是几千字节；对大模型来说，它决定了要几台机器才装得下。不过天下没有白省的内存：GRPO 用**多玩**来付账。
# 它对每个问题都要写好几个回答，而且每个回合（episode）都要玩完。这要花多少，第 7 节会看到。

# %% [markdown] lang="en"
# ## 2. The idea
#
# Play $G$ episodes from one start: $G$ answers to one question, or $G$ drives from one position of the pole. Episode
# $i$ gets the return $R_i$, the sum of its rewards. Its advantage is how far it stands above the others, in standard
# deviations:
#
# $$A_i = \frac{R_i - \text{mean}(R_1, \dots, R_G)}{\text{std}(R_1, \dots, R_G)}$$
#
# and this one number goes to *every* step of the episode. No network is asked. The rest is PPO as you know it. With
# $\rho_{i,t}$ as the ratio of the new to the old probability of step $t$ of episode $i$, $\epsilon$ as the leash of the
# clip and $\beta$ as the price of a nat of KL, the objective to be maximised is
#
# $$J = \text{mean}_{\,i,t} \Big[ \min\big( \rho_{i,t} A_i, \; \text{clip}(\rho_{i,t}, 1-\epsilon, 1+\epsilon)\, A_i \big) - \beta\, k_3(i,t) \Big]$$
#
# Three things are new against lesson 2: $A_i$ has no $t$, the KL is a term of its own, called $k_3$, and somebody has to
# say what "mean" means when episodes differ in length. We take them in turn. First the advantage, in the core:

# %% [markdown] lang="zh"
# ## 2. 想法
#
# 从同一个起点玩 $G$ 个回合：对同一个问题写 $G$ 个回答，或者从杆子的同一个初始位置开 $G$ 次车。第 $i$ 个回合的回报 $R_i$ 是它的奖励之和。
# 它的优势，就是比同伴高出多少，以标准差为单位：
#
# $$A_i = \frac{R_i - \text{mean}(R_1, \dots, R_G)}{\text{std}(R_1, \dots, R_G)}$$
#
# 这一个数，发给这个回合的**每一步**。不需要问任何网络。其余的就是你熟悉的 PPO。记 $\rho_{i,t}$ 为第 $i$ 个回合第 $t$ 步的新旧概率之比，
# $\epsilon$ 为裁剪的绳长，$\beta$ 为每奈特 KL 的价格，要最大化的目标是
#
# $$J = \text{mean}_{\,i,t} \Big[ \min\big( \rho_{i,t} A_i, \; \text{clip}(\rho_{i,t}, 1-\epsilon, 1+\epsilon)\, A_i \big) - \beta\, k_3(i,t) \Big]$$
#
# 和第 2 课相比有三处新东西：$A_i$ 没有下标 $t$；KL 单独成了一项，叫作 $k_3$；而且总得有人说清楚，回合长短不一时“平均”（mean）究竟怎么平均。
# 我们一个一个来。先看优势，在核心代码里是这样的：

# %%
excerpt(group_advantages, first="size = counts.sum", last="return _in_deviations")

# %% [markdown] lang="en"
# (`counts` leaves out episodes that must not be learnt from, and `select(x, mask)` is `x` where the mask is True and 0
# elsewhere. The standard deviation is that of a sample: it divides by $G - 1$.)
#
# Some groups of four that you can check with a pencil; each line is a group:

# %% [markdown] lang="zh"
# （`counts` 用来排除不该拿来学习的回合；`select(x, mask)` 在 mask 为 True 处取 `x`，其余处取 0。标准差是样本标准差，除以 $G - 1$。）
#
# 下面几个四人小组可以用铅笔验算，每行是一组：

# %%
rows = []
for group in ([1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [300, 100, 100, 100], [1, 1, 1, 1], [0.1, 0.1, 0.1, 0.1]):
    returns = torch.tensor(group, dtype=torch.float32)
    found = [group_advantages(returns, 4, scale=scale) for scale in (True, False)]
    rows.append([", ".join(f"{x:g}" for x in group), *(", ".join(f"{x:+.2f}" if x else "0" for x in A) for A in found)])
table(["returns of the group", "advantages, scale=True", "advantages, scale=False"], rows)

# %% [markdown] lang="en"
# - **A group sums to 0.** What one episode gains in favour, others lose.
# - **Scaled, the unit is gone.** One success among four counts the same whether it is worth 1 point or 200. Convenient,
#   since one learning rate then fits all rewards.
# - **Equal returns teach nothing**: exactly 0, in every column. The core makes sure of it, for otherwise rounding errors would
#   be divided by a standard deviation of nearly nothing, and grow into full advantages.
#
# Scaling has a price. Square the numbers of a line and add them up. Scaled, every line with any contrast gives $G - 1 = 3$, however one-sided the group; not scaled, three
# successes in four give 0.75, and two in four give 1. So a question that is nearly settled pulls as hard as an open one. *Dr. GRPO* (Liu et al. 2025, [arXiv:2503.20783](https://arxiv.org/abs/2503.20783))
# therefore leaves the division out; here that is `scale=False`.
#
# ## 3. Two groups, seen whole
#
# Eight answers to one question and eight drives from one position, played by the policies that we start from. We play a
# few groups in each world and take the one whose returns differ most. (The answers are in the table below the figure.)

# %% [markdown] lang="zh"
# - **一组之和为 0。** 一个回合多得的青睐，就是别的回合失去的。
# - **除以标准差之后，单位就没有了。** 四个里成功一个，不管它值 1 分还是 200 分，都一样看待。这很方便：同一个学习率可以配各种奖励。
# - **回报相同，就什么也教不了**：两列都恰好是 0。核心代码专门保证了这一点；否则，舍入误差除以一个近乎为零的标准差，会膨胀成实实在在的优势。
#
# 除以标准差也有代价。把一行里的数平方再相加：除以标准差之后，只要有差别，每一行都是 $G - 1 = 3$，不管这一组多么一边倒；不除时，
# 四次对三次是 0.75，四次对两次是 1。于是快要做会的题和对错各半的题，拉力一样大。*Dr. GRPO*（Liu 等，2025，[arXiv:2503.20783](https://arxiv.org/abs/2503.20783)）因此不做这个除法，在这里就是 `scale=False`。
#
# ## 3. 完整地看两个组
#
# 对一个问题的八个回答，从一个位置出发的八次行驶，都出自我们起步时的策略。每个世界玩几组，取回报差别最大的一组。（回答的全文在图下面的表里。）

# %%
groups = {}
for name in NAMES:
    run = new_run(lesson.RECIPE, name, rows=128, seed=HELD_OUT)
    played = rollout(run.env, run.network, run.generator)
    returns = played.rewards.sum(dim=1)
    words = [run.world.words(played, row) for row in range(len(played))]
    fits = torch.tensor([drawable(said) for said in words]).view(-1, G).all(dim=1)  # the figure's font has them
    best = G * returns.view(-1, G).std(dim=1).where(fits, -1).argmax().item()
    rows = slice(best, best + G)
    labels = [f"{number}" for number in range(1, G + 1)]
    advantages = group_advantages(returns, G)[rows].tolist()
    groups[name] = Group(run.world.title, COLOUR[name], labels, words[rows], returns[rows].tolist(), advantages)

show(
    group_bars(list(groups.values()), ["return R (steps upright)", "return R (the judge's score)"]),
    "Eight drives and eight answers with their returns, the group's mean, and their advantages.",
)
shown = groups["language"]
answers = ["".join(words[:-1] if words[-1] == "<|im_end|>" else words) for words in shown.words]
columns = (shown.names, answers, [f"{R:+.1f}" for R in shown.returns], [f"{A:+.2f}" for A in shown.advantages])
table(["", "answer", "return", "advantage"], list(map(list, zip(*columns, strict=True))))

# %% [markdown] lang="en"
# On the left, the dashed line is the mean of the group, the grey band one standard deviation to each side. On the right is the same picture with
# the mean moved to 0, and the band reaching from −1 to 1. No critic could have foreseen from the start which of the eight it
# would be: they all begin alike. What the critic would have said there, the average of what is to come, is what the dashed line estimates.
#
# ## 4. One number for a whole answer?
#
# It seems unjust. A wrong sum contains many right tokens, and all of them are punished alike. A fallen pole was pushed
# well for most of its way. The critic of lesson 2 tells steps apart; here nobody does.
#
# Yet look at what the *sum* over a group does. The same beginning occurs in good and in bad episodes, and a token that all
# eight share gets all eight advantages, which add up to 0. Below, the eight are drawn as one line for as long as they
# are alike. A box is a step: of the drives their first pushes (left ◀, right ▶), of the answers their first tokens (␣ is a space,
# EOS the end). Its colour is the sum of the advantages of all that pass through it, red below 0 and green above; at each fork the sums are
# written out. The third tree is a sum with its steps written out, of which section 8 tells more.

# %% [markdown] lang="zh"
# 左边的虚线是组的平均，灰带是上下各一个标准差。右边是同一幅图，只是把平均移到 0，灰带变成从 −1 到 1。
# 没有哪个评论家能在起点就看出八个里谁会好、谁会坏：它们的开头一模一样。评论家在起点会说的，无非是“接下来平均能得多少”，而虚线估计的正是这个数。
#
# ## 4. 整个回答只给一个数？
#
# 这好像不公平。算错的式子里有许多词元是对的，却一起挨罚；倒下的杆子，一路上多数推得都不错。第 2 课的评论家能把各步区分开，这里却没有人来区分。
#
# 但是请看一组**加起来**是什么效果。同样的开头，好的回合里有，坏的回合里也有；八个回合共有的词元会得到全部八个优势，加起来是 0。
# 下图把八个回合画成一棵树：只要还相同，就合成一条线。一个方框是一步：行驶只画最初的几推（左 ◀，右 ▶），回答则是词元（␣ 是空格，EOS 是结束）。
# 方框的颜色是经过它的所有回合的优势之和，红色小于 0，绿色大于 0；在每个岔口，写出了具体的和。第三棵树是一道写出步骤的算式，第 8 节会细讲。

# %%
run = new_run(lesson.RECIPE, "sums", rows=256, seed=HELD_OUT, **SHORTER["sums"])
played_sums = {"before": rollout(run.env, run.network, run.generator)}
returns = played_sums["before"].rewards.sum(dim=1)
words = [run.world.words(played_sums["before"], row) for row in range(256)]
fits = torch.tensor([drawable(said) for said in words]).view(-1, G).all(dim=1)
best = G * returns.view(-1, G).std(dim=1).where(fits, -1).argmax().item()
rows = slice(best, best + G)
advantages = group_advantages(returns, G)[rows].tolist()
groups["sums"] = Group(run.world.title, COLOUR["sums"], [""] * G, words[rows], returns[rows].tolist(), advantages)

pushes = [[step[0] for step in steps] for steps in groups["cartpole"].words]
trees = [replace(groups["cartpole"], words=pushes), groups["language"], groups["sums"]]
show(
    forks(trees, 16),
    "Three groups as trees whose boxes are coloured by the sum of the advantages that pass through them.",
)

# %% [markdown] lang="en"
# **All the colour comes from the forks.** At the start, where all eight are together, praise and blame cancel to 0. Wherever a branch
# holds as much success as failure they cancel again, and its boxes stay grey: see the first digits of the third tree. What
# is left is the choice that made the difference: a rude word against a friendly one, a wrong digit against the right one.
# So GRPO needs no one who knows which token was to blame. It needs *contrast*: episodes that agree up to somewhere
# and then do not. (The sums are the total push only while the ratios are all 1, and with a mean in which every step
# weighs the same; see section 6.)
#
# The pole shows the limit of this. Its drives part within a few pushes and never meet again, since no two of them see quite the same
# numbers any more. From then on every push of a drive shares the fate of the drive. This is the noise that a critic
# takes out, and that GRPO has to average away over many episodes.
#
# ## 5. The KL, in the loss
#
# PPO takes the KL out of the reward, step by step. GRPO leaves the rewards alone, so that the comparison within the
# group stays clean, and puts a term into the loss: the estimator $k_3$, from the probabilities that policy $\pi$ and
# reference $\pi_{\text{ref}}$ gave to the action that was taken.
#
# $$k_3 = e^{d} - 1 - d, \qquad d = \log \pi_{\text{ref}}(a \mid s) - \log \pi(a \mid s)$$

# %% [markdown] lang="zh"
# **颜色都是从岔口来的。** 在起点，八个回合还在一起，表扬和责备互相抵消，和为 0。任何一条枝，只要成败相当，就又会抵消，方框便是灰的：看第三棵树最前面的那些数字。
# 剩下的，就是造成差别的那个选择：粗鲁的词还是友好的词，写错的数字还是写对的数字。
# 所以 GRPO 不需要有人知道该怪哪个词元，它需要的是**对照**：一些回合走到某处都相同，然后才分道扬镳。
# （只有在所有比率都是 1、而且平均时每一步分量相同的时候，这些和才恰好是总的推力；见第 6 节。）
#
# 杆子让我们看到这种办法的局限。那些行驶推几下就分开了，再也不会相遇，因为从此没有哪两次看到的数还完全相同。
# 分开之后，一次行驶的每一推都只能与整次行驶共命运。这种噪声，评论家可以去掉；GRPO 则要靠许多回合来把它平均掉。
#
# ## 5. 损失里的 KL
#
# PPO 一步一步地从奖励里扣掉 KL。GRPO 不动奖励，让组内的比较保持干净，而是在损失里加一项：估计量 $k_3$。它由策略 $\pi$ 和参考策略
# $\pi_{\text{ref}}$ 给实际动作的概率算出。
#
# $$k_3 = e^{d} - 1 - d, \qquad d = \log \pi_{\text{ref}}(a \mid s) - \log \pi(a \mid s)$$

# %%
display(excerpt(kl_k3, first="difference = ref_logprobs", last="return"))
display(excerpt(grpo_loss, first="mean = masked_mean if", last="loss = policy_loss"))

# %% [markdown] lang="en"
# Lesson 2 showed that $k_1 = -d$ must not stand in a loss: its gradient vanishes on average. What about the others? A
# policy over three actions is small enough to know all expectations exactly. ($k_2 = d^2 / 2$ is a third estimator. The first two lines are the true KL, in both
# directions. *Value* is the mean over the policy's own actions, *spread* the standard deviation of a single action's
# number, *gradient* that of the mean when the term stands in the loss, for each of three logits.)

# %% [markdown] lang="zh"
# 第 2 课说过，$k_1 = -d$ 不能放进损失：它的梯度平均下来是零。那么别的呢？只有三个动作的策略足够小，所有期望都能精确算出。
# （$k_2 = d^2 / 2$ 是第三种估计量。前两行是真正的 KL，两个方向各一个。value 是对策略自己的动作取的平均，spread 是单个动作的数的标准差，
# gradient 是把这一项放进损失之后，平均值对三个 logits 的梯度。）

# %%
logits, reference = torch.tensor([0.7, 0.2, 0.1]).log().requires_grad_(), torch.tensor([0.4, 0.4, 0.2]).log()
logprobs = logits.log_softmax(dim=0)
chance, now = logprobs.exp(), logprobs.exp().detach()
terms = {
    "KL(π ‖ π_ref)": (None, (chance * (logprobs - reference)).sum()),
    "KL(π_ref ‖ π)": (None, (reference.exp() * (reference - logprobs)).sum()),
}
for number, estimator in ((1, kl_k1), (2, kl_k2), (3, kl_k3)):
    single = estimator(logprobs, reference)
    terms[f"k{number} in the loss"] = (single.detach(), (now * single).sum())
rows = []
for said, (single, expected) in terms.items():
    (slope,) = torch.autograd.grad(expected, logits, retain_graph=True)
    spread = "–" if single is None else f"{(now * (single - (now * single).sum()).square()).sum().sqrt():.3f}"
    slopes = ", ".join(f"{x:+.3f}" for x in (slope + 0.0).round(decimals=6).tolist())
    rows.append([said, f"{expected.item():.4f}", spread, slopes])
table(["", "value (nats)", "spread (nats)", "gradient"], rows)

# %% [markdown] lang="en"
# - **As a number, $k_3$ is excellent**: its mean is $\text{KL}(\pi \,\|\, \pi_{\text{ref}})$ exactly, a single one is never negative, and it
#   spreads less than $k_1$.
# - **As a loss it pulls along another line of the table**: its gradient is that of the *reversed* KL. Compare the digits. $k_2$, whose value is a little off, has the
#   gradient that one would expect. Close to the reference the two directions agree, so this seldom shows; but the metric
#   and the pull are not of the same quantity, and a large $\beta$ makes that visible.
#
# There is one more difference to PPO's way: a term per step charges each token for its own drift only. In the reward, an
# early token also pays for the drift that it makes likely later.
#
# And what does the direction matter? Let a policy change one habit, and say the same as before in all other cases. What
# does each direction charge for it?

# %% [markdown] lang="zh"
# - **作为一个数，$k_3$ 很出色**：它的平均恰好是 $\text{KL}(\pi \,\|\, \pi_{\text{ref}})$，单个值从不为负，分散程度也比 $k_1$ 小。
# - **作为损失，它拉的却是表中另一行的方向**：它的梯度是**反向** KL 的梯度，请核对那几位数字。$k_2$ 的值略有偏差，梯度反倒是人们想要的那个。
#   离参考策略很近时，两个方向一致，所以很少有人察觉；但是显示的指标和实际的拉力不是同一个量，$\beta$ 大了就看得出来。
#
# 和 PPO 的做法相比还有一点不同：逐步的损失项只为每个词元自己的偏离收费；放在奖励里，前面的词元还要为它引来的后续偏离付账。
#
# 方向又有什么要紧？设策略改变一个习惯，其余情况下说的和原来一样。两个方向各收多少钱？

# %%
rows = []
for said, ref_share, share in (
    ("a rude word, 20 % of the time, is given up", 0.20, 0.01),
    ("a new mistake is made now and then", 0.0001, 0.01),
    ("a new mistake is made often", 0.0001, 0.10),
):
    ref_habit, habit = (torch.tensor([x, 1 - x], dtype=torch.float64) for x in (ref_share, share))
    prices = [(p * (p / q).log()).sum().item() for p, q in ((habit, ref_habit), (ref_habit, habit))]
    rows.append([said, f"{ref_share:.2%}", f"{share:.0%}", *(f"{price:.3f}" for price in prices)])
table(["habit", "reference", "policy", "KL(π ‖ π_ref), nats", "KL(π_ref ‖ π), nats"], rows)

# %% [markdown] lang="en"
# The reversed KL is strict with what we want and lax with what we fear: to give up a bad habit costs
# more than twice as much as in the other, to take on a new mistake a quarter or a sixth. A judge who sees every mistake needs no help with the last lines. A
# *reward model* does, as it was shown few of the mistakes that a policy may come to. So `grpo` can have its KL in either
# place: `kl_in="loss"`, as in the paper, or `kl_in="reward"`, as in PPO. The README's table has both, trained on a reward
# model at one and the same price ($\beta = 0.2$, without the scale): in the loss, it forgets a good part of what was right (several
# points of right answers), in the reward next to nothing. On the judge's own reward $k_3$ holds too, and there we follow the paper.

# %% [markdown] lang="zh"
# 反向的 KL 对我们想要的事很严，对我们担心的事却很松：改掉坏习惯，它收的钱是另一个方向的两倍多；添上一个新错误，它只收四分之一到六分之一。
# 裁判如果每个错误都看得见，后两行就用不着谁来帮忙。**奖励模型**却要：策略将来可能犯的错，它几乎没有见过。
# 所以 `grpo` 可以把 KL 放在两个地方之一：`kl_in="loss"`，照论文；或者 `kl_in="reward"`，照 PPO。README 的表里两种都有，用奖励模型训练，
# 价钱相同（$\beta = 0.2$，不除以标准差）：放在损失里，原本答得对的忘掉了好一部分（答对的比例降了几个百分点）；放在奖励里，几乎没有忘。
# 用裁判自己的奖励时，$k_3$ 也守得住，我们就照论文。

# %% [markdown] lang="en"
# ## 6. Which mean?
#
# Episodes differ in length. The paper first averages over the steps of each episode, then over episodes:
# `average="episode"`. The other way is to average over all steps at once: `average="token"`, as in DAPO (Yu et al. 2025,
# [arXiv:2503.14476](https://arxiv.org/abs/2503.14476)). It looks like a detail. Take a group of four: two right answers
# and two wrong ones, one of each with 2 tokens and one with 8. We ask the loss for its gradient: how hard is each token
# pushed, and how hard all tokens of an answer together?

# %% [markdown] lang="zh"
# ## 6. 哪一种平均？
#
# 回合有长有短。论文先对每个回合的各步取平均，再对回合取平均：`average="episode"`。另一种办法是把所有步放在一起平均：`average="token"`，
# DAPO 就是这样（Yu 等，2025，[arXiv:2503.14476](https://arxiv.org/abs/2503.14476)）。看起来是个细节。
# 设一组四个回答，两对两错，对的和错的各有一个 2 词元、一个 8 词元。我们向损失要梯度：每个词元被推了多大力？一个回答的所有词元加起来呢？

# %%
display(excerpt(mean_of_episodes, first="means = select", last="return"))
lengths, verdicts = torch.tensor([2, 8, 2, 8]), torch.tensor([1.0, 1.0, 0.0, 0.0])
mask = torch.arange(8) < lengths.unsqueeze(1)
advantages = group_advantages(verdicts, 4)
pushes = {}
for average in ("episode", "token"):
    logprobs = torch.zeros(4, 8, requires_grad=True)
    same = torch.zeros(4, 8)
    loss, _ = grpo_loss(
        logprobs, same, same, on_every_step(advantages, mask), mask, clip=0.2, beta=0.0, average=average
    )
    pushes[average] = -torch.autograd.grad(loss, logprobs)[0]
rows = []
for row in range(4):
    cells = [f"{pushes[average][row, 0]:+.3f}" for average in pushes] + [
        f"{p[row].sum():+.3f}" for p in pushes.values()
    ]
    rows.append([("wrong", "right")[int(verdicts[row])], f"{lengths[row]}", f"{advantages[row]:+.2f}", *cells])
table(
    ["answer", "tokens", "A", "a token, episode", "a token, token", "whole answer, episode", "whole answer, token"],
    rows,
)

# %% [markdown] lang="en"
# With "episode", a token of the long wrong answer is punished with a quarter of the force that hits a token of the short
# wrong one. If you must be wrong, be long: each token gets away more cheaply. And a right answer is praised most per token when it is short.
# Wrong answers are thus pressed less to stop, and grow. That is the **length bias** that the Dr. GRPO paper
# describes. With "token" all tokens of equal advantage are pushed equally, and a long answer weighs by its length. Our answers are
# short and of much the same length, so no run in this notebook suffers from it; in chains of thought of thousands of
# tokens it matters. All settings of this course say "token".
#
# ### The whole update, and its simplest relative
#
# All parts are on the table. The body of `grpo`:

# %% [markdown] lang="zh"
# 用 episode 平均，错的长回答里每个词元挨的罚，只有错的短回答的四分之一。反正要错，不如写长一点：分到每个词元头上就便宜了。对的回答则是越短，每个词元受的表扬越多。
# 于是错的回答受到的“快停下”的压力变小，就越写越长。这就是 Dr. GRPO 那篇论文指出的**长度偏差**（length bias）。
# 用 token 平均，优势相同的词元受力相同，长回答按长度占分量。我们的回答都很短，长短也差不多，所以这个笔记本里没有哪次训练吃它的亏；
# 换成几千个词元的思维链，它就要紧了。本课程的设置全都用 token。
#
# ### 完整的更新，以及它最简单的亲戚
#
# 零件都齐了。下面是 `grpo` 的主体：

# %%
excerpt(grpo, first="live = live_rows", last="advantages = group")

# %% [markdown] lang="en"
# What follows it in the file is PPO's: the same minibatches, the same ratio, the same checks. So how much of GRPO is
# really needed? Take the scale, the clip and the KL away, make one step on what was played, and an old acquaintance is left:
# **REINFORCE** with the others of the group as its baseline ("leave one out"; Kool et al. 2019; for language models Ahmadian et al. 2024,
# [arXiv:2402.14740](https://arxiv.org/abs/2402.14740)):
#
# $$A_i = R_i - \frac{1}{G-1} \sum_{j \neq i} R_j = \frac{G}{G-1} \Big( R_i - \text{mean}(R_1, \dots, R_G) \Big)$$
#
# So up to the factor $G/(G-1)$, which a learning rate swallows, the first steps must be equal. Are they? In both worlds,
# for every parameter of the policy:

# %% [markdown] lang="zh"
# 文件里接下去的部分和 PPO 一样：同样的小批，同样的比率，同样的检查。那么 GRPO 里到底有多少是非要不可的？
# 拿掉标准差、裁剪和 KL，对玩出来的数据只走一步，剩下的是一位老相识：以同组的其他回合为基线的 **REINFORCE**
# （“留一法”，leave one out；Kool 等，2019；用于语言模型见 Ahmadian 等，2024，[arXiv:2402.14740](https://arxiv.org/abs/2402.14740)）：
#
# $$A_i = R_i - \frac{1}{G-1} \sum_{j \neq i} R_j = \frac{G}{G-1} \Big( R_i - \text{mean}(R_1, \dots, R_G) \Big)$$
#
# 也就是说，除了一个可以并进学习率的因子 $G/(G-1)$，两者的第一步应当相等。真的相等吗？在两个世界里，对策略的每个参数来核对：

# %%
display(excerpt(leave_one_out_advantages, first="others = counts", last="return select"))
for name in NAMES:
    run = new_run(lesson.RECIPE, name, rows=32)
    played = rollout(run.env, run.network, run.generator)
    logprobs, returns = evaluate_actions(run.network, played.episodes()).logprobs, played.rewards.sum(dim=1)
    old, weights = logprobs.detach(), list(run.network.parameters())
    others = on_every_step(leave_one_out_advantages(returns, G) * (G - 1) / G, played.mask)
    group = on_every_step(group_advantages(returns, G, scale=False), played.mask)
    simple, _ = policy_gradient_loss(logprobs, others, played.mask)
    loss, _ = grpo_loss(logprobs, old, old, group, played.mask, clip=0.2, beta=0.0, average="token")
    one, two = (parameters_to_vector(torch.autograd.grad(x, weights, retain_graph=True)) for x in (simple, loss))
    print(
        f"{name:<10} {len(one):>9,} entries   largest {one.abs().max():.1e}   largest difference {(one - two).abs().max():.1e}"
    )

# %% [markdown] lang="en"
# No difference but for rounding. What GRPO adds is a scale that fits any reward, and a clip that lets it use
# the same episodes for several steps.
#
# ## 7. Both worlds learn
#
# The loop differs from PPO's in one word, and is the same for both worlds:

# %% [markdown] lang="zh"
# 除了舍入，没有差别。GRPO 多出来的，是一个适合任何奖励的尺度，以及一个让同一批回合可以用上好几步的裁剪。
#
# ## 7. 两个世界一起学
#
# 循环和 PPO 的只差一个词，两个世界用的是同一个：

# %%
display(excerpt(lesson.train, first="while run.iteration", last="yield"))
runs = {name: new_run(lesson.RECIPE, name, **SHORTER.get(name, {})) for name in NAMES}
before = {name: run.evaluate(seed=HELD_OUT, quick=True) for name, run in runs.items()}
chosen = {name: run.world.evaluate(run.network, seed=HELD_OUT, quick=True, best_of=G) for name, run in runs.items()}
records = {name: finish(run) for name, run in runs.items()}
after = {name: run.evaluate(seed=HELD_OUT, quick=True) for name, run in runs.items()}

QUANTITIES = {
    "return": "return\n(recent episodes)",
    "kl_per_episode": "KL to the start\n(nats per episode)",
    "entropy": "entropy\n(nats per step)",
}
figure, grid = panels(len(QUANTITIES), 2, height=5.6, sharex="col")
for column, (name, found) in enumerate(records.items()):
    for axes, (quantity, label) in zip(grid[:, column], QUANTITIES.items(), strict=True):
        curve(axes, found, quantity, COLOUR[name])
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylabel(label if column == 0 else "", color=INK, fontsize=9)
    grid[0, column].set_title(runs[name].world.title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    grid[-1, column].set_xlabel(f"live {runs[name].world.step_name}s", color=INK, fontsize=9)
show(figure, "Return, KL and entropy against live steps while GRPO learns, in both worlds.")

# %% [markdown] lang="en"
# "Live" steps are steps that were really played, without padding. The return climbs in both. The pole's settings leave the KL free
# ($\beta = 0$), because its reward says all that we want; the language model's keep it near its start. **Entropy** is
# the policy's indecision: it must not fall to nothing, for a policy that always plays the same episode has groups of equals.
#
# Now the truth on starts and questions that training never saw. The middle column trains nothing: it is **best of $n$**,
# the plainest use of a group. The untrained policy plays $n = 8$ episodes from each start, and the best is taken. Any training has to stand
# comparison with it. (KL is in nats per episode. Choosing moves away from the start as well, by at most $\log n - (n-1)/n$: the
# tables show this bound. The greedy
# return, always the likeliest push, has nothing to choose from. Brackets are 95 % intervals.)

# %% [markdown] lang="zh"
# “有效”（live）步是真正玩过的步，不含填充。两边的回报都在上升。杆子的设置不限制 KL（$\beta = 0$），因为它的奖励已经说出了我们想要的一切；
# 语言模型的设置则让它留在起点附近。**熵**（entropy）是策略的犹豫程度，不能降到零：总是玩出同一个回合的策略，组里全是一样的。
#
# 再看真实水平，用训练中从未见过的起点和问题。中间一列什么都没训练，是 **best of $n$**（多中选优），一组回合最朴素的用法：
# 未经训练的策略从每个起点玩 $n = 8$ 个回合，取最好的一个。任何训练都得经得起和它比。（KL 的单位是奈特每回合。挑选同样会离开起点，最多 $\log n - (n-1)/n$，表里填的就是这个上界。
# greedy_return 每次都取最可能的推法，没有什么可选。方括号里是 95 % 置信区间。）

# %%
for name, run in runs.items():
    stage_results = (before[name], chosen[name], after[name])
    keys = [key for key in after[name] if key not in ("episodes", "answers", "length")]
    lines = [[key, *(told(run, evaluation, key) for evaluation in stage_results)] for key in keys]
    display(table([run.world.title, "before", "best of 8, untrained", "after GRPO"], lines))
compare("language: rude after GRPO", predicted["language: rude after GRPO"], after["language"]["rude"])
compare("language: rude, best of 8", predicted["language: rude, best of 8"], chosen["language"]["rude"])

ppo_run = new_run(with_critic.RECIPE, "cartpole")
history = {"PPO": finish(ppo_run), "GRPO": records["cartpole"]}
found = {"PPO": ppo_run.evaluate(seed=HELD_OUT, quick=True), "GRPO": after["cartpole"]}
for said, evaluation in found.items():
    print(
        f"{said:<5} pole stands {evaluation['sampled_return']:.0f} steps, having played {history[said][-1]['steps']:,} steps"
    )
LEARNING = CORE.parent / "benchmarks" / "learning.json"
stored = [one for one in json.loads(LEARNING.read_text("utf-8"))["results"] if one["learns"]]
for name in NAMES:
    needed = {kind: median(one["steps_to_solved"] for one in stored if one["name"] == f"{kind} {name}")
              for kind in ("ppo", "grpo")}  # fmt: skip
    print(f"benchmark, {name}: goal reached after {needed['ppo']:,.0f} live steps by PPO, {needed['grpo']:,.0f} by GRPO, "
          f"{needed['grpo'] / needed['ppo']:.1f} times as many (medians over seeds)")  # fmt: skip

# %% [markdown] lang="en"
# - **The answer.** Choosing among 8 is a strong rival: it cuts the rude answers deeply, with no training, and moves no
#   further than its bound. But it costs eight answers for each one that is used, every time, and it needs a judge at hand. Training is paid for once.
# - **The pole.** Here choosing is not enough. The best of eight mediocre drives is a lucky mediocre drive; a policy
#   that learns goes where none of its first drives ever was.
# - **The price.** The two lines that begin with PPO and GRPO put GRPO beside PPO with its usual settings: two whole runs, and both are at the top before their
#   end. How long is the way to the top? That is in the repository's benchmark (`benchmarks/learning.json`), of which the last two lines are. The pole's goal is 475 steps, the language model's few
#   rude answers and many polite ones. Without a critic more has to be played for the pole, whose episodes are long and where each push matters: there a critic has
#   much to tell. About an answer of a dozen tokens, with one score at its end, it has less to tell, and the model gets there earlier without: it plays no rollouts for a
#   critic's warm-up, and passes over each of its rollouts twice.
#
# So *can* the critic go? Yes, where memory is dearer than playing, where the reward comes at the end anyway, and where one
# can start again from the same place. A simulator and a chat prompt can; a robot in the street cannot.

# %% [markdown] lang="zh"
# - **回答。** 8 选一是个强劲的对手：不训练，就把粗鲁的回答压下去一大截，离起点也不会超过那个上界。但是每用一个回答，就要写八个，次次如此，而且身边得有裁判。训练只付一次钱。
# - **杆子。** 这里光靠挑选不够。八次平庸行驶里最好的，不过是一次走运的平庸行驶；会学习的策略，能走到它最初哪次行驶都没到过的地方。
# - **价格。** 表格下面以 PPO 和 GRPO 开头的那两行，把 GRPO 和用平时设置的 PPO 放在一起：这是两次完整的训练，两者都在结束之前就到了顶。走到顶要多久？最后两行取自本仓库的基准测试
#   （`benchmarks/learning.json`，各种子的中位数）。杆子的目标是 475 步，语言模型的目标是粗鲁的少、礼貌的多。没有评论家，杆子要多玩不少：它的回合很长，每一推都要紧，
#   评论家能说的也就多。一个回答只有十来个词元，只在结尾得一次分，评论家能说的就少得多，没有它反而更早达标：不用为评论家预热去采样，每批轨迹又学两遍。
#
# 那么评论家**可以**走吗？可以——只要内存比玩更贵，奖励反正到最后才来，而且能从同一个地方重新开始。模拟器和聊天提示都办得到；街上的机器人办不到。

# %% [markdown] lang="en"
# ## 8. A reward that can be checked
#
# So far someone had to judge taste. For a sum nobody has to: the result is right, or it is not. No reward model, no
# people's preferences, only a program of a few lines. That is the setting in which GRPO became known, with mathematics
# and code in place of sums.
#
# The third world, `"sums"`, is the language world with two-step sums, whose steps the model writes out before the
# result. Its starting model learnt from a pupil who often counts one too far. The reward is 1 if the last number
# is exactly right, and 0 otherwise. **It does not look at the steps.** The same `train`, the same `grpo`:

# %% [markdown] lang="zh"
# ## 8. 可以验证的奖励
#
# 到目前为止，总得有人来评判好恶。算式不需要：结果要么对，要么不对。不要奖励模型，不要人的偏好，只要几行程序。GRPO 正是在这种场合出的名，只不过那里是数学题和代码，不是小算式。
#
# 第三个世界 `"sums"` 就是语言世界，只问两步的加法，模型要先写出步骤，再写结果。起始模型是跟一个常常会多算 1 的小学生学的。
# 奖励：最后那个数完全正确得 1 分，否则 0 分。**步骤对不对，它根本不看。** 还是同一个 `train`，同一个 `grpo`：

# %%
from lessons.worlds.sums.judge import grade

display(excerpt(grade, first="right = ended and", last="return"))
run = new_run(lesson.RECIPE, "sums", **SHORTER["sums"])
before["sums"] = run.evaluate(seed=HELD_OUT, quick=True)
shown = {"before": rollout(run.world.examples(8, seed=HELD_OUT), run.network, torch.Generator().manual_seed(0))}
records["sums"] = finish(run)
after["sums"] = run.evaluate(seed=HELD_OUT, quick=True)
shown["after"] = rollout(run.world.examples(8, seed=HELD_OUT), run.network, torch.Generator().manual_seed(0))

keys = ("right", "pass_at_8", "steps", "eos", "kl")
display(
    table(["Sums", "before", "after"], [[key, *(told(run, x["sums"], key) for x in (before, after))] for key in keys])
)
print(
    f"least KL that this share of right answers costs: {run.bounds(before['sums'], after['sums'])['least_kl']:.2f} nats"
)
compare("sums: right after GRPO", predicted["sums: right after GRPO"], after["sums"]["right"])
with TemporaryDirectory() as folder:
    display(Markdown(run.world.show(shown["before"], shown["after"], Path(folder)).read_text("utf-8")))

# %% [markdown] lang="en"
# How to read it: *right* is **pass@1**, the share of single answers whose result is right; *pass_at_8* is the share of
# questions of whose 8 answers at least one is right; *steps* is the share of answers in which every step is right too.
# Questions are held out, each was answered 8 times; *least KL* is what any policy must pay for so many right answers.
#
# - **The result alone was paid, and the steps became right with it.** A right result hardly ever comes from
#   wrong steps, so to reward the one is to teach the other. Nobody had to say which digit was wrong: the forks of
#   section 4 did. This is what is meant by "the whole solution counts".
# - **pass@8 was high from the start.** Nearly every sum was within reach of eight tries. Training made the usual
#   case of what had been a matter of luck. It could not have invented what no try ever contained: without a single success
#   in a group there is no contrast and no gradient.
#   (Where a question in the table is still wrong afterwards, this is the first thing to suspect.)
#
# The last point can be seen. In how many of its 8 answers was each question right, before and after? For this, 32 groups
# on questions of the training kind, played anew. At 0 and at 8 all are equal, the advantages are exactly 0, and the group
# teaches nothing.

# %% [markdown] lang="zh"
# 怎么读：right 就是 **pass@1**，即单个回答结果正确的比例；pass_at_8 是每题写 8 个回答、其中至少一个正确的题目比例；steps 是连每个步骤都正确的回答比例。
# 题目都没有训练过，每题回答 8 次；least KL 是任何策略要达到这么高的正确率至少要付的 KL。
#
# - **得到奖励的只有结果，步骤却跟着对了。** 错的步骤几乎得不出对的结果，所以奖励结果就是在教步骤。没有人指出哪个数字错了，是第 4 节的那些岔口指出来的。
#   “看的是整个解答”，就是这个意思。
# - **pass@8 一开始就很高。** 几乎每道题都够得着，八次里总能碰对一次。训练把碰运气变成了常态。它变不出任何一次尝试里都没有的东西：一组里没有一次成功，就没有对照，也就没有梯度。
#   （表中若有题目训练之后还是错的，首先就该往这上面想。）
#
# 最后这一点看得见。每道题的 8 个回答里对了几个，训练前和训练后各是多少？为此重新玩 32 组，题目与训练题同类。对 0 个和对 8 个的组里，大家都一样，优势恰好是 0，什么也教不了。

# %%
fresh = run.world.env(rows=256, steps=32, seed=HELD_OUT, group_size=G, whole=True)
played_sums["after"] = rollout(fresh, run.network, torch.Generator().manual_seed(HELD_OUT))
hits, silent = {}, {}
for when, played in played_sums.items():
    returns = played.rewards.sum(dim=1)
    hits[when] = returns.view(-1, G).sum(dim=1).long().bincount(minlength=G + 1) / (len(returns) // G)
    silent[when] = [(group_advantages(returns, n).view(-1, n) == 0).all(dim=1).float().mean().item() for n in (2, 4, 8)]

figure, grid = panels(1, 2, height=3.1, width_ratios=[1, 1.15])
left, right = grid[0]
curve(left, records["sums"], "return", COLOUR["sums"])
left.set_ylim(0, 1.02)
left.locator_params(axis="x", nbins=5)
left.xaxis.set_major_formatter("{x:,.0f}")
left.set_xlabel("live tokens", color=INK, fontsize=9)
left.set_ylabel("share right\n(recent answers)", color=INK, fontsize=9)
for edge in (0, G):
    right.axvspan(edge - 0.5, edge + 0.5, color=PALE, lw=0)
    right.text(edge, 1.0, "A = 0", ha="center", va="top", fontsize=8, color=INK)
for shift, when, colour in ((-0.2, "before", EDGE), (0.2, "after", COLOUR["sums"])):
    right.bar(torch.arange(G + 1) + shift, hits[when], width=0.4, color=colour, label=when)
right.set(ylim=(0, 1.02), xlim=(-0.5, G + 0.5), xticks=range(G + 1))
right.set_xlabel("right answers in a group of 8", color=INK, fontsize=9)
right.set_ylabel("share of groups", color=INK, fontsize=9)
right.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper center")
show(figure, "Share of right answers while learning, and how many of 8 answers are right before and after.")

lines = [[when, *(f"{share:.0%}" for share in shares)] for when, shares in silent.items()]
display(table(["groups that teach nothing, cut into groups of", "2", "4", "8"], lines))
question = "sums: groups that teach nothing, after GRPO"
compare(question, predicted[question], silent["after"][-1])

# %% [markdown] lang="en"
# Success silences the groups. That is right, since there is little left to learn; but it also means that the playing is
# mostly wasted by then, and that questions should be neither too easy nor too hard. (The same happens on the left of the
# histogram with questions that the model never gets right.) The table cuts the very same answers into smaller groups:
# the smaller the group, the more of them are silent, on one and the same budget. If a question goes well with chance $p$, a
# group of $G$ is silent with chance $p^G + (1-p)^G$.
#
# ## 9. Why groups suit reward models
#
# A reward model is learnt from pairs: *this answer is better than that one, to the same question*. Its loss (Bradley and
# Terry; lesson 4) sees only differences within a question. So it cannot know whether the answers to one question are better than
# those to another: its scores are sound only up to a number $c(\text{prompt})$, one for each question, which may be
# anything. A group takes its own mean away, and $c(\text{prompt})$ with it.
#
# We add such a number to the scores, drawn by chance for each group and ten times as large as the returns' own spread, by a
# scorer that `relabel` puts in the place of the rewards. The policy's gradient is computed with it and without, from
# one and the same rollout, in 64-bit numbers. (In the table, *c* is the standard deviation of what is added, in points.
# For the Bradley-Terry loss, neighbours in a group are taken for pairs, as if the first were always preferred.)

# %% [markdown] lang="zh"
# 成功让组变得沉默。这没有错，因为可学的已经不多；但这也意味着，到那时多数的玩都白费了，所以题目既不能太容易，也不能太难。
# （模型从来做不对的题也一样，它们会落在直方图的最左边。）表中把完全相同的回答切成更小的组：预算不变，组越小，沉默的组就越多。
# 如果一道题做对的概率是 $p$，那么 $G$ 个一组时，沉默的概率是 $p^G + (1-p)^G$。
#
# ## 9. 为什么组内比较适合奖励模型
#
# 奖励模型是从成对的比较中学来的：**同一个问题，这个回答比那个好**。它的损失（Bradley-Terry，第 4 课）只看得到同一问题之内的差。
# 所以它不可能知道，这个问题的回答是不是比那个问题的回答更好：它的分数只准确到差一个数 $c(\text{prompt})$，每个问题各有一个，可以是任何值。
# 而一组减去自己的平均，$c(\text{prompt})$ 也就一起减掉了。
#
# 我们就给分数加上这样一个数：每组随机抽一个，大小是回报自身分散程度的十倍。办法是写一个打分器，由 `relabel` 把它的分数换到奖励的位置上。
# 然后对同一批轨迹，加与不加，各求一次策略的梯度，用 64 位浮点数。
# （表中的 *c* 是所加之数的标准差，单位是分。算 Bradley-Terry 损失时，把组内相邻的两个当作一对，就当前一个总是更受偏爱。）

# %%
SIZE = 10  # of what is added, in standard deviations of the returns
rows = []
for name in NAMES:
    run = new_run(lesson.RECIPE, name, rows=64)
    played = rollout(run.env, run.network, run.generator)
    played = played.map(lambda x: x.double() if x.is_floating_point() else x)
    policy, mask = run.network.double(), played.mask
    plain = played.rewards.sum(dim=1)
    size_of_c = SIZE * plain.std()
    shift = size_of_c * torch.randn(64 // G, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    last = mask.cumsum(dim=1).eq(mask.sum(dim=1, keepdim=True)) & mask
    bonus = last * shift.repeat_interleave(G).unsqueeze(1)
    moody = relabel(played, SimpleNamespace(score=lambda _, played=played, bonus=bonus: played.rewards + bonus))
    logprobs, weights = evaluate_actions(policy, played.episodes()).logprobs, list(policy.parameters())
    shifted = moody.rewards.sum(dim=1)
    for said, size, scale in (
        ("own group, scaled (GRPO)", G, True),
        ("own group", G, False),
        ("all 64 rows", 64, False),
    ):
        slopes = []
        for returns in (plain, shifted):
            advantages = on_every_step(group_advantages(returns, size, scale=scale), mask)
            loss, _ = policy_gradient_loss(logprobs, advantages, mask)
            slopes.append(parameters_to_vector(torch.autograd.grad(loss, weights, retain_graph=True)))
        apart = (slopes[0] - slopes[1]).norm() / slopes[0].norm()
        change = f"{apart:.1f}" if apart > 1e-6 else f"{apart:.0e}" if apart else "0"
        rows.append([run.world.title, f"{size_of_c:.0f}", said, change])
    losses = [bradley_terry_loss(returns[0::2], returns[1::2])[0] for returns in (plain, shifted)]
    print(f"{name:<10} Bradley-Terry loss of neighbours: {losses[0]:.6f} without c, {losses[1]:.6f} with c")
table(["world", "c", "mean that is subtracted", "gradient changes by (relative)"], rows)

# %% [markdown] lang="en"
# The reward model's own loss cannot see $c$, and neither can the group: the change is rounding. A mean over *all* rows, the
# usual baseline before groups, is overwhelmed by it: 1.0 would be a change as large as the gradient itself. (A critic could learn $c$ for each question,
# with time. A group has no need to.)
#
# ## 10. Without the group's mean
#
# What breaks in training? Two ablations with REINFORCE, the simplest relative, so that nothing but the baseline differs.
#
# - **The pole, with no baseline at all** (`baseline="none"`): each drive is praised for its own return. All returns are positive, so
#   every drive is praised, good or bad, only the longer ones more.
# - **The language model, under a moody judge**: the scores get a $c(\text{prompt})$ of up to 5 points either way, computed from the
#   question's tokens. Once the others of the group are the baseline, once it is the mean of all answers in the rollout
#   (`baseline="mean"`). The truth afterwards is told by the old judge, who has no moods.

# %% [markdown] lang="zh"
# 奖励模型自己的损失看不见 $c$，组也看不见：变化只是舍入。而对**所有**行取的平均，也就是有组之前常用的基线，会被它淹没：1.0 就表示变化和梯度本身一样大。
# （评论家花些时间，也能学会每个问题的 $c$；组则根本用不着学。）
#
# ## 10. 没有组的平均
#
# 训练时会坏掉什么？用最简单的亲戚 REINFORCE 做两个消融实验，这样除了基线，别的都相同。
#
# - **杆子，完全没有基线**（`baseline="none"`）：每次行驶都按自己的回报受表扬。回报全是正的，所以不论好坏，每次行驶都受表扬，只是长的多一些。
# - **语言模型，遇上喜怒无常的裁判**：分数加上一个由问题的词元算出来的 $c(\text{prompt})$，上下最多 5 分。一次以同组的其他回答为基线，
#   一次以这批全部回答的平均为基线（`baseline="mean"`）。训练之后，由原来那位不闹情绪的裁判说真话。

# %%
mood = SimpleNamespace(
    score=lambda answers: (
        answers.mask.cumsum(dim=1).eq(answers.mask.sum(dim=1, keepdim=True)).logical_and(answers.mask)
        * (
            torch.tensor([answer.verdict.score for answer in worlds["language"].answers(answers)])
            + 5 * answers.prompt.tokens.sum(dim=1).sin()
        ).unsqueeze(1)
    )
)
TRIALS = {
    "cartpole": {"baselines": ("leave_one_out", "none"), "seeds": (0, 1, 2), "changes": {"rows": 32}, "scorer": None},
    "language": {
        "baselines": ("leave_one_out", "mean"),
        "seeds": (0, 1),
        "changes": {"iterations": 12},
        "scorer": mood,
    },
}
SAID = {"leave_one_out": "the group's others", "mean": "mean of all", "none": "no baseline"}
torn = {}
for name, trial in TRIALS.items():
    for baseline in trial["baselines"]:
        for seed in trial["seeds"]:
            run = new_run(relative.RECIPE, name, seed=seed, update={"baseline": baseline}, **trial["changes"])
            run.scorer = trial["scorer"]
            history = finish(run)
            torn[name, baseline, seed] = history, run.evaluate(seed=HELD_OUT, quick=True)

figure, grid = panels(1, 2, height=3.2)
for axes, name in zip(grid[0], TRIALS, strict=True):
    for (world, baseline, seed), (history, _) in torn.items():
        if world == name:
            kept = baseline == "leave_one_out"
            style = {"color": COLOUR[name], "lw": 2} if kept else {"color": BAD, "lw": 1.4, "ls": (0, (4, 1.5))}
            points = [(row["iteration"], row["return"]) for row in history]
            axes.plot(*zip(*points, strict=True), label=SAID[baseline] if seed == 0 else None, **style)
    axes.set_title(worlds[name].title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    axes.set_xlabel("iteration", color=INK, fontsize=9)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
grid[0, 0].set_ylabel("return\n(recent episodes)", color=INK, fontsize=9)
show(figure, "Return while learning, with the group's others as the baseline and without, in both worlds.")

for name, keys in (("cartpole", ("sampled_return", "kl")), ("language", ("score", "right", "polite", "rude", "kl"))):
    lines = [
        [SAID[baseline], f"{seed}", *(f"{evaluation[key]:z.2f}" for key in keys)]
        for (world, baseline, seed), (_, evaluation) in torn.items()
        if world == name
    ]
    display(table([f"{name}: baseline", "seed", *keys], lines))
lost = [evaluation["sampled_return"] for (name, baseline, _), (_, evaluation) in torn.items() if baseline == "none"]
question = "cartpole: steps, without a baseline"
compare(question, predicted[question], sum(lost) / len(lost))

# %% [markdown] lang="en"
# Solid lines have the group's mean, dashed lines have not; each line is a seed. (The return of the language model is
# that of the steady judge, in both cases.)
#
# - **The pole** does climb without a baseline, since longer drives are still praised more. But the little that matters,
#   the difference, is buried under praise that all drives get. Whatever a policy happens to do is confirmed, and some runs stop half-way or
#   fall back.
# - **The language model** is told mostly the judge's moods when it compares answers to different questions: to the
#   lucky question every answer looks good, even a rude one. So it learns more slowly. With the group, the moods are gone, to the last digit, and it
#   learns as if there were none.
#
# And to be fair: the moods were put there on purpose. The steady judge's scores are comparable across questions, and lie on
# both sides of 0, so there is less to lose with him (try `--language.update.baseline none`). The group's mean is insurance against scores that are
# not so well behaved.

# %% [markdown] lang="zh"
# 实线有组的平均，虚线没有；每条线是一个随机种子。（语言模型的回报，两种情形都由不闹情绪的裁判来算。）
#
# - **杆子**没有基线也能往上爬，因为开得久的仍然多受表扬。但真正要紧的那一点差别，埋在了人人有份的表扬底下。策略碰巧做了什么，就肯定什么，于是有的训练半途停住，有的又退了回去。
# - **语言模型**一旦拿不同问题的回答相比，听到的就大半是裁判的情绪：遇上走运的问题，什么回答都显得好，粗鲁的也一样。所以它学得更慢。有了组，情绪就减得一干二净，学起来就像没有情绪一样。
#
# 也要说句公道话：这些情绪是我们故意加上的。情绪稳定的裁判，分数在不同问题之间可以比较，而且在 0 的两边都有，所以遇上他，损失没那么大（可以试试 `--language.update.baseline none`）。
# 组的平均是一份保险，防的是没有这么规矩的分数。

# %% [markdown] lang="en"
# ## Quiz
#
# Answer first, then unfold.
#
# <details><summary>1. A group of four has the returns 2, 2, 2, −2. What are the advantages without the scale?</summary>
#
# The mean is 1, so +1, +1, +1, −3. (Scaled, they are divided by the standard deviation, which is 2.)
# </details>
#
# <details><summary>2. All eight answers of a group are wrong. What does GRPO do with them?</summary>
#
# Nothing: all advantages are exactly 0. Only the KL term still pulls, towards the reference.
# </details>
#
# <details><summary>3. All eight answers begin with the same five tokens. How hard are these pushed in the first step?</summary>
#
# Not at all, with average "token": in the first step all ratios are 1, and the eight advantages add up to 0.
# </details>
#
# <details><summary>4. Somebody adds 3 points to every answer to hard questions. What changes for GRPO?</summary>
#
# Nothing. The 3 points are in all returns of a group, and in its mean.
# </details>
#
# <details><summary>5. Why does GRPO not work on a robot that can never be put back to the same place?</summary>
#
# Its group would have different starts; the mean would then mix how hard a start was with how well it was played. One would need a critic again, or a mean over many
# starts, which is noisier.
# </details>
#
# <details><summary>6. pass@8 is 1 before and after training. Has the model learnt nothing?</summary>
#
# It has: pass@1 rose. What took eight tries now takes one.
# </details>

# %% [markdown] lang="zh"
# ## 小测验
#
# 先想好答案，再展开。
#
# <details><summary>1. 一组四个回合，回报是 2、2、2、−2。不除以标准差，优势各是多少？</summary>
#
# 平均是 1，所以是 +1、+1、+1、−3。（要除的话，标准差是 2。）
# </details>
#
# <details><summary>2. 一组八个回答全错了，GRPO 拿它们怎么办？</summary>
#
# 什么也不做：所有优势恰好是 0。只有 KL 那一项还在把策略往参考策略拉。
# </details>
#
# <details><summary>3. 八个回答的前五个词元都相同。第一步会怎样推这五个词元？</summary>
#
# 用 token 平均时完全不推：第一步所有比率都是 1，八个优势加起来是 0。
# </details>
#
# <details><summary>4. 有人给难题的每个回答都加 3 分。对 GRPO 有什么影响？</summary>
#
# 没有。这 3 分在组内每个回报里都有，在平均里也有。
# </details>
#
# <details><summary>5. 一个永远没法放回原处的机器人，为什么不能用 GRPO？</summary>
#
# 它的一组会有不同的起点，平均就把“起点有多难”和“做得有多好”混在了一起。于是又需要评论家，或者对许多起点取平均，而那样噪声更大。
# </details>
#
# <details><summary>6. 训练前后 pass@8 都是 1，模型是不是什么都没学到？</summary>
#
# 学到了：pass@1 提高了。从前要试八次，现在一次就行。
# </details>

# %% [markdown] lang="en"
# ## What next
#
# ```bash
# python -m lessons.grpo --world sums                                    # full length, with a report
# python -m lessons.grpo --world language --language.update.no-scale     # Dr. GRPO
# python -m lessons.grpo --world cartpole --cartpole.update.group-size 2 # groups of two
# python -m lessons.reinforce --world language                           # its simplest relative
# python -m lessons.best_of_n --world language                           # choosing without learning
# ```
#
# Things to try: groups of 2, 4, 16 and 32 rows on the pole, several seeds each. A $\beta$ of 0 on the sums: does anything get lost?
#
# To read: `rl_core/losses/grpo.py` and `rl_core/algorithms/grpo.py`. Then Shao et al. 2024, section 4 (GRPO);
# DeepSeek-AI 2025, [arXiv:2501.12948](https://arxiv.org/abs/2501.12948), for what it did to a large model (DeepSeek-R1); Liu et al. 2025 (Dr. GRPO) and
# Yu et al. 2025 (DAPO), for what to change; Ahmadian et al. 2024, for how little is needed.
#
# You have now met PPO, DPO (lesson 6) and GRPO, and best of $n$ beside them. Which one when? The next lesson lets them compete, on one budget.

# %% [markdown] lang="zh"
# ## 接下来
#
# ```bash
# python -m lessons.grpo --world sums                                    # 完整长度，带报告
# python -m lessons.grpo --world language --language.update.no-scale     # Dr. GRPO
# python -m lessons.grpo --world cartpole --cartpole.update.group-size 2 # 两个一组
# python -m lessons.reinforce --world language                           # 它最简单的亲戚
# python -m lessons.best_of_n --world language                           # 只挑选，不学习
# ```
#
# 可以试试：杆子上用 2、4、16、32 个一组，每种多跑几个种子；算式上把 $\beta$ 设成 0，看看会不会丢掉什么。
#
# 可以读：`rl_core/losses/grpo.py` 和 `rl_core/algorithms/grpo.py`。然后是 Shao 等 2024 的第 4 节（GRPO）；
# DeepSeek-AI 2025，[arXiv:2501.12948](https://arxiv.org/abs/2501.12948)，看它在大模型上做到了什么（DeepSeek-R1）；
# Liu 等 2025（Dr. GRPO）和 Yu 等 2025（DAPO），看还有哪些可以改；Ahmadian 等 2024，看最少需要多少。
#
# 现在你已经见过 PPO、DPO（第 6 课）和 GRPO，还有一旁的 best of $n$。什么时候用哪一个？下一课让它们用同样的预算比一比。
