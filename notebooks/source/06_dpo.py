# %% [markdown] lang="en"
# # 6. DPO: RL without RL?
#
# Learning from preferences, the usual way, takes three networks beside the policy and two trainings. From people's
# choices, "this answer rather than that one", a *reward model* is learnt. Then PPO makes the policy play, scores what
# it played with that model, asks a *critic* who deserves the credit, and pays for every step away from a frozen
# *reference*. Lesson 2 took that machine apart.
#
# In 2023 a paper with the subtitle *Your Language Model is Secretly a Reward Model* (Rafailov et al.,
# [arXiv:2305.18290](https://arxiv.org/abs/2305.18290)) said: if preferences are all you have, most of the machine
# cancels. What is left is a classifier of pairs. This is **direct preference optimisation**, DPO. What people say in
# favour of it, and what we shall measure:
#
# | claim | measured in |
# |---|---|
# | policy and reward are two sides of one thing: the model *is* a reward model | sections 1, 2 and 5 |
# | reinforcement learning becomes a classification of preferences | section 3 |
# | one stage, no reward model, no sampling while training, fewer parts | sections 4 and 7 |
# | it is stable | sections 6, 7 and 9 |
# | it is as good as PPO | section 7 |
#
# Each of them turns out to be true of *something*. The question of this lesson is of what, and what it costs.
#
# It takes about three minutes to run on one CPU core; the outputs below come from such a run.

# %% [markdown] lang="zh"
# # 6. DPO：不用强化学习的强化学习？
#
# 从偏好中学习，通常的做法要训练两次，而且在策略之外还要三个网络。先从人的选择（“这个回答比那个好”）学出一个**奖励模型**
# （reward model）；再用 PPO 让策略自己去写，用奖励模型打分，请**评论家**（critic）分配功劳，
# 并对每一次偏离冻结的**参考策略**（reference）扣分。第 2 课拆开看过这台机器。
#
# 2023 年有一篇论文，副标题是 *Your Language Model is Secretly a Reward Model*（你的语言模型其实暗地里就是奖励模型；
# Rafailov 等，[arXiv:2305.18290](https://arxiv.org/abs/2305.18290)）。它说：如果手里只有偏好，这台机器的大部分零件可以约掉，
# 剩下的只是一个对成对回答做判断的分类器。这就是**直接偏好优化**（direct preference optimisation, DPO）。
# 人们为它说的好话，我们逐条来测：
#
# | 说法 | 在哪里测 |
# |---|---|
# | 策略与奖励是一体两面：模型自己**就是**奖励模型 | 第 1、2、5 节 |
# | 强化学习变成了对偏好的分类 | 第 3 节 |
# | 只有一个阶段，不要奖励模型，训练时不采样，零件更少 | 第 4、7 节 |
# | 稳定 | 第 6、7、9 节 |
# | 效果不输 PPO | 第 7 节 |
#
# 这些话都**在某种意义上**成立。这一课要弄清楚的是：在什么意义上，代价又是什么。
#
# 在一个 CPU 核上，全部运行一遍大约三分钟；下面保存的输出就来自这样一次运行。

# %%
from time import process_time

import torch
from IPython.display import display

from lessons import dpo as lesson
from lessons import ppo as other_lesson
from lessons.dpo import SETTINGS as DPO
from lessons.harness.pairs import pairs_of_turn
from lessons.ppo import SETTINGS as PPO
from lessons.worlds import NAMES, load
from lessons.worlds.measure import swapped, wilson
from notebooks.figures import (
    BAD, COLOUR, EDGE, GOOD, HELD_OUT, INK, SEED, compare, excerpt, finish, new_run, panels, progress, show, table,
    watch,
)  # fmt: skip
from notebooks.figures.credit import Credit, drawable, microscope
from rl_core.algorithms.dpo import dpo, episode_logprobs, implicit_accuracy, with_reference
from rl_core.evaluate import evaluate_actions

from rl_core.losses.dpo import dpo_loss, implicit_rewards, ipo_loss, smoothed_dpo_loss
from rl_core.pairs import Pairs

torch.set_num_threads(1)
worlds = {name: load(name) for name in NAMES}

# %% [markdown] lang="en"
# ## Predict first
#
# **Change these numbers before you run on.** They are compared with the measurements as these come in.
#
# - Four answers, of which a polite one has a share of 0.2 at the start, and judges who like it best. Which share will
#   DPO give it, if a nat of distance costs half a point?
# - The loss before the first step, when policy and reference are the same.
# - DPO makes the preferred of two episodes win. So what happens to the log-probability of the *preferred* ones: by how
#   many nats does it change, on pairs that training never sees?
# - The same policy, read as a reward model: in what share of those pairs does it put the preferred one first?
# - How long does the pole stand (of 500 steps) after DPO on drives of the mediocre driver, and how long if the learner's
#   own drives are compared?

# %% [markdown] lang="zh"
# ## 先预测
#
# **往下运行之前，请先改掉这些数字。** 每测出一个结果，就会和你的预测放在一起。
#
# - 有四种回答，礼貌的那种起初占 0.2，而裁判最喜欢它。如果偏离一奈特要付半分，DPO 会让它占到多少？
# - 走第一步之前（策略与参考策略还完全相同），损失是多少？
# - DPO 让一对里更受喜欢的那个胜出。那么，**受喜欢的**那些回合的对数概率会怎样？在训练从未见过的成对数据上，它变化多少奈特？
# - 把同一个策略当成奖励模型来读：在这些没见过的成对数据里，有多大比例它把受喜欢的排在前面？
# - 用平庸司机的行驶做 DPO 之后，杆子能立多少步（最多 500 步）？如果比较的是学习者自己的行驶呢？

# %%
predicted = {
    "four answers": 0.5,
    "first loss": 1.0,
    "chosen": {"cartpole": 1.0, "language": 1.0},
    "accuracy": {"cartpole": 0.9, "language": 0.9},
    "return": {"reference": 300, "policy": 300},
}

# %% [markdown] lang="en"
# ## 1. The trick
#
# Let $x$ be a start (a question, or the state of a pole) and $y$ a whole episode from there (an answer, a drive). We
# want a high reward $r(x, y)$ and pay $\beta$ points for each nat of KL from the reference. Lesson 2 met the policy
# that does this best. It is the reference, tilted by the reward:
#
# $$\pi^*(y \mid x) = \frac{1}{Z(x)}\; \pi_{\text{ref}}(y \mid x)\; e^{\,r(x, y)/\beta}$$
#
# $Z(x)$ only makes the probabilities add up to 1. It is a sum over all texts there are, and nobody can compute it. That
# is why one trains with PPO instead of writing the answer down.
#
# DPO reads the line **backwards**. Take the logarithm and solve for the reward:
#
# $$r(x, y) = \beta \log \frac{\pi^*(y \mid x)}{\pi_{\text{ref}}(y \mid x)} + \beta \log Z(x)$$
#
# So every policy is the best one for *some* reward. That reward, without its last term, is called the policy's
# **implicit reward** $\hat r$. Now recall how people's choices depend on the reward (the model of Bradley and Terry):
# they prefer $y^+$ to $y^-$ with probability $\sigma(r(x, y^+) - r(x, y^-))$, where $\sigma(z) = 1/(1+e^{-z})$. It is a
# *difference*, both episodes have the same start, and the term that nobody can compute cancels. What is left to do is to
# make the observed choices likely:
#
# $$\hat r(y) = \beta \big( \log \pi(y) - \log \pi_{\text{ref}}(y) \big), \qquad L = - \log \sigma\big( \hat r(y^+) - \hat r(y^-) \big)$$
#
# Those two equations, in the core. First $\hat r$ for both sides of each pair, and their difference, the **margin**; then
# the loss. A chosen episode is $y^+$, a rejected one $y^-$.

# %% [markdown] lang="zh"
# ## 1. 关键的一招
#
# 设 $x$ 是起点（一个问题，或杆子的一个状态），$y$ 是从那里开始的整个回合（一个回答，一次行驶）。我们想要高奖励 $r(x, y)$，
# 同时每偏离参考策略一奈特 KL，就要付 $\beta$ 分。第 2 课见过做得最好的那个策略：它就是按奖励倾斜过的参考策略：
#
# $$\pi^*(y \mid x) = \frac{1}{Z(x)}\; \pi_{\text{ref}}(y \mid x)\; e^{\,r(x, y)/\beta}$$
#
# $Z(x)$ 只是让概率加起来等于 1。它要对世上所有文本求和，谁也算不出来。所以人们才用 PPO 去训练，而不是直接把答案写下来。
#
# DPO 把这个式子**倒过来读**。取对数，解出奖励：
#
# $$r(x, y) = \beta \log \frac{\pi^*(y \mid x)}{\pi_{\text{ref}}(y \mid x)} + \beta \log Z(x)$$
#
# 也就是说，任何一个策略都是**某个**奖励的最优策略。去掉最后一项，这个奖励就叫作策略的**隐式奖励**（implicit reward）$\hat r$。
# 再想想人的选择怎样取决于奖励（Bradley–Terry 模型）：人们更喜欢 $y^+$ 而不是 $y^-$ 的概率是 $\sigma(r(x, y^+) - r(x, y^-))$，
# 其中 $\sigma(z) = 1/(1+e^{-z})$。这里只有**差**，而两个回合的起点相同，于是谁也算不出来的那一项正好消掉。
# 剩下要做的，只是让观察到的选择尽量可能：
#
# $$\hat r(y) = \beta \big( \log \pi(y) - \log \pi_{\text{ref}}(y) \big), \qquad L = - \log \sigma\big( \hat r(y^+) - \hat r(y^-) \big)$$
#
# 这两个式子在核心代码里是这样的：先对每一对的两边求 $\hat r$，再求差，叫作**间隔**（margin）；然后是损失。
# 被选中的（chosen）回合是 $y^+$，被拒绝的（rejected）是 $y^-$。

# %%
display(excerpt(implicit_rewards, "return beta"))
display(excerpt(dpo_loss, "chosen_rewards, rejected_rewards =", "bradley_terry_loss"))

# %% [markdown] lang="en"
# ## 2. Four answers, exactly
#
# Does it arrive where the theory says? Let a "language" have four answers only. Then all of it can be computed. The
# reference says them with the shares below. Their *worth* is $e^{r}$, chosen so that the judgments can be counted: of
# two answers with worth 6 and 2, the first is preferred in $6/(6+2)$ of the cases, since $\sigma(\log 6 - \log 2) = 6/8$.
# 420 judgments for each two answers give whole numbers for all of them. So here the preferences are not sampled, but *true*.

# %% [markdown] lang="zh"
# ## 2. 四个回答，精确地算
#
# 它真的会走到理论所说的地方吗？设想一种“语言”总共只有四个回答，这样一切都可以精确算出。参考策略说每个回答的比例见下。
# 它们的**分量**（worth）是 $e^{r}$，取值经过挑选，好让判断的次数都能数出来：分量为 6 和 2 的两个回答相比，前者在 $6/(6+2)$ 的情况下更受喜欢，
# 因为 $\sigma(\log 6 - \log 2) = 6/8$。任意两个回答之间各判断 420 次，次数就全是整数。所以这里的偏好不是抽样得来的，而是**真实**的。

# %%
ANSWERS = ("polite", "plain", "curt", "rude")
worth, ref = torch.tensor([6.0, 3.0, 2.0, 1.0]), torch.tensor([0.2, 0.4, 0.3, 0.1]).log()
preferred = [
    (first, second)
    for first in range(4)
    for second in range(4)
    for _ in range(round(420 * (worth[first] / (worth[first] + worth[second])).item()))
    if first != second
]
chosen, rejected = torch.tensor(preferred).T
print(f"{len(preferred):,} judgments; preferred to an answer in so many of 420:")
table(
    ["", *ANSWERS],
    [
        [one, *("" if one == two else f"{preferred.count((i, j))}" for j, two in enumerate(ANSWERS))]
        for i, one in enumerate(ANSWERS)
    ],
)

# %% [markdown] lang="en"
# The policy is four logits that start as the reference. Plain gradient descent (Adam) on `dpo_loss`, at two values of
# $\beta$. (The third run belongs to section 8; it takes other lengths into account.) No reward is shown to it, only who won.

# %% [markdown] lang="zh"
# 策略就是四个 logits，从参考策略出发，用 `dpo_loss` 做普通的梯度下降（Adam），$\beta$ 取两个值。
# （第三次训练属于第 8 节，那里会涉及回答的长度。）训练中没有给它看任何奖励，只告诉它谁赢了。

# %%
TOKENS = torch.tensor([12.0, 6.0, 4.0, 6.0])  # lengths of the four answers, for section 8
averaged = TOKENS.mean() / TOKENS
reached, first_losses, last_losses = {}, [], {}
for case, beta, weight in (("β = 1", 1.0, 1), ("β = 0.5", 0.5, 1), ("β = 0.5, averaged", 0.5, averaged)):
    logits = ref.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 400)
    for step in range(400):
        sums, ref_sums = weight * logits.log_softmax(dim=0), weight * ref
        loss, _ = dpo_loss(sums[chosen], sums[rejected], ref_sums[chosen], ref_sums[rejected], beta=beta)
        first_losses += [loss.item()] if step == 0 else []
        (logits.grad,) = torch.autograd.grad(loss, [logits])
        optimizer.step()
        schedule.step()
    reached[case], last_losses[case] = logits.detach().log_softmax(dim=0), loss.item()


def draw_bars(cases):
    """Show the shares of the four answers: at the start, as the theory wants them, and as they came out."""
    figure, grid = panels(1, len(cases), width=8.6 if len(cases) > 1 else 5.2, height=2.9, sharey=True)
    for axes, (case, beta) in zip(grid[0], cases.items(), strict=True):
        target = (ref + worth.log() / beta).softmax(dim=0)
        for place, (label, share, colour) in enumerate(
            [("ref", ref.exp(), EDGE), ("target", target, COLOUR["language"]), ("reached", reached[case].exp(), GOOD)]
        ):
            bars = axes.bar(torch.arange(4) + 0.27 * (place - 1), share, 0.25, color=colour, label=label)
            axes.bar_label(bars, [f"{x:.2f}".removeprefix("0") for x in share.tolist()], fontsize=7, color=INK)
        axes.set_xticks(range(4), [f"{one}\nworth {x:.0f}" for one, x in zip(ANSWERS, worth, strict=True)])
        axes.grid(False, axis="x")
        axes.set_title(case, loc="left", color=INK, fontsize=11, weight="bold")
    grid[0, 0].set_ylabel("share", color=INK, fontsize=9)
    grid[0, -1].legend(frameon=False, fontsize=9, labelcolor=INK)
    show(figure, "Bars of the four answers' shares: reference, target of the theory, reached by DPO.")


draw_bars({"β = 1": 1.0, "β = 0.5": 0.5})
for case, beta in (("β = 1", 1.0), ("β = 0.5", 0.5)):
    apart = (reached[case].exp() - (ref + worth.log() / beta).softmax(dim=0)).abs().max()
    print(f"{case:<8} largest distance from the target {apart:.1e}")
compare("first loss (log 2 = 0.6931)", predicted["first loss"], f"{first_losses[0]:.4f}")
compare("four answers: share of polite", predicted["four answers"], reached["β = 0.5"][0].exp().item())

# %% [markdown] lang="en"
# **It is exactly the tilted reference.** With a pencil, at $\beta = 1$: share times worth is 1.2, 1.2, 0.6 and 0.1; divide
# by their sum. At half the price the tilt is twice as strong ($e^{r/\beta}$ is the worth *squared*).
#
# And backwards? We ask the policy that came out for its implicit reward, and set the rude answer's to 0, since only
# differences can be known. Beside it, the reward that was never shown.

# %% [markdown] lang="zh"
# **正是那个倾斜过的参考策略。** $\beta = 1$ 时可以笔算：比例乘分量，得 1.2、1.2、0.6、0.1，再各自除以总和。
# 价格减半，倾斜就加倍（这时 $e^{r/\beta}$ 是分量的**平方**）。
#
# 反过来呢？我们向训练出来的策略要它的隐式奖励，并把粗鲁回答的定为 0（因为只有差是知道的）；旁边是从来没有给它看过的真实奖励。

# %%
rows = [["true r", *(f"{x:.3f}" for x in worth.log())]]
for case, beta in (("β = 1", 1.0), ("β = 0.5", 0.5)):
    implicit = beta * (reached[case] - ref)
    rows.append([f"implicit, {case}", *(f"{x:.3f}" for x in implicit - implicit[3])])
display(table(["reward, rude = 0", *ANSWERS], rows))
moved = (reached["β = 0.5"] - ref)[chosen].mean()
print(f"β = 0.5: log π of the chosen answer, mean over all judgments: {moved:+.3f} nats against the start")

# %% [markdown] lang="en"
# So the first claim is not a metaphor: **where preferences are plentiful and true, the policy is the reward model**, up to a
# constant.
#
# Look at the last line as well. The optimum is reached, nothing went wrong, and yet the answers that were *chosen* have
# become less likely on average. For "chosen" is said of a pair. A curt answer is chosen whenever the other one is
# rude; against the polite one it loses. Probabilities add up to 1, so it has to give some away. Keep this in mind for section 5.
#
# ## 3. It is classification
#
# The loss is the *cross-entropy* of a classifier that is asked, "which of the two was preferred?", with the margin as its logit.
# It begins at $\log 2$, a coin flip: policy and reference are the same, every margin is 0. Its gradient,
#
# $$\nabla L = -\,\beta\; \sigma\big(\hat r(y^-) - \hat r(y^+)\big)\; \big( \nabla \log \pi(y^+) - \nabla \log \pi(y^-) \big)$$
#
# reads well. Make the chosen episode likelier and the rejected one less likely, both with the same weight; and the weight is the
# probability that the implicit reward still has the pair the wrong way round. A pair that is understood hardly pushes any more.
#
# Compare the policy gradient of lesson 2: there an advantage stood before $\nabla \log \pi$, and it took an environment and a critic to
# find it. Here it is a plus for one episode and a minus for the other. **Every step of an episode gets the same credit**: $\log \pi(y)$ is
# the sum over its steps, be they pushes or tokens.

# %% [markdown] lang="zh"
# 所以第一条说法不是比喻：**只要偏好足够多、而且真实，策略就是奖励模型**，只差一个常数。
#
# 也请看最后一行。最优已经达到，什么也没出错，可是平均来看，**被选中**的回答反而变得更不可能了。因为“被选中”说的是一对之中的事：
# 生硬（curt）的回答遇到粗鲁的就会被选中，遇到礼貌的就会输。概率总和是 1，它只好让出一些。请记住这一点，第 5 节要用。
#
# ## 3. 这就是分类
#
# 这个损失就是一个分类器的**交叉熵**。它要回答的是“两个里面哪个更受喜欢”，而间隔就是它的 logit。它从 $\log 2$ 开始，等于抛硬币：
# 策略与参考策略相同，所有间隔都是 0。它的梯度
#
# $$\nabla L = -\,\beta\; \sigma\big(\hat r(y^-) - \hat r(y^+)\big)\; \big( \nabla \log \pi(y^+) - \nabla \log \pi(y^-) \big)$$
#
# 很好懂：让被选中的更可能，让被拒绝的更不可能，两边权重相同；而这个权重，就是隐式奖励仍把这一对排反的概率。
# 已经弄懂的一对，几乎不再起推动作用。
#
# 与第 2 课的策略梯度比一比：那里 $\nabla \log \pi$ 前面是优势，要靠环境和评论家才能求得；这里只是给一个回合记正、给另一个记负。
# **同一回合里每一步的系数相同**：$\log \pi(y)$ 是各步之和，不管那一步是推一下还是写一个词元（token）。

# %%
display(excerpt(episode_logprobs, "return evaluate"))

# %% [markdown] lang="en"
# ## 4. The whole update
#
# This is all of `dpo`, for a pole and for a language model. One call is one pass over the pairs, in minibatches.

# %% [markdown] lang="zh"
# ## 4. 完整的更新
#
# 下面就是 `dpo` 的全部，杆子和语言模型共用。调用一次，就把成对数据分成小批（minibatch）过一遍。

# %%
display(excerpt(dpo, "if not isinstance(pairs", "return mean_metrics"))
display(excerpt(with_reference, "ref_chosen, ref_rejected =", "return ReferencedPairs"))

# %% [markdown] lang="en"
# See what is *not* there: no `env`, no `rollout`, no `gae`, no critic. The reference is needed for one number per episode.
# `with_reference` asks for it once per data set, and from then on even the reference could be put away. So a data set is written
# (by anybody), judged, given its two reference numbers, and then learned from as often as we like.
#
# Let us do just this, as in the paper: the **reference** writes pairs. In the pole's world, two drives from one start, of
# which the longer is chosen; in the language world, two answers to one question, of which the judge prefers one (ties are
# dropped). Beside them a second set, from starts and questions that training never sees: the *held-out* pairs.

# %% [markdown] lang="zh"
# 请注意这里**没有**什么：没有 `env`，没有 `rollout`，没有 `gae`，也没有评论家。参考策略只需要为每个回合提供一个数；
# `with_reference` 对每份数据只问它一次，此后就算把参考策略收起来也无妨。一份数据由任何人写好，判断好，记下参考策略的对数概率，
# 之后想学多少遍都行。
#
# 我们就照论文的做法来：成对数据由**参考策略**来写。杆子的世界里，从同一起点开两次，选更长的那次；语言世界里，对同一个问题答两次，
# 选裁判更喜欢的那个（不分高下的去掉）。另外再写一份，用的是训练从未见过的起点和问题，叫作**留出**（held-out）的成对数据。

# %%
SIZE = {"cartpole": {"starts": 500, "passes": 16}, "language": {"starts": 160, "passes": 5, "learning_rate": 5e-4}}
data, held = {}, {}
for name, world in worlds.items():
    run, clock = new_run(lesson.RECIPE, name, **SIZE[name]), [process_time()]
    pairs = pairs_of_turn(run, run.reference)
    clock.append(process_time())
    data[name] = with_reference(run.reference, pairs)
    clock.append(process_time())
    kinds = world.preferences(run.reference, 150, seed=HELD_OUT, held_out=True)
    held[name] = with_reference(run.reference, Pairs.joined([kinds[kind] for kind in run.config.kinds or kinds]))
    steps = [side.mask.sum(dim=1).float().mean() for side in (pairs.chosen, pairs.rejected)]
    print(f"{world.title}: {len(pairs)} pairs to learn from, {len(held[name])} held out")
    print(f"  mean length: chosen {steps[0]:.1f} {world.step_name}s, rejected {steps[1]:.1f}")
    print(f"  written in {clock[1] - clock[0]:.1f} s, asked the reference for {clock[2] - clock[1]:.1f} s")

# %% [markdown] lang="en"
# ## 5. One data set, some passes
#
# The same lines for both worlds. After each few passes we ask `dpo_loss` about the held-out pairs, without learning from them; it tells margin,
# accuracy, and the implicit rewards of both sides. Divided by $\beta$, these are the changes of $\log \pi$ since the start, in nats per episode.
#
# In the same cell we also run a smaller and a larger $\beta$, for section 9.

# %% [markdown] lang="zh"
# ## 5. 一份数据，学几遍
#
# 两个世界用同样的几行。每学几遍，就拿留出的成对数据去问 `dpo_loss`（只问，不学）：它会给出间隔、准确率，以及两边的隐式奖励。
# 隐式奖励除以 $\beta$，就是 $\log \pi$ 自起点以来的变化，单位是奈特每回合。
#
# 同一个单元里还顺便跑了更小和更大的 $\beta$，第 9 节要用。

# %%
BETAS = {name: [DPO[name].update.beta, 0.02, 2.0] for name in NAMES}
studies, trained = {}, {}
for name, beta in [(one, beta) for one in NAMES for beta in BETAS[one]]:
    run, rows = new_run(lesson.RECIPE, name, iterations=1, update={"beta": beta}, **SIZE[name]), []
    for number in progress(range(run.config.passes + 1), f"β = {beta:g} · {name}"):
        if number:
            dpo(run.network, run.reference, run.optimizer, data[name], run.config.update, run.generator)
            run.schedule.step()
        if number in (0, 1, run.config.passes // 3, 2 * run.config.passes // 3, run.config.passes):
            now, start = with_reference(run.network, held[name]), held[name]
            says = (now.ref_chosen, now.ref_rejected, start.ref_chosen, start.ref_rejected)
            rows.append(dpo_loss(*says, beta=beta)[1] | {"passes": number})
    studies[name, beta], trained[name, beta] = rows, run

usual = {name: studies[name, BETAS[name][0]] for name in NAMES}
figure, grid = panels(3, 2, height=6.0, sharex="col")
for column, (name, rows) in enumerate(usual.items()):
    passes, beta = [row["passes"] for row in rows], BETAS[name][0]
    for quantity, label, colour in (("chosen_reward", "chosen", GOOD), ("rejected_reward", "rejected", BAD)):
        moved = [row[quantity] / beta for row in rows]
        grid[0, column].plot(passes, moved, "o-", color=colour, lw=1.8, ms=4, label=label)
    grid[1, column].plot(passes, [row["margin"] for row in rows], "o-", color=COLOUR[name], lw=1.8, ms=4)
    grid[2, column].plot(passes, [row["accuracy"] for row in rows], "o-", color=COLOUR[name], lw=1.8, ms=4)
    for axes, level in zip(grid[:, column], (0, 0, 0.5), strict=True):
        axes.axhline(level, color=INK, lw=0.7)
    grid[0, column].legend(frameon=False, fontsize=9, labelcolor=INK)
    grid[0, column].set_title(worlds[name].title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    grid[2, column].set_xlabel("passes over the data", color=INK, fontsize=9)
    grid[2, column].set_ylim(0.35, 1)
for axes, label in zip(grid[:, 0], ("change of log π\n(nats per episode)", "margin", "accuracy"), strict=True):
    axes.set_ylabel(label, color=INK, fontsize=9)
show(figure, "Held-out pairs: change of log π of chosen and rejected, margin, and accuracy, against passes.")

for name, rows in usual.items():
    beta = BETAS[name][0]
    print(f"{name}: held-out loss {rows[0]['loss']:.4f} at the start, {rows[-1]['loss']:.4f} at the end")
    compare(f"{name}: change of log π of the chosen", predicted["chosen"][name], rows[-1]["chosen_reward"] / beta)
    compare(f"{name}: held-out accuracy", predicted["accuracy"][name], rows[-1]["accuracy"])

# %% [markdown] lang="en"
# Read the figure from below.
#
# - **Accuracy** begins at one half (all rewards are 0, a tie counts half) and rises well above it. There is no reward model in this
#   notebook; this is the policy, and it can tell which of two answers that it has never seen the judge would like. It is no oracle, though: the
#   distance to 1 is what a small data set and a few passes leave open. And two drives that begin in the same place and end at different times often differ by
#   luck, about which no reward model can know anything.
# - **The margin** grows: that is what is being trained, and it holds for pairs never seen.
# - **The log-probabilities** are the surprise. The chosen episodes lose less than the rejected ones, and that is all that
#   the margin asks for. Where the green line lies below 0, DPO has made the *preferred* episodes rarer.
#
# Where did the probability go? To episodes that stand in neither column. Part of that is right, as with the four answers: a
# plain answer that was chosen over a rude one should still give way to a polite one; a drive of a mediocre driver that happened to last
# longer is still a mediocre drive. But nothing in the loss sees to it that it goes somewhere good. With few pairs and a
# long training it may go anywhere, and a falling log-probability of the chosen is the first thing to look at
# when a DPO run has gone strange. What it has done to these two policies is in the tables of section 9, in the rows of the usual $\beta$.

# %% [markdown] lang="zh"
# 从下往上读这张图。
#
# - **准确率**（accuracy）从一半开始（奖励全是 0，平局算半次），然后明显高出一半。这个笔记本里没有奖励模型，只有策略自己，
#   而它已经能看出，两个没见过的回答里，裁判会喜欢哪个。但它不是神谕：离 1 的那段距离，是数据少、遍数少留下的。
#   况且同一起点的两次行驶，长短不同往往只是运气，任何奖励模型都无从知道。
# - **间隔**（margin）在增大。训练的正是它，在没见过的成对数据上也成立。
# - **对数概率**最出人意料。被选中的比被拒绝的降得少，而间隔所要求的也不过如此。绿线在 0 以下的地方，
#   DPO 让**受喜欢**的回合变得更少见了。
#
# 概率到哪里去了？到了两边都没有的那些回合。这有一部分是应该的，和前面四个回答的情形一样：平淡的回答虽然胜过粗鲁的，
# 仍然应该让位给礼貌的；平庸司机碰巧立得久一点的那次，仍然是平庸的行驶。但是，损失里没有任何东西保证概率流向好的地方。
# 数据少、训练久的时候，它可能流向任何地方。DPO 训练如果出了怪事，首先要看的就是被选中的对数概率是不是在往下掉。
# 这两个策略因此变成了什么样，见第 9 节表中通常的 $\beta$ 那一行。

# %% [markdown] lang="en"
# ### The credit microscope: a reward for every step
#
# $\log \pi$ of an episode is a sum over its steps, so the implicit reward is one, too: $\beta \log (\pi/\pi_{\text{ref}})$ of each push and
# each token. Lesson 1 had a critic who said which step did it. Nobody trained a critic here; does the policy know anyway? We take the
# held-out pair of each world that the policy is surest about: first the rejected episode, then the chosen one. (The last steps of each; ◀ and ▶
# are pushes, with the lean in degrees that they answer. In the lower row, the rewards are added up from the first step of the episode on.)

# %% [markdown] lang="zh"
# ### 信用分配显微镜：每一步都有奖励
#
# 一个回合的 $\log \pi$ 是各步之和，所以隐式奖励也可以逐步来看：每一推、每个词元各有自己的 $\beta \log (\pi/\pi_{\text{ref}})$。
# 第 1 课是由评论家来说哪一步起了作用；这里谁也没有训练过评论家，那么策略自己知道吗？我们在每个世界里挑出策略最有把握的一对留出数据：
# 先看被拒绝的，再看被选中的。（只画最后几步；◀ 和 ▶ 是推的方向，后面是推之前杆子倾斜的角度。下面一行从回合的第一步起累加。）

# %%
credits = {"rejected": [], "chosen": []}
for name, world in worlds.items():
    run, pairs = trained[name, BETAS[name][0]], held[name]
    sides = {"rejected": pairs.rejected, "chosen": pairs.chosen}
    with torch.no_grad():
        rewards = {
            side: run.config.update.beta
            * (evaluate_actions(run.network, one).logprobs - evaluate_actions(run.reference, one).logprobs)
            for side, one in sides.items()
        }
    margins = rewards["chosen"].sum(dim=1) - rewards["rejected"].sum(dim=1)
    fits = torch.tensor(
        [all(drawable(world.words(one, row)) for one in sides.values()) for row in range(len(pairs))]
    )  # the figure's font has them
    row = margins.where(fits, -torch.inf).argmax().item()
    for side, one in sides.items():
        length, words = int(one.mask[row].sum()), world.words(one, row)
        last = slice(max(0, length - 14), length)
        lines = {"reward of the step": rewards[side][row, last].tolist()}
        lines["added up"] = rewards[side][row].cumsum(dim=0)[last].tolist()
        credits[side].append(Credit(words[last], lines, last.start + 1, one.obs[row, last]))

for side, side_credits in credits.items():
    titles = [f"{world.title}: {side}" for world in worlds.values()]
    show(
        microscope(side_credits, titles),
        f"The {side} episode of one pair of each world, with the implicit reward by step.",
    )

# %% [markdown] lang="en"
# Each line has its own colours, red below 0 and green above. The language model has put its reward where the tone is: on the few tokens by
# which one answer differs in manners from the other. (That may be EOS: the answer stops, where a polite one would go on.) The facts are nearly white, for there the policy has
# not moved. The pole's credit is spread over many pushes. Look for the red ones in the rejected drive: ▶ while the pole leans to the left (a negative angle) makes it lean more, since
# the cart must be driven *under* a falling pole. Nobody has said so; the policy found it by comparing lengths.
#
# Do not ask too much of it, though. Only the *sum* was trained; how it is divided among the steps was up to the network. Compare lesson 1, where a
# critic learnt to divide it.

# %% [markdown] lang="zh"
# 每行各用各的色标，红色小于 0，绿色大于 0。语言模型把奖励放在了语气所在的地方：两个回答在礼貌上有差别的那几个词元。（也可能是 EOS：礼貌的回答会接着说下去，它却到此为止。）
# 陈述事实的部分几乎是白的，策略在那里没有动。杆子的功劳和过失则分散在许多推动上。请在被拒绝的那次行驶里找红色：杆子向左倾（角度为负）时往右推 ▶，只会倾得更厉害，
# 因为小车应当开到要倒的杆子**下面**去。这一点没有人说过，策略是通过比较长短自己发现的。
#
# 不过别对它要求太高：训练的只是**总和**，怎样分到各步，全由网络自己决定。可以与第 1 课对照，那里有评论家专门学习怎样分。

# %% [markdown] lang="en"
# ## 6. Fresh rounds
#
# A data set that the reference wrote tells which of *its* episodes are better. As soon as the policy has moved on, it would like to know about
# other ones: its own. For that one must sample again. Not in each step, as PPO does, but now and then: write a data set with the
# policy as it is, have it judged, learn, repeat. (This is called *online* or *iterative* DPO.) The loop is the whole
# lesson program:

# %% [markdown] lang="zh"
# ## 6. 逐轮采样新数据
#
# 参考策略写的数据，只说明**它的**回合里哪些更好。策略一旦往前走了，想知道的就是另外一些回合了：它自己的。为此必须重新采样，
# 但不必像 PPO 那样每一步都采，隔一阵采一次就行：用当前的策略写一份数据，判断好，学习，再重复。（这叫**在线**或**迭代** DPO。）
# 循环就是这一课的整个程序：

# %%
display(excerpt(lesson.train, "while run.iteration", "yield"))
display(excerpt(lesson.passes_over, "for _ in range", "run.schedule.step()"))

# %% [markdown] lang="en"
# We run it twice in each world, on one budget of starts and passes: `writer="policy"`, each round's pairs are the learner's
# own; and `writer="reference"`, where the reference has written them all, as if they came from a file. (Pairs without a winner are dropped, and longer drives have more steps. So
# what is learnt from differs in size; section 7 lists it. `anchor` is what the policy
# stays close to: in the language world where it started; in the pole's, in both runs, where it was at the start of the round, so that it may go further with every round.)
#
# Two things are followed: the mean return on starts and questions that training never sees (a drive can stand 500 steps at most, an answer can score 2), and the accuracy of
# the implicit reward on the held-out pairs of section 5, all written by the reference. **A guess: will the better classifier be the better policy?**

# %% [markdown] lang="zh"
# 在每个世界里各跑两次，起点的数量和学习的遍数都相同：`writer="policy"`，每一轮的数据都是学习者自己写的；
# `writer="reference"`，全部由参考策略来写，就像来自一份现成的文件。（分不出高下的对子会去掉，行驶越长步数也越多，
# 所以实际学到的数据量不同，第 7 节会列出来。`anchor` 指策略要贴近谁：语言世界里是起点；
# 杆子的世界里，两次都是这一轮开始时的策略，所以每一轮都可以走得更远。）
#
# （图中 pairs by the policy / reference：数据由策略 / 参考策略来写。）我们跟踪两样东西：训练从未见过的起点和问题上的平均回报（杆子最多立 500 步，回答最多得 2 分），以及隐式奖励在第 5 节那份留出数据（全由参考策略写成）上的准确率。
# **猜一猜：分类做得更好的，策略也更好吗？**

# %%
ROUNDS = {"cartpole": {"iterations": 4}, "language": {"iterations": 16}}
results, curves, seconds = {}, {}, {}
for name, world in worlds.items():
    for writer in ("policy", "reference"):
        run = new_run(lesson.RECIPE, name, writer=writer, **ROUNDS[name])
        training, spent, points = watch(run), 0.0, []
        for number in range(run.config.iterations + 1):
            if number:
                began = process_time()
                next(training)
                spent += process_time() - began
            if number % (run.config.iterations // 4) == 0:
                mean_return = world.quick_evaluate(run.network, seed=HELD_OUT)[world.headline]
                points.append((number, mean_return, implicit_accuracy(run.network, held[name])))
        curves[name, writer], seconds[name, writer] = points, spent
        results[name, writer] = run, run.evaluate(seed=HELD_OUT, quick=True)

figure, grid = panels(2, 2, height=4.6, sharex="col")
for column, name in enumerate(NAMES):
    for writer, style in (
        ("policy", {"color": COLOUR[name], "lw": 2.2, "label": "pairs by the policy"}),
        ("reference", {"color": INK, "lw": 1.4, "ls": (0, (4, 1.5)), "label": "pairs by the reference"}),
    ):
        rounds, returns, hits = zip(*curves[name, writer], strict=True)
        grid[0, column].plot(rounds, returns, marker="o", ms=4, **style)
        grid[1, column].plot(rounds, hits, marker="o", ms=4, **style)
    grid[1, column].axhline(0.5, color=INK, lw=0.7)
    grid[0, column].set_title(worlds[name].title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    grid[1, column].set_xlabel("rounds", color=INK, fontsize=9)
    grid[0, column].set_ylim(0, {"cartpole": 520, "language": 2.1}[name])
    grid[1, column].set_ylim(0, 1.03)
    grid[1, column].locator_params(axis="x", integer=True)
    grid[1, column].legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower left")
for axes, label in zip(grid[:, 0], ("mean return", "accuracy on\nthe reference's pairs"), strict=True):
    axes.set_ylabel(label, color=INK, fontsize=9)
show(figure, "Return and accuracy against rounds, with pairs by the policy and by the reference, both worlds.")

TOLD = {
    "cartpole": ("sampled_return", "greedy_return", "kl"),
    "language": ("score", "right", "polite", "rude", "eos", "kl"),
}
for name, world in worlds.items():
    rows = []
    for writer in ("reference", "policy"):
        run, evaluation = results[name, writer]
        kinds = world.preferences(run.network, 100, seed=HELD_OUT, held_out=True)
        own = Pairs.joined([kinds[kind] for kind in run.config.kinds or kinds])
        on_own = (
            f"{implicit_accuracy(run.network, with_reference(run.reference, own)):.2f} of {len(own)}"
            if len(own)
            else "no pairs left"
        )
        cells = [f"{evaluation[key]:z.2f}" for key in TOLD[name]]
        rows.append([writer, *cells, f"{curves[name, writer][-1][2]:.2f}", on_own])
    accuracies = ["accuracy, reference's pairs", "accuracy, its own pairs"]
    display(table([f"{name}: written by", *TOLD[name], *accuracies], rows))
for writer, guess in predicted["return"].items():
    compare(f"cartpole: return, written by the {writer}", guess, results["cartpole", writer][1]["sampled_return"])

# %% [markdown] lang="en"
# (*Right*, *polite* and *rude* are shares of the answers, *eos* the share that came to an end of their own accord; *kl* is the KL to the start, in nats per episode.
# *Its own pairs* are new pairs of unseen starts, played by the policy that came out, and judged as ever. If all drives stand to the end, none is better, and no pair is left.)
#
# **Upper row: fresh rounds win, in both worlds.** The mediocre driver's pairs are about how to fall a little later. They help up to a point; then what matters are states that
# such drives never reach, and about which those pairs are silent.
#
# **Lower row: the better classifier is not the better policy.** Look at the language model that learns from the reference's pairs. At telling these apart it becomes
# better and better, and as a writer it goes to pieces: see the share of right answers, and the KL. This is the warning of section 5 come true. On the answers of the data
# it does as told: the rejected ones sink, the chosen ones sink less. The probability that they lose goes to texts that *nobody ever showed it*, and about
# which no pair has a say. On its own answers, accordingly, its implicit reward is worse than a coin: it puts hardly any pair the right way round. It takes what it overrates for good, and writes just that.
# Fresh rounds see such texts at once, as soon as the policy writes them, and they lose the comparison. (A larger β protects as well, as section 9 shows: it stops sooner.
# To be fair: this is one run of each kind, with settings that were made for fresh rounds. Whoever learns from a file goes more gently, and stops early.)
#
# The fresh policy, in turn, need not become a better judge of the *reference's* episodes. The pole's is the extreme. It has moved so far that even the better ones of
# the old drives are things that it would hardly do, and in a long drive there is more of that.
# So the second half of the slogan has a condition. The model is secretly a reward model **for episodes like those that were compared**, and for no others.

# %% [markdown] lang="zh"
# （right、polite、rude 是回答中的比例，eos 是自己写到结尾的比例；kl 是到起点的 KL，单位是奈特每回合。
# “its own pairs”是由训练出来的策略在没见过的起点上新写的成对数据，判断方式不变；如果每次行驶都立到了最后，就分不出高下，一对也不剩（no pairs left）。）
#
# **上排：两个世界里，都是逐轮用自己的新数据更好。** 平庸司机的成对数据，讲的是怎样晚一点倒。学到一定程度，要紧的就是那些行驶从未到过的状态，而关于这些状态，它们什么也没说。
#
# **下排：分类更好，不等于策略更好。** 看看用参考策略的数据学习的那个语言模型：它越来越会分辨这些回答，自己写起来，却垮掉了：请看答对的比例和 KL。
# 这正是第 5 节那句警告的应验。对数据里的回答，它照办了：被拒绝的往下沉，被选中的沉得少些。它们失去的概率，流向了**从来没有人给它看过**的文本，
# 关于那些文本，没有一对数据说过话。于是在它自己的回答上，隐式奖励还不如抛硬币，几乎把每一对都排反了：它把自己高估的东西当成好的，写出来的也正是这些东西。
# 逐轮用自己的新数据时，策略一写出这样的文本，马上就会在比较中输掉。（第 9 节会看到，加大 β 也能起保护作用：它停得更早。
# 也要说句公道话：每种只跑了一次，而且设置是为逐轮采样准备的；用现成文件学习的人会学得更温和，也会早些停下。）
#
# 反过来，逐轮采样得到的策略，也未必更会评判**参考策略**的回合。杆子最为极端：它已经走得太远，旧数据里就算较好的行驶，也是它几乎不会做的事，而行驶越长，这样的地方越多。
# 所以那句口号的后半句要加一个条件：模型暗地里是奖励模型，**但只对与比较过的相似的回合而言**，对别的则不是。

# %% [markdown] lang="en"
# ## 7. Against PPO
#
# Now the accounts. PPO as in lesson 2, with its settings (the language world's shortened, as DPO's rounds are). Seconds are of one CPU core, for playing and learning. *Rows played* are drives
# and answers, for the pole's PPO pieces of drives of at most 64 steps. *Live steps* are
# the pushes and tokens that were learnt from (each once, however often it was used; pairs without a winner teach nothing). *Held* are the networks in memory while training, with their
# parameters. Mind an unfairness in favour of PPO: here it is given the true reward, by step or by answer. DPO is told one bit a pair. Had
# PPO had no more than the pairs, it would have needed a reward model first; that line is added.

# %% [markdown] lang="zh"
# ## 7. 与 PPO 对账
#
# 现在来算账。PPO 与第 2 课相同，用它自己的设置（语言世界的缩短了，DPO 的轮次也一样）。秒数是一个 CPU 核上采样加学习的时间；rows played 是行驶或回答的次数
# （杆子的 PPO 例外，是每段至多 64 步的行驶片段）；live steps 是学过的推动或词元（不论反复用了几遍，只算一次；不分高下的对子不用来学）；held 是训练时放在内存里的网络，以及它们的参数量。请注意有一处对 PPO 有利的不公平：
# 这里它拿到的是真实的奖励，每步或每个回答都有；DPO 每一对只知道一个比特。如果 PPO 也只有成对数据，就还得先训练一个奖励模型，那一行也列在下面。

# %%
PPO_TURNS = {"cartpole": PPO["cartpole"].iterations, "language": 16}
for name in NAMES:
    run, began = new_run(other_lesson.RECIPE, name, iterations=PPO_TURNS[name]), process_time()
    finish(run)
    seconds[name, "ppo"] = process_time() - began
    results[name, "ppo"] = run, run.evaluate(seed=HELD_OUT, quick=True)

KINDS = {"reference": "DPO, pairs by the reference", "policy": "DPO, pairs by the policy", "ppo": "PPO, true reward"}
for name, world in worlds.items():
    start = world.evaluate(world.reference(), seed=HELD_OUT, quick=True)
    rows = [["start", "", "", "", "", "", *(f"{start[key]:z.2f}" for key in TOLD[name])]]
    for kind, row_label in KINDS.items():
        run, evaluation = results[name, kind]
        parts = {"policy": run.reference, "reference": run.reference}
        count = {part: sum(p.numel() for p in network.parameters()) for part, network in parts.items()}
        extra = sum(p.numel() for p in run.network.parameters()) - count["policy"]
        count |= {"critic": extra} if extra else {}
        rows_a_turn = run.config.rows if kind == "ppo" else 2 * run.config.starts
        played = f"{run.iteration * rows_a_turn:,}"
        cost = [f"{seconds[name, kind]:.0f}", played, f"{run.steps:,}", " + ".join(count), f"{sum(count.values()):,}"]
        rows.append([row_label, *cost, *(f"{evaluation[key]:z.2f}" for key in TOLD[name])])
    scorer = sum(p.numel() for p in world.scorer("reference", seed=SEED).parameters())
    rows.append(["a reward model beside PPO", "", "", "", "+ scorer", f"+ {scorer:,}", *("" for _ in TOLD[name])])
    display(table([world.title, "seconds", "rows played", "live steps", "held", "parameters", *TOLD[name]], rows))

# %% [markdown] lang="en"
# - **Fewer parts: yes.** Two networks instead of three or four, and the reference is asked once per data set. No critic to be fitted, no advantage to be
#   estimated, no reward model to be fooled.
# - **No sampling while training: yes, between the rounds.** And with pairs from a file none at all, at the price that the last section showed.
# - **Stable? The loss is, the policy need not be.** No run crashed, and on pairs like those it learnt from each policy became the better classifier at first. Yet with the reference's pairs the language model came out far worse than its accuracy lets on.
# - **Faster? It depends on what is dear.** DPO reads both episodes of every pair, in as many passes as it takes. For a pole, playing costs next to nothing,
#   and PPO, with a reward at every step, is done sooner. For the language model, DPO's run was the shorter one. In large models sampling and the extra networks weigh more still, but a table
#   of two toy worlds decides nothing about that.
# - **As good? Look at the columns: with fresh pairs, DPO and PPO end far from where they started.** Where one scores more, look at its KL before calling it the better one. And this is one seed, small models, a judge that is a program, and PPO with another kind of information.
#   That DPO "matches or beats" PPO was reported for particular tasks in the paper. It is not what has been measured here. Which is better at
#   equal KL and on equal budgets takes several seeds and curves of score against KL.

# %% [markdown] lang="zh"
# - **零件更少：是的。** 两个网络，而不是三四个，参考策略对每份数据只问一次；没有评论家要拟合，没有优势要估计，也没有奖励模型会上当。
# - **训练时不采样：是的，只在两轮之间采。** 若用现成文件里的成对数据，就完全不采，代价上一节已经看到了。
# - **稳定吗？损失是稳定的，策略却不一定。** 没有一次训练崩溃，对与训练数据相似的成对数据，每个策略起初也都分得更准；可是用参考策略的数据训练出来的语言模型，比它的准确率看上去差得多。
# - **更快吗？要看什么贵。** DPO 要读每一对的两个回合，而且读好几遍。对杆子来说，玩一局几乎不要钱，PPO 又有步步都给的奖励，所以更早学完；
#   语言模型这边，则是 DPO 用时更短。模型越大，采样和多出来的网络越贵，但两个玩具世界的一张表，对此下不了结论。
# - **一样好吗？请看各列：用自己的新数据，DPO 和 PPO 都离起点很远了。** 哪一个分数更高，先看看它的 KL，再说它更好。何况这只是一个随机种子、很小的模型、一个由程序充当的裁判，而且 PPO 得到的信息种类不同。
#   DPO“不输甚至胜过”PPO，是论文在特定任务上报告的，这里并没有测。要问在同样的 KL、同样的预算下谁更好，得用多个随机种子，
#   并画出分数对 KL 的曲线。

# %% [markdown] lang="en"
# ## 8. Break it: average instead of sum
#
# $\log \pi(y)$ is a sum, and long answers have long sums. It is tempting to *average* over the tokens, as one does in SFT. What does that change? Suppose that our
# four answers have the lengths below, and let everything else be as in section 2. The averages are scaled such that an answer of mean length weighs as before. Nothing crashes, and the loss falls just
# as far:

# %% [markdown] lang="zh"
# ## 8. 拆掉一样试试：不求和，改求平均
#
# $\log \pi(y)$ 是求和，长回答的和自然也长。于是很容易想到像 SFT 那样，对词元**求平均**。这会改变什么？假设我们那四个回答的长度如下，
# 其余都和第 2 节一样。平均值做了缩放，使平均长度的回答权重和原来一样。程序不会崩溃，损失也降到同样低：

# %%
draw_bars({"β = 0.5, averaged": 0.5})
print(f"last loss: sum {last_losses['β = 0.5']:.4f}, average {last_losses['β = 0.5, averaged']:.4f}")
target = (ref + worth.log() / 0.5).softmax(dim=0)
rows = [["tokens", *(f"{x:.0f}" for x in TOKENS)], ["share, target", *(f"{x:.3f}" for x in target)]]
rows += [[f"share, {reduction}", *(f"{x:.3f}" for x in reached[key].exp())] for reduction, key in
         (("sum", "β = 0.5"), ("average", "β = 0.5, averaged"))]  # fmt: skip
display(table(["", *ANSWERS], rows))

# %% [markdown] lang="en"
# **It is another problem that is solved.** With the average, a long answer has to move its $\log \pi$ further to earn the same implicit reward. So the tilt of the
# long one is exaggerated, that of the short one is damped, and the others make room: shares now depend on *length*, about which the judges have said nothing. The optimum of section 1 belongs to the probability
# of the whole answer, and that is a product over the tokens, a sum of logarithms.
#
# (There are methods that average on purpose, to be fair to long answers or to do without a reference: SimPO is one. They have another optimum, and say so.)
#
# ## 9. Small and large β, wrong labels
#
# $\beta$ is the price of a nat, as in PPO, but it acts in another place: a pair stops pushing when its margin $\beta h$ is large, where $h$ is the log-ratio of
# chosen over rejected, in nats. Small $\beta$: it takes a large $h$ to be satisfied. From the runs of section 5:

# %% [markdown] lang="zh"
# **解决的变成了另一个问题。** 求平均时，长回答的 $\log \pi$ 要移动得更多，才能得到同样的隐式奖励。于是长的倾斜过头，短的倾斜不足，其余的给它们让位：
# 比例开始取决于**长度**，而关于长度，裁判什么也没有说。第 1 节的最优解说的是整个回答的概率，它是各词元概率的乘积，也就是对数之和。
#
# （有些方法是有意求平均的，为的是对长回答公平，或者不用参考策略，SimPO 就是一例。它们的最优解不同，也明说了这一点。）
#
# ## 9. β 的大小，以及错误的标签
#
# $\beta$ 仍是一奈特的价格，和 PPO 一样，但起作用的地方不同：一对数据的间隔 $\beta h$ 足够大时就不再推了，这里 $h$ 是被选中与被拒绝的对数比之差，
# 单位是奈特。$\beta$ 小，就要很大的 $h$ 才满足。下面用的是第 5 节的训练：

# %%
for name in NAMES:
    rows = []
    for beta in sorted(BETAS[name]):
        last, run = studies[name, beta][-1], trained[name, beta]
        evaluation = run.evaluate(seed=HELD_OUT, quick=True)
        moved = [last[key] / beta for key in ("chosen_reward", "rejected_reward")]
        cells = [f"{evaluation[key]:z.2f}" for key in TOLD[name]]
        rows.append([f"{beta:g}", *(f"{x:+.1f}" for x in moved), f"{last['accuracy']:.2f}", *cells])
    display(table([f"{name}: β", "chosen, nats", "rejected, nats", "accuracy", *TOLD[name]], rows))

# %% [markdown] lang="en"
# The larger $\beta$, the shorter the way: see the columns of nats, and the KL. So $\beta$ does what it promised. How far is *good* depends on the world: the pole, sampled, stands longer for having gone further, the language model
# pays for it with right answers. Between the two smaller values there is little difference, though they differ tenfold. A few passes are not enough to arrive at the optimum, and before that, the learning rate and the number of passes decide how far one gets.
#
# There is a trap. Suppose that of two answers one is *always* preferred. Then the loss is never satisfied: it falls as long as the margin grows, and the best $\pi(y^-)$ is 0, whatever $\beta$ may be. Two
# variants know when to stop. **Label smoothing** believes a share $\varepsilon$ of the labels to be wrong; **IPO** (Azar et al. 2023,
# [arXiv:2310.12036](https://arxiv.org/abs/2310.12036)) asks for a margin of a certain size, and no more:
#
# $$L_{\text{smooth}} = -(1-\varepsilon) \log \sigma(\beta h) - \varepsilon \log \sigma(-\beta h), \qquad L_{\text{IPO}} = \Big( h - \frac{1}{2\beta} \Big)^2$$

# %% [markdown] lang="zh"
# $\beta$ 越大，走得越近：看以奈特为单位的两列和 KL。$\beta$ 说到做到。至于走多远才**好**，要看是哪个世界：杆子按概率抽样时，走得越远立得越久；语言模型则要拿答对的比例来付账。
# 较小的两个值差了十倍，结果却差得不多：只学几遍还到不了最优，在那之前，能走多远由学习率和遍数决定。
#
# 这里有一个陷阱。假如两个回答中有一个**总是**更受喜欢，损失就永远不会满足：间隔越大，损失越小，无论 $\beta$ 是多少，最好的 $\pi(y^-)$ 都是 0。
# 有两个变体知道何时该停。**标签平滑**（label smoothing）相信有 $\varepsilon$ 那么多的标签是错的；**IPO**（Azar 等，2023，
# [arXiv:2310.12036](https://arxiv.org/abs/2310.12036)）只要求间隔达到一定大小，到了就不再多要：
#
# $$L_{\text{smooth}} = -(1-\varepsilon) \log \sigma(\beta h) - \varepsilon \log \sigma(-\beta h), \qquad L_{\text{IPO}} = \Big( h - \frac{1}{2\beta} \Big)^2$$

# %%
display(excerpt(smoothed_dpo_loss, "margins =", "loss ="))
display(excerpt(ipo_loss, "margins =", "loss ="))


def draw_losses(beta):
    """Show the three losses against the log-ratio of a pair, with how hard they push, from autograd."""
    figure, grid = panels(1, 2, height=3.0)
    kinds = {
        "DPO": (dpo_loss, {}),
        "smoothed, ε = 0.2": (smoothed_dpo_loss, {"label_smoothing": 0.2}),
        "IPO": (ipo_loss, {}),
    }
    for (kind, (loss_of, options)), colour in zip(
        kinds.items(), (COLOUR["language"], GOOD, COLOUR["cartpole"]), strict=True
    ):
        apart, zero = torch.linspace(-10, 40, 101), torch.zeros(1)
        seen = [x.reshape(1).requires_grad_() for x in apart]
        losses = [loss_of(x, zero, zero, zero, beta=beta, **options)[0] for x in seen]
        scale = 1 / losses[20].item()  # at 0, where every policy begins, all losses are shown as 1
        slopes = [torch.autograd.grad(loss, x)[0].item() for loss, x in zip(losses, seen, strict=True)]
        push = [slope / slopes[20] for slope in slopes]
        grid[0, 0].plot(apart, [scale * loss.item() for loss in losses], color=colour, lw=2, label=kind)
        grid[0, 1].plot(apart, push, color=colour, lw=2, label=kind)
    grid[0, 1].axhline(0, color=INK, lw=0.8)
    grid[0, 0].set_ylim(0, 3)
    grid[0, 1].set_ylim(-1.1, 2.1)
    for axes, title in zip(
        grid[0], ("loss, as a multiple of that at h = 0", "push (downward slope), likewise"), strict=True
    ):
        axes.set_title(title, loc="left", color=INK, fontsize=10)
        axes.set_xlabel("h, nats", color=INK, fontsize=9)
    grid[0, 1].legend(frameon=False, fontsize=9, labelcolor=INK)
    show(figure, "Loss and push of DPO, smoothed DPO and IPO against the log-ratio of a pair.")


draw_losses(beta=0.1)

# %% [markdown] lang="en"
# DPO's push grows weaker, but never turns. The two others turn: beyond their target they pull back.
#
# Now let the judges err: **in 20 % of the pairs the labels are swapped.** Each of the three losses learns from the same data, in both
# worlds, with the passes of section 5. The held-out pairs are judged rightly.

# %% [markdown] lang="zh"
# DPO 的推力越来越弱，但永远不会反向；另外两个会：超过目标，就往回拉。
#
# 现在让裁判犯错：**20 % 的成对数据，标签是反的。** 三种损失在两个世界里学同样的数据，遍数与第 5 节相同。留出的成对数据判断是对的。

# %%
VARIANTS = {"DPO": {}, "smoothed": {"label_smoothing": 0.2}, "IPO": {"loss": "ipo"}}
for name, world in worlds.items():
    noisy = swapped(Pairs(data[name].chosen, data[name].rejected), 0.2, torch.Generator().manual_seed(SEED))
    outcomes = {"DPO, right labels": (studies[name, BETAS[name][0]][-1], None)}
    for variant, update in VARIANTS.items():
        run = new_run(lesson.RECIPE, name, iterations=1, update=update, **SIZE[name])
        known, start = with_reference(run.reference, noisy), held[name]
        for _ in progress(range(run.config.passes), f"{variant} · {name}"):
            metrics = dpo(run.network, run.reference, run.optimizer, known, run.config.update, run.generator)
            run.schedule.step()
        now = with_reference(run.network, start)
        says = (now.ref_chosen, now.ref_rejected, start.ref_chosen, start.ref_rejected)
        outcomes[f"{variant}, 20 % swapped"] = dpo_loss(*says, beta=run.config.update.beta)[1], metrics["accuracy"]
    rows = []
    for row_label, (told, seen) in outcomes.items():
        low, high = wilson(told["accuracy"], len(held[name]))
        accuracy = f"{told['accuracy']:.2f} [{low:.2f}, {high:.2f}]"
        rows.append([row_label, accuracy, f"{told['margin']:.2f}", "" if seen is None else f"{seen:.2f}"])
    display(table([world.title, "held-out accuracy", "held-out margin", "accuracy in training"], rows))

# %% [markdown] lang="en"
# (*In training*: on the labels as they are, swapped ones included. Brackets are 95 % intervals.)
#
# Compare the lines with the first. Swapped labels weaken the margin, for a fifth of the pairs pull the other way. The order that the margins give to the pairs suffers much less: the intervals of the accuracies
# overlap, so from these pairs alone no winner can be told. The variants differ mostly in *how far* they go. What they protect from, a margin without end, needs many passes over the same pairs to become visible, and our trainings are
# short. A short training is itself a protection. So this table is no recommendation; it shows that three losses are one function argument apart, and how to measure which one you need.

# %% [markdown] lang="zh"
# （accuracy in training：按现有标签计算，反的也算在内。方括号里是 95 % 置信区间。）
#
# 与第一行对照：反掉的标签削弱了间隔，因为五分之一的数据在往反方向拉；但间隔排出的先后受影响小得多：各个准确率的区间互相重叠，
# 光凭这些数据分不出谁赢。三种损失的差别，主要在**走多远**。
# 变体要防的是没有尽头的间隔，这要把同样的数据学很多遍才看得出来，而我们的训练很短；短，本身就是一种保护。
# 所以这张表不是推荐，它只说明：三种损失之间只差一个参数，而你需要哪一种，可以这样去测。

# %% [markdown] lang="en"
# ## So: RL without RL?
#
# - **The theory holds, to the digit,** where preferences are true and plentiful (section 2).
# - The policy *is* a reward model: for pairs like those that it learnt from (sections 5 and 6).
# - The loss looks only at differences. That chosen episodes become rarer may be right, and may be the first sign of trouble. Measure it.
# - What one cannot leave out is the exploring. Pairs by somebody else say nothing about what the policy will do once it has moved. **Its own
#   episodes must be compared**, and with that sampling is back (section 6); only less often, and without a critic.
#
# ## Quiz
#
# Answer first, then unfold.
#
# <details><summary>1. Policy and reference are the same. What is the loss of a pair, and does it depend on β?</summary>
#
# log 2 ≈ 0.693, for every β: the margin is 0, and σ(0) = 1/2.
# </details>
#
# <details><summary>2. β = 0.1. The chosen answer's log π has changed by −2 nats, the rejected one's by −12. What is the margin, and is the classifier right?</summary>
#
# 0.1 × (−2 − (−12)) = 1. It is right, with σ(1) ≈ 0.73, although both answers have become less likely.
# </details>
#
# <details><summary>3. Why need nobody compute Z(x)?</summary>
#
# Both episodes of a pair have the same start x, and β log Z(x) is the same number in both rewards. It cancels in the difference.
# </details>
#
# <details><summary>4. May one use pairs whose two answers belong to two different questions?</summary>
#
# No. Then the Z of two different starts would stand in the difference, and they do not cancel.
# </details>
#
# <details><summary>5. What is the reference needed for in the fifth pass over a data set?</summary>
#
# For nothing new: its two numbers per pair were computed once, by `with_reference`. They still hold the policy, but the network could be put away.
# </details>

# %% [markdown] lang="zh"
# ## 那么：不用强化学习了吗？
#
# - **理论分毫不差**，只要偏好真实而且足够多（第 2 节）。
# - 策略**就是**奖励模型：对与它学过的相似的成对数据而言（第 5、6 节）。
# - 损失只看差。被选中的变得更少见，可能是对的，也可能是出问题的第一个信号。要去测。
# - 省不掉的是探索。别人写的成对数据，说不了策略走开之后会做什么。**必须比较它自己的回合**，采样也就回来了（第 6 节），
#   只是次数更少，也不需要评论家。
#
# ## 小测验
#
# 先想好答案，再展开。
#
# <details><summary>1. 策略与参考策略相同时，一对数据的损失是多少？和 β 有关吗？</summary>
#
# log 2 ≈ 0.693，与 β 无关：间隔是 0，而 σ(0) = 1/2。
# </details>
#
# <details><summary>2. β = 0.1。被选中的回答的 log π 变化了 −2 奈特，被拒绝的变化了 −12。间隔是多少？分类对不对？</summary>
#
# 0.1 × (−2 − (−12)) = 1。对，把握是 σ(1) ≈ 0.73，尽管两个回答都变得更不可能了。
# </details>
#
# <details><summary>3. 为什么谁都不必计算 Z(x)？</summary>
#
# 一对里的两个回合起点 x 相同，β log Z(x) 在两边的奖励里是同一个数，相减就消掉了。
# </details>
#
# <details><summary>4. 两个回答分别属于两个不同的问题，能配成一对吗？</summary>
#
# 不能。那样差里会出现两个不同起点的 Z，消不掉。
# </details>
#
# <details><summary>5. 同一份数据学到第五遍，参考策略还有什么用？</summary>
#
# 不再需要新的东西：每一对的两个数早已由 `with_reference` 算好。它们仍然约束着策略，但网络本身已经可以收起来了。
# </details>

# %% [markdown] lang="en"
# ## What next
#
# From the repository's root, the whole runs, with live columns and a report:
#
# ```bash
# python -m lessons.dpo --world cartpole                                  # five rounds of its own drives
# python -m lessons.dpo --world language --language.writer reference      # pairs by the reference
# python -m lessons.dpo --world language --language.update.loss ipo       # another loss
# python -m lessons.dpo --world language --help                           # every other number
# ```
#
# Things to try: `--cartpole.anchor start`. A data set of 50 pairs and 50 passes: watch the log-probability of the chosen. `--language.noise 0.2`.
#
# To read: `rl_core/losses/dpo.py` and `rl_core/algorithms/dpo.py`, both shorter than this lesson. Rafailov et al. 2023,
# [arXiv:2305.18290](https://arxiv.org/abs/2305.18290) (DPO); Azar et al. 2023, [arXiv:2310.12036](https://arxiv.org/abs/2310.12036) (IPO, and why a preference is more than a difference of rewards);
# Meng et al. 2024, [arXiv:2405.14734](https://arxiv.org/abs/2405.14734) (SimPO, the averaged variant without a reference).
#
# The next lesson goes the other way. It keeps the sampling and the score, and asks whether the *critic* can go: GRPO compares an answer with its siblings.

# %% [markdown] lang="zh"
# ## 接下来
#
# 在仓库根目录运行，可以看到完整的训练、实时的各列和最后的报告：
#
# ```bash
# python -m lessons.dpo --world cartpole                                  # 五轮自己的行驶
# python -m lessons.dpo --world language --language.writer reference      # 由参考策略来写
# python -m lessons.dpo --world language --language.update.loss ipo       # 换一种损失
# python -m lessons.dpo --world language --help                           # 其他所有参数
# ```
#
# 可以试试：`--cartpole.anchor start`；50 对数据学 50 遍，盯着被选中的对数概率；`--language.noise 0.2`。
#
# 可以读：`rl_core/losses/dpo.py` 和 `rl_core/algorithms/dpo.py`，都比这一课短。Rafailov 等 2023，
# [arXiv:2305.18290](https://arxiv.org/abs/2305.18290)（DPO）；Azar 等 2023，[arXiv:2310.12036](https://arxiv.org/abs/2310.12036)（IPO，以及为什么偏好不只是奖励之差）；
# Meng 等 2024，[arXiv:2405.14734](https://arxiv.org/abs/2405.14734)（SimPO，求平均、不用参考策略的变体）。
#
# 下一课走另一条路：保留采样和打分，问的是**评论家**能不能省掉。GRPO 拿一个回答和它的兄弟们相比。
