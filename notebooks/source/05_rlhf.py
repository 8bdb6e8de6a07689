# %% [markdown] lang="en"
# # 5. RLHF in three steps
#
# A pole that stands pays one point for each step. Nobody pays a point for a polite answer. All that people can give is
# an opinion: *of these two, I prefer that one*. So the question of this lesson is
#
# > **How does an opinion become a policy, if nobody can write down the reward?**
#
# The recipe that made language models into assistants has three steps (Ouyang et al. 2022,
# [arXiv:2203.02155](https://arxiv.org/abs/2203.02155)). It is called *reinforcement learning from human feedback*, RLHF:
#
# 1. **SFT.** Start from a trained model, and let it imitate demonstrations.
# 2. **Reward model.** Show people pairs of its answers, and train a network to give the preferred ones the higher score.
# 3. **PPO.** Let the model write, pay it that score, and keep it close to where it started.
#
# You have met all the parts in the lessons before. New is what flows between them, and what goes wrong there. We also
# take the true reward away from the pole: from now on it must live on opinions, as the language model does. The world's
# own reward is still there, but **only we look at it**. PPO never sees it.
#
# It takes about six minutes to run on one CPU core.

# %% [markdown] lang="zh"
# # 5. RLHF 三步走
#
# 杆子每立一步就得一分；可是没有人会为“礼貌”发分数。人能给的只有意见：**这两个里面，我更喜欢那一个**。所以这一课的问题是：
#
# > **奖励谁也写不出来，意见怎样才能变成策略？**
#
# 把语言模型变成助手的那套办法分三步（Ouyang 等，2022，[arXiv:2203.02155](https://arxiv.org/abs/2203.02155)），
# 叫作**基于人类反馈的强化学习**（reinforcement learning from human feedback, RLHF）：
#
# 1. **SFT**：从训练好的模型出发，让它模仿示范。
# 2. **奖励模型**（reward model）：让人比较它写的成对回答，再训练一个网络，给更受喜欢的那个打更高的分。
# 3. **PPO**：让模型自己写，以这个分数为奖励，同时不许它离起点太远。
#
# 零件在前几课都见过了。新鲜的是它们之间传递的东西，以及在交接处会出什么问题。我们还要把杆子的真实奖励也拿走：
# 从现在起，它也得和语言模型一样靠意见过日子。世界自己的奖励仍然存在，但**只有我们看**，PPO 从头到尾都看不到。
#
# 在一个 CPU 核上，全部运行一遍大约六分钟。

# %%
from copy import deepcopy
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import torch
from IPython.display import display
from matplotlib.ticker import MaxNLocator

from lessons import ppo, reward_model, rlhf, sft
from lessons.rlhf import SETTINGS as RLHF
from lessons.worlds import NAMES, load
from lessons.worlds.measure import kl_per_episode
from notebooks.figures import (
    COLOUR, GOOD, HELD_OUT, INK, SEED, compare, excerpt, finish, functions_used, new_run, panels, show, table, watch,
)  # fmt: skip
from notebooks.figures.credit import credit_of, drawable, microscope, states_shown
from notebooks.figures.rlhf import three_steps
from rl_core.advantages import kl_shaped_rewards
from rl_core.algorithms.reward_model import episode_scores, typical_reward
from rl_core.evaluate import state_values
from rl_core.losses.reward_model import bradley_terry_loss
from rl_core.losses.sft import sft_loss
from rl_core.pairs import Pairs
from rl_core.rollout import relabel, rollout
from rl_core.true_values import Rewards, true_values
from rl_core.types import Episodes, Prompt

torch.set_num_threads(1)
TOLD = {"cartpole": ("sampled_return", "greedy_return"), "language": ("score", "right", "polite", "rude", "eos")}
worlds = {name: load(name) for name in NAMES}
folder = TemporaryDirectory()  # what one step hands on to the next


def place(*names):
    """Return where a step leaves what it made."""
    return str(Path(folder.name, *names))


# %% [markdown] lang="en"
# ## Predict first
#
# **Change these numbers, then run on.** They are compared with the measurements as these come in.
#
# - After being trained on pairs: in what share of pairs that it never saw will the reward model prefer what the judge
#   prefers? (A coin: 0.5.)
# - After PPO on *that model's* rewards: what does the world itself say? For the pole in steps (the clone stands about 50
#   of at most 500), for an answer in points (the clone gets about 1, the best is 2).
# - How many networks of the language model's size are in memory while PPO runs?
# - PPO has got the pole to stand, and goes on learning. In what share of later looks will it stand less than 475 steps again? Once with a learning
#   rate that comes down to 0, once with one that stays as it is.
# - In the last section PPO learns from a *bad* reward model, and nothing keeps it close to its start. What will the
#   world say then?

# %% [markdown] lang="zh"
# ## 先预测
#
# **请改动下面的数字，再往下运行。** 每测出一个结果，就会和你的预测放在一起比较。
#
# - 用成对数据训练之后，在它从没见过的成对数据里，奖励模型与裁判看法一致的比例是多少？（抛硬币是 0.5。）
# - 用**这个模型**的奖励做完 PPO，真实的成绩是多少？杆子以步数计（克隆大约能立 50 步，最多 500 步），
#   回答以分数计（克隆大约得 1 分，最高 2 分）。
# - PPO 运行时，内存里同时放着几个和语言模型一样大的网络？
# - PPO 已经让杆子立住，又继续学下去。以后再看它时，有多大比例会重新低于 475 步？一次让学习率降到 0，一次让它保持不变。
# - 最后一节让 PPO 跟着一个**很差**的奖励模型学，又没有任何东西把它拉在起点附近。那时真实的成绩又是多少？

# %%
predicted = {
    "unseen pairs told apart": {"cartpole": 0.75, "language": 0.75},
    "return after PPO": {"cartpole": 250, "language": 1.3},
    "networks in memory": {"cartpole": 2, "language": 2},
    "later looks below 475": {"rate falls": 0.1, "rate stays": 0.1},
    "return after PPO on a bad reward": {"cartpole": 50, "language": 1.0},
}

# %% [markdown] lang="en"
# ## The three steps
#
# Above each step stands what it is shown, in the box are the networks that it holds. Filled ones learn, dashed ones
# are frozen. Follow the arrows: **the clone** that SFT makes is used three times. It plays the pairs that are judged;
# it is where PPO starts; and it is the reference that PPO must stay close to.

# %% [markdown] lang="zh"
# ## 三步
#
# 每一步的上方写着给它看什么，方框里是它要用到的网络：实心的在学习，虚线的冻结不动。请顺着箭头看：SFT 做出的**克隆**（clone）被用了三次——
# 供人评判的成对数据由它来写；PPO 从它出发；它还是 PPO 不可远离的参考策略。
# （图中：imitate 模仿，learn what is liked 学会什么受人喜欢，do what is liked 做受人喜欢的事；plays pairs 写成对数据，frozen 冻结。）

# %%
show(three_steps(), "SFT makes a clone, pairs of its episodes make a reward model, and PPO does what that model likes.")

# %% [markdown] lang="en"
# In code a run of RLHF is three runs, one after another. Each reads from a folder what the one before has left there
# (`clone`, `taste`):

# %% [markdown] lang="zh"
# 在代码里，一次 RLHF 就是先后三次训练；每一次都从文件夹里读取上一次留下的东西（`clone` 是克隆，`taste` 是学到的喜好）：

# %%
excerpt(rlhf.Stages.enter, "clone, taste =", "self.now = ")

# %% [markdown] lang="en"
# The complete recipe is `python -m lessons.rlhf`. Here we take its steps by hand, and shortened, so that we can look in
# between.
#
# ## Step 1: imitate
#
# SFT makes the shown actions likelier, and that is all ([arXiv:2203.02155](https://arxiv.org/abs/2203.02155), section
# 3.5). With $a_t$ what the demonstrator did in state $s_t$:
#
# $$L_{\text{SFT}} = -\,\text{mean}_t \, \log \pi(a_t \mid s_t)$$

# %% [markdown] lang="zh"
# 完整的流程是 `python -m lessons.rlhf`。这里我们把三步拆开，亲手一步一步做，并且缩短一些，好在中间停下来看看。
#
# ## 第一步：模仿
#
# SFT 只做一件事：让示范里的动作更可能出现（[arXiv:2203.02155](https://arxiv.org/abs/2203.02155)，第 3.5 节）。
# 设 $a_t$ 是示范者在状态 $s_t$ 下的动作：
#
# $$L_{\text{SFT}} = -\,\text{mean}_t \, \log \pi(a_t \mid s_t)$$

# %%
display(excerpt(sft_loss, "loss = -masked_mean", "return"))
shown = new_run(sft.RECIPE, "cartpole", settings=RLHF["cartpole"].sft)
began = process_time()
records = finish(shown)
spent = {("sft", "cartpole"): process_time() - began}  # seconds of one CPU core
shown.export(Path(place("cartpole", "sft")))
clone = {"cartpole": place("cartpole", "sft"), "language": "reference"}  # the language model's comes with the course
print(f"cartpole: {records[0]['loss']:.3f} -> {records[-1]['loss']:.3f} nats per push")

# %% [markdown] lang="en"
# (A *nat* is the unit of natural logarithms; a coin toss is worth 0.69 of them.) The language model's SFT is the same function with other numbers, but takes a few minutes. Its result comes with
# the course, so we load it: `"reference"`. Both clones copy somebody imperfect: a driver who is blind to speed and pushes
# at random three times out of ten, and answers of which one in five is rude. What the truth says of them, before and
# after (*base* is the pole's fresh network, and the language model as pre-training left it):

# %% [markdown] lang="zh"
# （**奈特**（nat）是自然对数的单位，抛一次硬币值 0.69 奈特。）语言模型的 SFT 用的是同一个函数，只是数字不同，要跑几分钟；它的结果随课程附带，
# 直接读进来就行，即 `"reference"`。两个克隆模仿的对象都不完美：一个是看不见速度、十次里有三次乱推的司机，
# 一个是五分之一带着粗鲁语气的回答。模仿前后的真实水平如下（base：杆子这边是全新的网络，语言这边是刚做完预训练的模型）：

# %%
evaluations = {name: {} for name in NAMES}
for name, world in worlds.items():
    for stage, start in (("base", "base"), ("SFT", clone[name])):
        evaluations[name][stage] = world.evaluate(world.network(start, seed=SEED), seed=HELD_OUT, quick=True)
    rows = [[key, *(f"{evaluation[key]:z.2f}" for evaluation in evaluations[name].values())] for key in TOLD[name]]
    display(table([world.title, *evaluations[name]], rows))

# %% [markdown] lang="en"
# (*sampled_return*: mean steps upright when pushes are drawn by chance, as in training; *greedy_return*: when the
# likelier push is always taken. *score*: the judge's points, −2 to 2; the others are shares of the answers, and *eos* means that the
# answer came to an end by itself.)
#
# The imitation worked: a model that writes on and on became one that answers, in the taught form, and stops. And it has copied the
# rudeness as well. More of the same would not help (lesson 3).
#
# ## Step 2: learn what is liked
#
# Now people come in. Here a program plays them, so that we can know the truth; it says which of two is better, and
# *nothing else*. The clone plays each start twice, the judge picks one. For the pole there are two kinds of
# judgment: which of two drives stands longer, and which of two short clips, equally long, is steadier.
#
# A network $r_\phi$ with parameters $\phi$ shall give rewards. Their sum over an episode is its score $s_\phi$.
# Bradley and Terry's model (1952) says how scores become choices: $\sigma(x) = 1/(1+e^{-x})$ turns the difference into the probability
# that the first is preferred. Training makes the choices that people really made likely:
#
# $$L(\phi) = -\,\text{mean}\, \log \sigma\big(s_\phi(\text{chosen}) - s_\phi(\text{rejected})\big), \qquad s_\phi = \sum_t r_{\phi,t}$$

# %% [markdown] lang="zh"
# （sampled_return：像训练时那样按概率抽取动作，平均能立多少步；greedy_return：总取更可能的动作。score：裁判给的分，从 −2 到 2；其余是占回答的比例，
# eos 指回答自己写到了结尾。）
#
# 模仿起了作用：一个只会没完没了往下写的模型，学会了按教的样子回答，答完就停。可是粗鲁也一并学来了。再多模仿也无济于事（第 3 课）。
#
# ## 第二步：学会什么受人喜欢
#
# 现在轮到人了。这里由一个程序来扮演人，这样我们才知道真相；它只说两个里哪个更好，**别的什么也不说**。克隆在每个起点上各玩两次，裁判挑出一个。
# 杆子这边有两种评判：两次行驶哪次立得更久；两个同样长的短片段里哪个更稳。
#
# 让一个参数为 $\phi$ 的网络 $r_\phi$ 来给奖励。一个回合的奖励之和就是它的得分 $s_\phi$。
# Bradley 和 Terry 的模型（1952）说明得分怎样变成选择：$\sigma(x) = 1/(1+e^{-x})$ 把得分之差变成“前一个更受喜欢”的概率。
# 训练就是让人们真实做出的选择变得更可能：
#
# $$L(\phi) = -\,\text{mean}\, \log \sigma\big(s_\phi(\text{chosen}) - s_\phi(\text{rejected})\big), \qquad s_\phi = \sum_t r_{\phi,t}$$

# %%
display(excerpt(episode_scores, "return select"))
display(excerpt(bradley_terry_loss, "margins = "))
display(excerpt(bradley_terry_loss, "loss = -"))

# %% [markdown] lang="en"
# A pole's model rewards every step, from what was seen and done in it. A language model's reads the whole answer and
# puts one number on its end. The loss does not care: it compares sums.
#
# One pass over pairs is one iteration, and each pass has fresh pairs. So the accuracy below is always measured on pairs
# that the model has not yet learnt from. Beside it we note the *size* of a typical reward (root mean square of those
# that are not 0), on pairs that are kept apart.

# %% [markdown] lang="zh"
# 杆子的奖励模型根据每一步看到的和做的，给每一步发奖励；语言的奖励模型读完整个回答，在末尾给一个数。损失并不在意，它比较的是总和。
#
# 每一轮（iteration）把成对数据过一遍，而且每一轮都换新的。所以下面的准确率总是在模型还没学过的数据上测的。
# 同时记下典型奖励的**大小**（不为 0 的奖励的均方根），用另外留出的成对数据来量。

# %%
PASSES = {"cartpole": 20, "language": 4}
taught, taste = {}, {}
for name, world in worlds.items():
    config = replace(RLHF[name].reward_model, start=clone[name], iterations=PASSES[name])
    run = new_run(reward_model.RECIPE, name, settings=config)
    unseen = Pairs.joined(list(world.preferences(run.network, 64, seed=HELD_OUT, held_out=True).values()))
    began = process_time()
    taught[name] = [record | {"size": typical_reward(run.scorer, unseen)} for record in watch(run)]
    spent["reward_model", name] = process_time() - began
    run.export(Path(place(name, "reward_model")))
    evaluations[name]["reward model"], taste[name] = run.evaluate(seed=HELD_OUT, quick=True), run

# %%
figure, grid = panels(1, 3, width=9.6, height=2.9)
for axes, (quantity, label) in zip(
    grid[0], [("loss", "loss (nats per pair)"), ("accuracy", "told apart"), ("size", "typical reward")], strict=True
):
    for name, rows in taught.items():
        pairs = torch.tensor([row["pairs"] for row in rows]).cumsum(dim=0)
        axes.plot(pairs, [row[quantity] for row in rows], "o-", ms=3, color=COLOUR[name], label=worlds[name].title)
    axes.set_title(label, loc="left", color=INK, fontsize=10)
    axes.set(xscale="log", xlabel="pairs judged so far")
    axes.xaxis.label.set(color=INK, fontsize=9)
    level = {"loss": torch.tensor(2.0).log(), "accuracy": 0.5, "size": 1.0}[quantity]
    axes.axhline(level, color=INK, lw=0.8, ls=(0, (4, 3)))
grid[0, 2].set_yscale("log")
grid[0, 0].legend(frameon=False, fontsize=8, labelcolor=INK)
show(figure, "Loss, accuracy and typical reward of both reward models against the number of pairs judged.")

for name, rows in taught.items():
    scorer_evaluation = evaluations[name]["reward model"]
    compare(
        f"{name}: unseen pairs told apart", predicted["unseen pairs told apart"][name], scorer_evaluation["accuracy"]
    )
    kinds = [key.removeprefix("accuracy_") for key in scorer_evaluation if key.startswith("accuracy_")]
    for kind in kinds:
        print(
            f"    {kind:<8} {scorer_evaluation[f'accuracy_{kind}']:.0%}   by length alone {scorer_evaluation[f'count_steps_{kind}']:.0%}"
        )
    print(f"    {sum(row['pairs'] for row in rows):,.0f} judgments in all")

# %% [markdown] lang="en"
# Dashed: what a coin would reach (loss $\log 2$, half of the pairs), and size 1. These judgments are **all that people
# contribute** to what follows. (*By length alone*: an impostor who simply prefers the longer of two. It is unbeatable on drives, since
# there it *is* the rule; on clips and answers the model must have learnt something else.)
#
# ### What has it learnt?
#
# Nobody told it what an upright pole is, or politeness. Left: the reward that the pole's model gives for a state, over
# the pole's lean and turning speed, with the cart in the middle and at rest (mean over both pushes). Right: answers to
# questions that were not trained on, each a dot; across is the judge's true score, upwards the learnt one.

# %% [markdown] lang="zh"
# 虚线：抛硬币能达到的水平（损失 $\log 2$，对一半），以及大小 1。这些评判就是人在后面整个过程里的**全部贡献**。
# （by length alone：一个冒牌货，总选更长的那个。比较行驶时它战无不胜，因为规则本来就是这一条；在片段和回答上，模型必须学到别的东西。）
#
# ### 它学到了什么？
#
# 没人告诉过它什么叫“立得直”，什么叫“礼貌”。左图：杆子的奖励模型给每个状态的奖励，横轴是倾角，纵轴是角速度，小车静止在正中（对两种推法取平均）。
# 右图：每个点是对一个没训练过的问题的回答，横轴是裁判的真实分数，纵轴是学到的分数。

# %%
lean, turn = torch.meshgrid(torch.linspace(-0.21, 0.21, 61), torch.linspace(-2, 2, 61), indexing="xy")
still = torch.zeros(lean.numel())
states = torch.stack([still, still, lean.flatten(), turn.flatten()], dim=1).unsqueeze(1)
done, counts = torch.zeros(len(states), 1, dtype=torch.int64), torch.ones(len(states), 1, dtype=torch.bool)
with torch.no_grad():
    pushes = [Episodes(Prompt.empty(len(states)), states, done + push, counts) for push in (0, 1)]
    map_of = sum(taste["cartpole"].scorer.score(push) for push in pushes).view(lean.shape) / 2
written = rollout(
    worlds["language"].examples(210, seed=HELD_OUT), taste["language"].network, torch.Generator().manual_seed(HELD_OUT)
)
scores = relabel(written, taste["language"].scorer).rewards.sum(dim=1)
judged = torch.tensor([answer.verdict.score for answer in worlds["language"].answers(written)])

figure, ((left, right),) = panels(1, 2, width=9.2, height=3.3)
image = left.contourf(lean.rad2deg(), turn, map_of, levels=12, cmap="YlGn")
bar = figure.colorbar(image, ax=left, shrink=0.9)
bar.ax.tick_params(labelsize=8, length=0, labelcolor=INK)
bar.outline.set_visible(False)
left.set_title("CartPole: reward r of a step", loc="left", color=COLOUR["cartpole"], fontsize=11, weight="bold")
left.set_xlabel("lean (degrees)", color=INK, fontsize=9)
left.set_ylabel("turning speed (rad/s)", color=INK, fontsize=9)
jitter = 0.16 * (torch.rand(len(judged), generator=torch.Generator().manual_seed(SEED)) - 0.5)
right.plot(judged + jitter, scores, "o", ms=5, mew=0, alpha=0.35, color=COLOUR["language"])
for score in judged.unique():
    right.plot([score - 0.09, score + 0.09], [scores[judged == score].median()] * 2, color=INK, lw=2)
right.set_title("Language model: score of an answer", loc="left", color=COLOUR["language"], fontsize=11, weight="bold")
right.set_xlabel("judge's score (never shown)", color=INK, fontsize=9)
right.set_ylabel("learnt score", color=INK, fontsize=9)
show(figure, "Left: the pole's learnt reward over lean and turning speed. Right: learnt against true scores.")

# %% [markdown] lang="en"
# *Left:* look at the numbers of the scale first. **The reward is nearly the same everywhere, about one point for each step.** Nobody
# has told this model the pole's true reward. It has found it from opinions, since a constant per step is what makes longer
# drives win. On top comes a small taste of its own, the darker the more: for a pole that stands upright and hardly turns,
# or that leans and is on its way back (the slanted ridge of lesson 4). That is from the clips, of which the steadier was preferred.
#
# *Right:* a bar marks the median of each true score (0 is an answer that is wrong, or right but rude; 0.2 is "I don't know"). The better an answer, the higher its bar, though the judge
# never gave the model a single number; the best answers, right and polite, stand clearly apart.
# But some dots stand where they should not: high above 0 on the left is a wrong answer that it likes.
# **A reward model is an estimate**, and step 3 will search it for mistakes.
#
# ### A unit for the reward
#
# Look once more at the third panel above. The pairs say who wins, never by how much. To be surer of what it knows, the model
# can only make its scores larger, so **their size grows with training**: it tells how long we trained, not how good anything is. In step 3 the score is weighed
# against something that *has* a unit, nats of KL. With a reward whose unit is an accident, the price $\beta$ would mean another
# thing in each run. So the last pass ends with a division: afterwards a typical reward is 1, about as large as the
# worlds' own, one point for a step or for a plain right answer. (That is the last point of each curve. Order and accuracy do not change.)

# %% [markdown] lang="zh"
# **左图**：先看色标上的数字。**到处的奖励都差不多，每步约一分**。没有谁把杆子的真实奖励告诉过这个模型，它是从意见里自己找到的，
# 因为正是“每步一个常数”让更长的行驶胜出。在这之上还有一点它自己的口味，颜色越深越喜欢：竖直而几乎不转的杆子，或者虽有倾斜、但正在往回走的杆子
# （就是第 4 课那道斜的山脊）。那是从片段里学来的，因为更稳的片段更受喜欢。
#
# **右图**：横杠是每种真实分数对应的中位数（0 分：答错，或者答对但粗鲁；0.2 分：“不知道”）。回答越好，横杠越高，尽管裁判从没给过模型任何一个数；最好的回答（正确而且礼貌）明显高出一截。
# 但有些点站错了地方：左边远高于 0 的，就是它喜欢的错误回答。
# **奖励模型只是一个估计**，而第三步会去翻找它的错误。
#
# ### 给奖励一个单位
#
# 再看一眼前面的第三幅小图。成对数据只说谁赢，从不说赢多少。模型要对自己知道的事更有把握，只能把得分放大，所以**得分的大小随训练增长**：
# 它反映的是训练了多久，而不是东西有多好。到了第三步，得分要和一个**有**单位的量（以奈特计的 KL）放到天平两端。如果奖励的单位全凭偶然，
# 价格 $\beta$ 在每次训练里的含义就都不一样。所以最后一轮结束时要做一次除法：此后典型的奖励是 1，和世界自己的奖励差不多大——杆子每一步一分，
# 平淡但正确的回答一分。（就是每条曲线的最后一个点。排序和准确率都不变。）

# %%
display(excerpt(typical_reward, "size = torch.cat"))
display(excerpt(reward_model.train, "if run.iteration + 1", "run.scorer.scale_by"))
for name, rows in taught.items():
    raw, unit = rows[-2]["size"], rows[-1]["size"]
    print(f"{name:<10} typical reward after the last pass but one {raw:6.2f}   at the end {unit:5.2f}")

# %% [markdown] lang="en"
# ## Step 3: do what is liked, and stay close
#
# Let the clone play, replace the world's rewards by those of the model, and charge for each step away from the reference:
#
# $$r'_t = r_{\phi,t} - \beta \, \big( \log \pi(a_t \mid s_t) - \log \pi_{\text{ref}}(a_t \mid s_t) \big)$$
#
# $\pi$ is the policy as it is now, $\pi_{\text{ref}}$ the frozen clone, and $\beta$ the price in points per nat: 0.2 for the language
# model, and 0.02 for the pole, whose drives have so many more steps that could cost something. The first term is `relabel`:

# %% [markdown] lang="zh"
# ## 第三步：做受人喜欢的事，又不走远
#
# 让克隆去玩，把世界的奖励换成模型的奖励，并且每一步偏离参考策略都要扣分：
#
# $$r'_t = r_{\phi,t} - \beta \, \big( \log \pi(a_t \mid s_t) - \log \pi_{\text{ref}}(a_t \mid s_t) \big)$$
#
# $\pi$ 是现在的策略，$\pi_{\text{ref}}$ 是冻结的克隆，$\beta$ 是价格，单位是每奈特多少分：语言模型是 0.2，
# 杆子是 0.02，因为一次行驶的步数多得多，每一步都可能要扣分。第一项由 `relabel` 完成：

# %%
display(excerpt(relabel, "rewards = torch.zeros_like", "return replace"))
display(excerpt(kl_shaped_rewards, "return rewards - beta"))
display(excerpt(ppo.train, "while run.iteration", "yield"))

# %% [markdown] lang="en"
# Apart from the line with `relabel`, this is the loop of lesson 2.
#
# **Why is the clone the reference?** Three reasons. The reward model has only ever seen what the clone does; far from there
# it guesses. The clone knows things that no pair speaks of, such as grammar. And PPO starts there, so that the KL begins at exactly 0.
#
# Does PPO really not see the world's own reward? We overwrite it with NaN ("not a number") in a played rollout, which would poison
# everything it touched, and relabel both.

# %% [markdown] lang="zh"
# 除了 `relabel` 那一行，这就是第 2 课的循环。
#
# **参考策略为什么是克隆？** 有三个理由。奖励模型只见过克隆的行为，离得远了它就只能猜；克隆还懂得许多没有一对数据提到的事，比如语法；
# 而且 PPO 正是从它出发的，所以 KL 恰好从 0 开始。
#
# PPO 真的看不到世界自己的奖励吗？我们在一批轨迹里把它改写成 NaN（“不是数”）——谁碰到它，谁就会出毛病——然后对改写前后的两份都做 `relabel`。

# %%
TURNS = {"cartpole": 50, "language": 22}
runs = {}
for name, world in worlds.items():
    config = replace(RLHF[name].ppo, start=clone[name], scorer=place(name, "reward_model"))
    runs[name] = run = new_run(ppo.RECIPE, name, settings=config, iterations=TURNS[name])
    played = rollout(world.examples(16, seed=SEED), run.network, torch.Generator().manual_seed(SEED))
    blind = replace(played, rewards=torch.full_like(played.rewards, torch.nan))
    same = torch.equal(relabel(played, run.scorer).rewards, relabel(blind, run.scorer).rewards)
    print(f"{name:<10} the same rewards for PPO without the world's: {same}")

# %% [markdown] lang="en"
# ### Who is in memory
#
# Count the networks. The policy acts, the critic predicts, the reference keeps, the reward model pays. PPO with the
# world's own reward and no anchor needs the first two.

# %% [markdown] lang="zh"
# ### 内存里有谁
#
# 数一数网络：策略负责行动，评论家负责预测，参考策略负责拉住，奖励模型负责打分。用世界自己的奖励、又不用锚的 PPO，只需要前两个。

# %%
rows = []
for name, run in runs.items():
    kept = run.reference.state_dict()
    parts = {
        "policy π": [weight for key, weight in run.network.named_parameters() if key in kept],
        "critic V": [weight for key, weight in run.network.named_parameters() if key not in kept],
        "reference": list(run.reference.parameters()),
        "reward model": list(run.scorer.parameters()),
    }
    counts = {part: sum(weight.numel() for weight in weights) for part, weights in parts.items()}
    times = sum(counts.values()) / counts["policy π"]
    rows.append([run.world.title, *(f"{count:,}" for count in counts.values()), f"{times:.1f} ×"])
    compare(f"{name}: networks in memory", predicted["networks in memory"][name], len(parts))
states = ("learns", "learns", "frozen", "frozen")
heads = [f"{part} ({state})" for part, state in zip(parts, states, strict=True)]
table(["parameters", *heads, "all / policy"], rows)

# %% [markdown] lang="en"
# For a policy with seven billion parameters, do the sum yourself. (And Adam keeps two more numbers for each parameter that learns.)
#
# ### Run it
#
# While PPO learns, we stop now and then and let the policy play 64 episodes on starts that training never uses. The same episodes are
# then valued twice: by the reward model (what PPO is paid) and by the world (what we want).

# %% [markdown] lang="zh"
# 如果策略有七十亿个参数，请自己算一算。（何况对每个要学习的参数，Adam 还要另存两个数。）
#
# ### 运行
#
# PPO 学习时，我们不时停下来，让策略在训练从不使用的起点上玩 64 个回合；同样这些回合，估价两次：奖励模型估一次（PPO 拿到的报酬），世界估一次（我们真正想要的）。


# %%
def seen_twice(run):
    """Return what 64 unseen episodes are worth to the reward model and to the world, and their KL to the reference."""
    played = rollout(run.world.examples(64, seed=HELD_OUT), run.network, torch.Generator().manual_seed(HELD_OUT))
    worths = [one.rewards.sum(dim=1).mean().item() for one in (relabel(played, run.scorer), played)]
    return *worths, kl_per_episode(played, run.reference)


EARLY = {"cartpole": 4, "language": 8}  # the iteration after which the microscope takes its rows
seen, caught = {}, {}
for name, run in runs.items():
    seen[name], began, looked = [(0, *seen_twice(run))], process_time(), 0.0
    for _ in watch(run):
        paused = process_time()
        if run.iteration % 2 == 0:
            seen[name].append((run.iteration, *seen_twice(run)))
        if run.iteration == EARLY[name]:
            env, generator = run.world.examples(64, seed=HELD_OUT), torch.Generator().manual_seed(SEED)
            caught[name] = relabel(rollout(env, run.network, generator), run.scorer), deepcopy(run.network)
        looked += process_time() - paused
    spent["ppo", name] = process_time() - began - looked
    evaluations[name]["PPO"] = run.evaluate(seed=HELD_OUT, quick=True)

# %%
figure, grid = panels(2, 2, height=4.6, sharex="col", height_ratios=[2, 1])
for column, (name, points) in enumerate(seen.items()):
    turn, paid, true, kl = zip(*points, strict=True)
    top, low = grid[:, column]
    top.plot(turn, paid, "o-", ms=3, lw=1.8, color=GOOD, label="learnt reward: what PPO is paid")
    top.plot(turn, true, "o-", ms=3, lw=1.8, color=COLOUR[name], label="true reward: only we look")
    low.plot(turn, kl, "o-", ms=3, lw=1.8, color=INK)
    top.set_title(worlds[name].title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    top.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    top.margins(y=0.08)
    low.set_xlabel("iteration of PPO", color=INK, fontsize=9)
    low.set_ylim(0)
grid[0, 0].set_ylabel("mean per episode", color=INK, fontsize=9)
grid[1, 0].set_ylabel("KL to the clone\n(nats per episode)", color=INK, fontsize=9)
show(figure, "Learnt and true reward per episode, and the KL to the clone, against PPO's iterations, in both worlds.")

# %% [markdown] lang="en"
# **The two curves rise together.** PPO climbs the green one, and the true one comes along, although PPO is never
# shown it. That is the whole idea of RLHF, and all of its hope. (The two need not have the same height: a model of
# preferences is known only up to its unit and, for texts, up to a constant.) The truth after each step:

# %% [markdown] lang="zh"
# **两条曲线一起上升**。PPO 爬的是绿色那条，而真实的那条跟着上来了，尽管从没有给 PPO 看过它。RLHF 的全部想法就在这里，全部的指望也在这里。
# （两条线不必一样高：从偏好学来的分数，单位是随意的；对文本来说，还可以整体加减一个常数。）每一步之后的真实水平：

# %%
for name, stages in evaluations.items():
    stages = {stage: evaluation for stage, evaluation in stages.items() if stage != "reward model"}
    rows = [[key, *(f"{evaluation[key]:z.2f}" for evaluation in stages.values())] for key in TOLD[name]]
    display(table([worlds[name].title, "base", "after 1. SFT", "after 3. PPO"], rows))
for name, run in runs.items():
    compare(
        f"{name}: return after PPO", predicted["return after PPO"][name], evaluations[name]["PPO"][run.world.headline]
    )
    print(f"{'':<52} β = {run.config.update.beta:g}, KL to the clone {evaluations[name]['PPO']['kl']:.1f} nats")

# %% [markdown] lang="en"
# Step 1 taught the form, and copied the faults; steps 2 and 3 took faults away that no demonstration names. The
# pole now stands far longer than the clone, whose drives are all that was ever judged. The answers have become
# polite. Do look at *right*, too: a dot at the top left of the picture above is a wrong answer that is paid like a right one. If
# this reward does not keep a polite answer from being wrong, only the anchor can: it holds on to what the clone knew.

# %% [markdown] lang="zh"
# 第一步教会了样子，也抄来了毛病；第二、三步去掉的毛病，没有哪个示范指出过。杆子现在立得比克隆久得多，而人们评判过的全都是克隆的行驶。
# 回答变得礼貌了。但也要看看 right 一行：前面那张图左上方的点，是拿着正确回答的报酬的错误回答。如果奖励防不住“礼貌但答错”，
# 能防的就只有锚：它守着克隆原本会的东西。

# %% [markdown] lang="en"
# ### Getting there, and staying there
#
# Both runs were short, and their learning rate came down to 0. Does that matter? And what would a stronger anchor do for the pole? We let PPO go on twice as
# long on the same reward model, at twice the rate, with three seeds: the rate comes down to 0, or stays as it is; without an anchor, and with one five times as strong. (The pole alone, whose runs
# take seconds. For the language model, `python -m lessons.rlhf --world language --language.ppo.schedule constant` does it, in minutes.)

# %% [markdown] lang="zh"
# ### 到得了，还要留得住
#
# 刚才两次训练都不长，学习率最后降到了 0。这要紧吗？给杆子换一个更重的锚，又会怎样？还是同一个奖励模型，我们让 PPO 学两倍的时间，学习率也加倍，用三个种子：
# 学习率降到 0，或者保持不变；不用锚，或者用五倍重的锚。（这里只做杆子，因为它一次只要几秒。语言模型可以用
# `python -m lessons.rlhf --world language --language.ppo.schedule constant` 来做，要几分钟。）

# %%
LONG, LOOK, STOOD = 100, 4, 475
KINDS = {
    f"rate {word}, β = {beta:g}": (schedule, beta)
    for beta in (0.0, 0.1)
    for word, schedule in (("falls", "linear"), ("stays", "constant"))
}
lasted, walked = {}, {}
for kind, (schedule, beta) in KINDS.items():
    for seed in range(3):
        config = replace(RLHF["cartpole"].ppo, start=clone["cartpole"], scorer=place("cartpole", "reward_model"))
        config = replace(config, iterations=LONG, learning_rate=2 * config.learning_rate, schedule=schedule)
        config = replace(config, update=replace(config.update, beta=beta))
        run = new_run(ppo.RECIPE, "cartpole", settings=config, seed=seed)
        lasted[kind, seed] = [
            run.world.quick_evaluate(run.network, seed=HELD_OUT)["sampled_return"]
            for _ in watch(run)
            if run.iteration % LOOK == 0
        ]
        walked[kind, seed] = run.evaluate(seed=HELD_OUT, quick=True)["kl"]

# %%
figure, grid = panels(2, 2, height=4.4, sharex=True, sharey=True)
rows, below = [], {}
for axes, kind in zip(grid.flat, KINDS, strict=True):
    later = []
    for seed in range(3):
        looks = lasted[kind, seed]
        turns = [LOOK * number for number, _ in enumerate(looks, start=1)]
        axes.plot(turns, looks, "o-", ms=2.5, lw=1.2, color=COLOUR["cartpole"], alpha=0.75)
        first = next((number for number, steps in enumerate(looks) if steps >= STOOD), len(looks))
        later += looks[first + 1 :]
    axes.axhline(STOOD, color=INK, lw=0.8, ls=":")
    axes.set_title(kind, loc="left", color=INK, fontsize=10, weight="bold")
    ends = [lasted[kind, seed][-1] for seed in range(3)]
    below[kind] = sum(steps < STOOD for steps in later) / max(1, len(later))
    kl = sum(walked[kind, seed] for seed in range(3)) / 3
    rows.append(
        [kind, f"{below[kind]:.0%} of {len(later)}", f"{min(later, default=0):.0f}", f"{min(ends):.0f}", f"{kl:.0f}"]
    )
for axes in grid[1]:
    axes.set_xlabel("iteration of PPO", color=INK, fontsize=9)
for axes in grid[:, 0]:
    axes.set_ylabel("steps of a drive", color=INK, fontsize=9)
show(
    figure,
    "Steps of a drive while PPO goes on: three seeds, with a rate that falls or stays, without and with an anchor.",
)
display(table(["", "later looks below 475", "lowest of them", "lowest at the end", "KL to the clone (nats)"], rows))
for word in ("falls", "stays"):
    compare(
        f"later looks below 475: rate {word}",
        predicted["later looks below 475"][f"rate {word}"],
        below[f"rate {word}, β = 0"],
    )

# %% [markdown] lang="en"
# (*Later* is after the first look at 475 steps or more, the dotted line. Every look is at drives from unseen starts. A line is a seed.)
#
# - **The rate.** Everybody gets there. Without an anchor hardly a look falls below 475 again, whatever the rate does. With one, the pole does fall again, and where the rate stays as it is, more often and
#   to the end. Once nearly all drives last, nearly all returns are alike, and what is left of the advantages is small differences and chance, which the normalisation brings to their usual size (lesson 2).
#   With a rate that comes down, the policy is held where it has arrived. Nothing in the loss says "enough": the schedule does.
# - **The anchor.** It keeps the policy much nearer to the clone: see the KL. Here this is a burden, since the clone is a bad driver, and the two pull in opposite directions: there are more looks below 475,
#   not fewer.
#
# Three seeds are few, and a look can be lucky. But take along that *getting there* and *staying there* are two things, and that the reward takes care of the first one only.
# This is why `lessons.rlhf` gives the pole half of this rate, which falls to 0, and a light anchor.

# %% [markdown] lang="zh"
# （“以后”指第一次达到 475 步（虚线）之后。每次看的都是从没见过的起点。一条线是一个种子。）
#
# - **学习率。** 大家都到得了。没有锚的时候，不管学习率降不降，之后几乎再没有低于 475 的。有锚的时候，杆子还会再倒；学习率保持不变，就倒得更多，而且一直倒到最后。
#   几乎每次行驶都撑到最后时，回报就几乎都一样，优势里剩下的只是微小的差别和偶然，而归一化又把它们放大到平常的大小（第 2 课）。学习率降下来，策略就留在了到达的地方。
#   损失里没有一处说“够了”，这句话是学习率的安排说的。
# - **锚。** 它让策略离克隆近得多，看 KL 就知道。在这里这是个负担：克隆是个差劲的司机，两股力量方向相反，所以低于 475 的次数反而更多。
#
# 三个种子很少，看一眼也可能碰巧走运。但请记住：“到得了”和“留得住”是两回事，奖励只管前一件。
# 所以 `lessons.rlhf` 给杆子的学习率只有这里的一半，还要降到 0，再配一个轻的锚。

# %% [markdown] lang="en"
# ## The credit microscope
#
# How does a learnt reward become a lesson for single steps? Here are two rows from the first third of the training, one of each world: those that the
# reward model liked least. Columns are steps (the last ones of the row), on top what was done. Green is above 0, red below, with one colour scale for both lines of values and one for the three
# below them. *True V* is the mean of 64 episodes played on from that state, paid by the same reward model, less the price of the KL.

# %% [markdown] lang="zh"
# ## 信用分配显微镜
#
# 学来的奖励，怎样变成对每一步的评语？下面是训练前三分之一里的两行，每个世界一行，都是奖励模型最不喜欢的。每列是一步（取这一行的最后几步），
# 最上面写着做了什么。绿色大于 0，红色小于 0；两行价值共用一个色标，它们下面的三行共用另一个。
# **true V** 是从那个状态接着玩 64 次的平均，由同一个奖励模型打分，再减去 KL 惩罚。

# %%
credits = []
for name, (one, network) in caught.items():
    words = [worlds[name].words(one, row) for row in range(len(one))]
    fits = torch.tensor([drawable(row_words) for row_words in words])  # the figure's font has them
    row = one.rewards.sum(dim=1).where(fits, torch.inf).argmin().item()
    run, update = runs[name], runs[name].config.update
    env, rewards = (
        worlds[name].examples(64, seed=HELD_OUT),
        Rewards(update.gamma, run.scorer, run.reference, update.beta),
    )
    generator = torch.Generator().manual_seed(SEED)
    truth = true_values(env, network, one, generator, rewards=rewards, where=states_shown(one, row))
    options = {"gamma": update.gamma, "lam": update.lam, "truth": truth, "question": worlds[name].question(one, row)}
    credits.append(credit_of(one, row, words[row], state_values(network, one), **options))
    print(f"{name:<10} learnt score {one.rewards[row].sum():6.2f}   mean of 64 {one.rewards.sum(dim=1).mean():6.2f}")
show(
    microscope(credits, [world.title for world in worlds.values()]), "The least liked row of each world, step by step."
)

# %% [markdown] lang="en"
# - **Reward.** The pole is paid about 1 for each step by its learnt reward, down to the last one before the fall: the fall itself costs nothing, it
#   only ends the payments. The answer is paid once, at its end token (EOS), after being read as a whole.
# - **Value V** is the critic's forecast of what this model, and not the world, will still pay; **true V** is what it does pay on
#   average. Where the forecast is the same in every column and the truth is not, the critic has not yet learned to tell the states apart.
# - **Advantage** is what PPO makes likelier or less likely: what came, less the critic's forecast, handed back to the steps before.
#   **True A** is what each step deserved. The difference is the critic's mistakes and plain chance, and only many rows average them out.
#
# ## The same functions
#
# All three steps, one iteration of each, with a tracer: which functions of the core ran?

# %% [markdown] lang="zh"
# - **reward（奖励）**：学来的奖励给杆子的每一步都是 1 左右，直到倒下前的最后一步。倒下本身并不扣分，只是从此不再有奖励。
#   回答只在结束词元（EOS）处得到一次，那时整个回答已经读完。
# - **value V（价值）**：评论家预测的是这个**模型**（而不是世界）今后还会付多少；**true V** 是平均真正付的。如果预测在每一列都一样，
#   而真实价值不一样，那就是评论家还没有学会区分这些状态。
# - **advantage（优势）**：PPO 据此让动作更可能或更少见，也就是把实际所得减去评论家的预测，分给之前的各步。**true A** 才是每一步应得的。
#   两者的差别，是评论家的错误，再加上运气；只有很多行放在一起，才能平均掉。
#
# ## 同样的函数
#
# 三步各跑一轮，用跟踪器记下核心代码里执行过的函数：

# %%
SMALL = {
    "sft": (sft, {"demonstrations": 8}),
    "reward_model": (reward_model, {"starts": 16}),
    "ppo": (ppo, {"rows": 8}),
}
rows = []
for step, (lesson, less) in SMALL.items():
    used = {}
    for name in NAMES:
        links = {"scorer": place(name, "reward_model")} if step == "ppo" else {}
        config = replace(getattr(RLHF[name], step), start=clone[name], **less, **links)
        small = new_run(lesson.RECIPE, name, settings=config, iterations=2)
        used[name] = functions_used(lambda lesson=lesson, small=small: next(lesson.train(small)))
    shared = used["cartpole"] & used["language"]
    only = [", ".join(function.split(": ")[1] for function in sorted(used[name] - shared)) or "none" for name in NAMES]
    rows.append([step, f"{len(shared)}", *only])
table(["step", "in both worlds", "CartPole only", "language only"], rows)

# %% [markdown] lang="en"
# Updates, losses, advantages: the same objects. What runs in one world only prepares: the pole's rows are
# cut into single steps, since its network needs no memory (`as_steps`, `as_rows`, and a `Prompt` that is `empty`), and end at a window, beyond which
# the critic is asked (`seen_last`); its demonstrations are driven on the spot
# (`rollout`, `sample`); and some arguments are checked (`check_…`).
#
# ## What it costs
#
# PPO works. Now count what it takes: seconds of one CPU core, networks that a step needs, and the
# settings that have to be right. (For the language model, SFT was done beforehand.)

# %% [markdown] lang="zh"
# 更新、损失、优势，都是同样的对象。只在一个世界里执行的，做的都是准备工作：杆子的网络不需要记忆，所以它的行要切成单步（`as_steps`、`as_rows`，以及 `empty` 的 `Prompt`），
# 而且到了窗口的边上就被截断，再往后要问评论家（`seen_last`）；它的示范是当场开出来的（`rollout`、`sample`）；还有一些参数检查（`check_…`）。
#
# ## 代价
#
# PPO 管用。再来数数它要花什么：占用一个 CPU 核多少秒，每一步需要几个网络，又有多少个设置必须调对。（语言模型的 SFT 是事先做好的。）

# %%
NEEDS = {"sft": ("1", "1"), "reward_model": ("2", "1"), "ppo": ("4", "2")}
rows = []
for step, (networks, learners) in NEEDS.items():
    settings = getattr(RLHF["language"], step)
    knobs = len(fields(settings)) - 1 + len(fields(settings.update))
    seconds = [f"{spent[step, name]:.1f} s" if (step, name) in spent else "–" for name in NAMES]
    rows.append([step, *seconds, networks, learners, f"{knobs}"])
table(["step", *(world.title for world in worlds.values()), "networks", "of them learn", "settings"], rows)

# %% [markdown] lang="en"
# ## Break it: a reward that is wrong
#
# PPO maximises what it is paid, mistakes included. How much harm can a bad reward model do? We make one in each world, and
# train on it twice: for free ($\beta = 0$), and at a price.
#
# - **Language model: too few pairs, too many errors.** Two passes of 256 questions, and one judgment in five is wrong.
# - **CartPole: pairs that leave something open**, the trap of lesson 4. This model learns from clips only, and the two clips of a pair ($r^+$ the chosen one's rewards, $r^-$ the rejected one's) have the same number of steps.
#   So adding a constant $c$ to the reward of *every step* changes both sums alike, and the loss not at all:
#
# $$\sum_t (r^+_t + c) - \sum_t (r^-_t + c) = \sum_t r^+_t - \sum_t r^-_t$$
#
# The pairs do not know $c$. Any choice is equally right to them. We choose: two points less for each step. New is the question what the anchor can do about it.

# %% [markdown] lang="zh"
# ## 拆掉一样试试：奖励错了
#
# PPO 会把报酬推到最大，报酬里的错误也不例外。一个差劲的奖励模型能造成多大的损害？我们在两个世界里各做一个，再各用它训练两次：一次不收钱（$\beta = 0$），一次收钱。
#
# - **语言模型：成对数据太少，错误太多**。只有两轮、每轮 256 个问题，而且五个评判里有一个是错的。
# - **CartPole：成对数据有没说清的地方**，也就是第 4 课的那个陷阱。这个模型只从片段学，而一对片段（$r^+$ 是选中那个的奖励，$r^-$ 是落选那个的）步数总是相同。所以给**每一步**的奖励都加上常数 $c$，
#   两边的总和变化一样，损失丝毫不变：
#
# $$\sum_t (r^+_t + c) - \sum_t (r^-_t + c) = \sum_t r^+_t - \sum_t r^-_t$$
#
# 成对数据不知道 $c$ 是多少，选哪个都一样对。我们来选：每一步少两分。这一次要问的是：锚能帮上什么忙？

# %%
WEAK = {"cartpole": {"kinds": ("clips",), "iterations": 10}, "language": {"starts": 256, "iterations": 2, "noise": 0.2}}
for name in NAMES:
    config = replace(RLHF[name].reward_model, start=clone[name], **WEAK[name])
    run = new_run(reward_model.RECIPE, name, settings=config)
    pairs = sum(record["pairs"] for record in watch(run))
    weak_evaluations = {f"{name}, {pairs:.0f} pairs": run.evaluate(seed=HELD_OUT, quick=True)}
    if name == "cartpole":
        run.scorer.reward[-1].bias.data.sub_(2.0)
        weak_evaluations["the same, 2 less per step"] = run.evaluate(seed=HELD_OUT, quick=True)
    run.export(Path(place(name, "weak")))
    for what, evaluation in weak_evaluations.items():
        kinds = [
            f"{key.removeprefix('accuracy_')} {evaluation[key]:.1%}"
            for key in evaluation
            if key.startswith("accuracy_")
        ]
        print(f"{what:<28} told apart: {', '.join(kinds)}")

# %% [markdown] lang="en"
# To the clips, the two models of the pole are one: the same accuracy. (That the second one prefers the shorter of two drives, nobody asked.)
# And the language model's is better than a coin, though worse than the one of step 2. Now PPO, with the settings of step 3 but for $\beta$
# (and fewer iterations for the pole):

# %% [markdown] lang="zh"
# 用片段来检验，杆子的两个模型毫无区别，准确率一模一样。（后一个在两次行驶里偏爱更短的，可没有人问过它。）语言模型的那个比抛硬币强，但不如第二步的那个。
# 接下来做 PPO，除了 $\beta$ 不同（杆子的轮数也少一些），其余设置与第三步相同：

# %%
PRICES = {"cartpole": (0.0, 10.0), "language": (0.0, RLHF["language"].ppo.update.beta)}
LESS = {"cartpole": 34, "language": 22}
broken, ends, hacked = {}, {}, {}
for name in NAMES:
    for beta in PRICES[name]:
        config = replace(RLHF[name].ppo, start=clone[name], scorer=place(name, "weak"))
        config = replace(config, update=replace(config.update, beta=beta))
        run = new_run(ppo.RECIPE, name, settings=config, iterations=LESS[name])
        points = [(0, *seen_twice(run))]
        for _ in watch(run):
            if run.iteration % 2 == 0:
                points.append((run.iteration, *seen_twice(run)))
        broken[name, beta], ends[name, beta] = points, run.evaluate(seed=HELD_OUT, quick=True)
        hacked[beta] = run.network  # in the end the language model's

# %%
figure, grid = panels(2, 2, height=4.8, sharex="col", sharey="col")
for (name, beta), points in broken.items():
    axes = grid[PRICES[name].index(beta), NAMES.index(name)]
    turn, paid, true, kl = zip(*points, strict=True)
    for worths, colour, label in ((paid, GOOD, "learnt"), (true, COLOUR[name], "true")):
        axes.plot(turn, [worth - worths[0] for worth in worths], "o-", ms=3.5, lw=2, color=colour, label=label)
    axes.axhline(0, color=INK, lw=0.8)
    axes.set_title(f"{worlds[name].title}, β = {beta:g}", loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    axes.set_title(f"KL at the end: {kl[-1]:.1f} nats", loc="right", color=INK, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
for axes in grid[0]:
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper right", bbox_to_anchor=(1, 0.84))
for axes in grid[:, 0]:
    axes.set_ylabel("gain per episode", color=INK, fontsize=9)
for axes in grid[1]:
    axes.set_xlabel("iteration of PPO", color=INK, fontsize=9)
show(
    figure, "Gain of the learnt and of the true reward on bad reward models, without and with the anchor, both worlds."
)

for name in NAMES:
    stage_results = {"clone": evaluations[name]["SFT"]} | {f"β = {beta:g}": ends[name, beta] for beta in PRICES[name]}
    rows = [[key, *(f"{evaluation[key]:z.2f}" for evaluation in stage_results.values())] for key in TOLD[name]]
    kl = [f"{ends[name, beta]['kl']:.1f}" for beta in PRICES[name]]
    display(table([f"{worlds[name].title}, bad reward", *stage_results], [*rows, ["KL to the clone (nats)", "0", *kl]]))
for name in NAMES:
    guess = predicted["return after PPO on a bad reward"][name]
    compare(f"{name}: return after PPO on a bad reward", guess, ends[name, 0.0][worlds[name].headline])
    price = PRICES[name][1]
    (_, start, *_), (_, bound, _, near), (_, free, _, far) = (
        broken[name, 0.0][0], broken[name, price][-1], broken[name, 0.0][-1]
    )  # fmt: skip
    print(
        f"    at β = {price:g} the reward model pays {(bound - start) / near:.2f} points for each of {near:.1f} nats,"
    )
    print(f"    and for each of the {far - near:.1f} nats beyond them {(free - bound) / (far - near):.2f}")

# %%
asked = {"clone": runs["language"].reference} | {f"β = {beta:g}": hacked[beta] for beta in PRICES["language"]}
told = {}
for who, network in asked.items():
    played = rollout(worlds["language"].examples(14, seed=HELD_OUT), network, torch.Generator().manual_seed(HELD_OUT))
    told[who] = worlds["language"].answers(played)
questions = [answer.question.text for answer in told["clone"]]
columns = [[f"{answer.text} ({answer.verdict.score:+.1f})" for answer in answers] for answers in told.values()]
table(["question", *told], [list(line) for line in zip(questions, *columns, strict=True)][::2])

# %% [markdown] lang="en"
# (Lines show the gain since the start, so that both begin at 0. KL in the figure and in the last lines is that of the 64 unseen episodes; the tables have episodes of their own. The last table has
# the answers to some unseen questions, with the judge's scores.)
#
# **Upper row: the learnt reward rises, and in the end the true one falls.** This is *over-optimisation*: when a measure becomes the target, it ceases
# to be a good measure (Goodhart's law). PPO is not to blame; it did its job.
#
# - *The pole throws itself down.* Each step costs, so the best drive is the shortest. (The flat beginnings
#   are the warm-up, in which only the critic learns.) The clips were not judged any worse than before, they only leave a question open. The full
#   reward model of step 2 got the answer from whole drives, which differ in length.
# - *The language model finds the cracks.* At first the true score rises as well. Then the policy discovers that this model pays for
#   polite phrases, no matter how many there are, in which language, and after what. Those answers are far from the clone's: look at the KL. The model has never seen
#   their like, and it pays.
#
# **Lower row: the anchor.** Nothing else is changed, only the way costs something. The policy stays nearer to the clone, where the reward model has
# at least seen something, and the damage is smaller: the pole still falls earlier than the clone, while the language model's score even rises.
# But the anchor does not turn a wrong reward into a right one. And how high must the price be? Below the tables
# stands what the reward model pays for a nat: on the way that the policy went at this price, and on the rest of the way that it went for free. The first nats pay best.
# The language model's pay more than they cost, and it takes them; the long rest pays far less than 0.2 a nat, and is left alone. That is what a price does. For the
# pole the first part of the wrong way, less than a nat, pays more than twice the price of 10, so it is taken, and with it goes about half of the drive; the rest pays less than 10 a nat, and is left alone.
# A price stops a policy half-way; it does not turn it round. So $\beta$ depends on the size of the reward, which is why the reward was given a unit.
#
# Why did step 3 go well? The pole's reward model had found almost the true reward, so that going far did no harm. The language model's was only an
# estimate, but from more pairs, and clean ones, and the policy was anchored. Gao et al. 2022
# ([arXiv:2210.10760](https://arxiv.org/abs/2210.10760)) measured the general shape, which you see at the upper right (drawn here against iterations): with growing KL the true score rises, has its best
# point, and falls. More pairs move that point outwards. So somebody has to keep looking at the truth.

# %% [markdown] lang="zh"
# （线画的是相对起点的增量，所以都从 0 开始。图中和最后几行的 KL 用那 64 个没见过的回合来量；表里的用的是另一批回合。最后一张表是对几个没见过的问题的回答，括号里是裁判的分数。）
#
# **上排：学来的奖励一直在涨，真实的奖励最后在跌**。这叫**过度优化**（over-optimisation）：指标一旦变成目标，就不再是好指标（古德哈特定律，Goodhart's law）。
# 这不怪 PPO，它只是尽了本分。
#
# - **杆子自己往下倒**。每一步都要扣分，最短的行驶就成了最好的。（开头平的一段是预热，那时只有评论家在学。）
#   片段的评判并不比原来差，只是有一个问题没说清。第二步里完整的奖励模型，是从长短不一的整段行驶里得到答案的。
# - **语言模型找到了裂缝**。起初真实得分也跟着上升。后来策略发现：这个模型会给客套话加分，不管说几遍、用哪种语言、跟在什么后面。
#   这样的回答离克隆的回答很远，看看 KL 就知道。模型从没见过类似的东西，却照付不误。
#
# **下排：锚**。别的都没变，只是走远要花钱。策略留在离克隆更近的地方，在那里奖励模型好歹见过一些东西，损害因此变小：杆子仍比克隆倒得早，语言模型的得分甚至升了。但锚不会把错的奖励变成对的。
# 那么价格该定多高？表格下面印着奖励模型为每一奈特付多少分：先是收钱时策略走过的那段路，再是不收钱时它继续走下去的路。最初的几奈特最值钱。
# 语言模型的这一段，拿到的比付出的多，它就走了；后面的长路每奈特远不到 0.2 分，它就不走了。价格起的正是这个作用。杆子这边，错路上最初那一段（不到一奈特），每奈特付的是价格 10 的两倍多，
# 它就走了，行驶因此短了一半左右；其余的每奈特不到 10 分，它就不走了。价格能让策略半路停下，却不能让它回头。所以 $\beta$ 该取多少，要看奖励有多大；这正是要给奖励一个单位的原因。
#
# 第三步为什么顺利？杆子的奖励模型几乎找到了真实的奖励，走得再远也无妨。语言的奖励模型只是一个估计，但用的成对数据更多，也更干净，而且策略有锚。Gao 等 2022
# （[arXiv:2210.10760](https://arxiv.org/abs/2210.10760)）量出了一般的形状，正是右上图所见（只是横轴是轮数）：随着 KL 变大，真实得分先升，到达最高点，然后下降。
# 成对数据越多，最高点越靠外。所以总得有人一直盯着真相。

# %% [markdown] lang="en"
# ## Quiz
#
# Answer first, then unfold.
#
# <details><summary>1. Two reward models differ by a factor of ten, and nothing else. Which of these change: the accuracy on pairs, the loss, the policy that PPO ends with at β = 0.2?</summary>
#
# The accuracy does not, since the order is the same. The loss does. The policy does as well: ten times the score against the same price per nat is the
# same as a tenth of the price. Dividing by the typical reward takes this accident away.
# </details>
#
# <details><summary>2. A reward model for answers gives every answer to one question 3 points more. What does its loss on pairs say, and what does PPO's policy?</summary>
#
# Nothing and, up to what the critic has to learn, nothing: both answers of a pair gain the same, and every answer that the policy can give to
# this question does. It is harmless as it is paid once for an answer. A constant for each *step* is another matter: it pays for length.
# </details>
#
# <details><summary>3. Why not take the base model as the reference?</summary>
#
# The KL would not begin at 0, and the anchor would pull away from all that SFT has taught: the form of an answer, and to stop. And the reward model
# knows nothing about the base model's texts.
# </details>
#
# <details><summary>4. The learnt reward still rises. Is that a reason to train on?</summary>
#
# No. It rises in good runs and in bad ones. Look at something that PPO is not paid for: the truth where there is one, people where there is none, and the KL as a warning.
# </details>

# %% [markdown] lang="zh"
# ## 小测验
#
# 先想好答案，再展开。
#
# <details><summary>1. 两个奖励模型只差一个倍数：十倍。下面哪些会变：成对数据上的准确率、损失、β = 0.2 时 PPO 最后得到的策略？</summary>
#
# 准确率不变，因为排序没变。损失会变。策略也会变：分数变成十倍而每奈特的价格不变，就等于价格打了一折。除以典型奖励，就去掉了这种偶然。
# </details>
#
# <details><summary>2. 一个给回答打分的奖励模型，把某个问题的所有回答都多给 3 分。它在成对数据上的损失会怎么说？PPO 的策略呢？</summary>
#
# 损失毫无变化；策略也没有变化，只是评论家要多学一点：一对里的两个回答加得一样多，策略对这个问题能给出的每个回答也都加得一样多。
# 它无害，是因为每个回答只付一次。给每一**步**加常数就是另一回事了：那是在奖励长度。
# </details>
#
# <details><summary>3. 为什么不拿 base 模型当参考策略？</summary>
#
# 那样 KL 就不从 0 开始，而且锚会把策略从 SFT 教会的一切（回答的样子、答完就停）那里往回拉。何况奖励模型对 base 模型写的东西一无所知。
# </details>
#
# <details><summary>4. 学来的奖励还在涨。这是继续训练的理由吗？</summary>
#
# 不是。好的训练里它在涨，坏的训练里它也在涨。要看 PPO 拿不到报酬的东西：有真相就看真相，没有真相就请人看，再把 KL 当作警报。
# </details>

# %% [markdown] lang="en"
# ## What you take along
#
# - Alignment learns from **judgments**: their number was printed in step 2, and after the demonstrations of step 1 nothing else came from outside.
# - RLHF is three trainings, and each hands a network to the next. The clone is handed on three times.
# - A language model's reward comes through a **trained network**. So can a pole's; then it is a pole's problem, too, that such a reward can be wrong.
# - Reward and closeness are weighed against each other, and that takes a reward with a **unit**.
# - It works, and it is expensive: four networks, two that learn together, and many settings.
#
# ## What next
#
# ```bash
# python -m lessons.rlhf                            # both worlds, all three steps at full length
# python -m lessons.reward_model --language.noise 0.2
# python -m lessons.rlhf --world language --language.ppo.update.beta 0
# ```
#
# To read: Christiano et al. 2017, [arXiv:1706.03741](https://arxiv.org/abs/1706.03741), preferences over clips of a
# simulated robot, which our pole's clips are a small copy of; Ziegler et al. 2019, [arXiv:1909.08593](https://arxiv.org/abs/1909.08593), the same
# for language models, with the anchor; Stiennon et al. 2020, [arXiv:2009.01325](https://arxiv.org/abs/2009.01325), for summaries; and Ouyang et al. 2022.
# In the code: `lessons/rlhf.py`, three runs with the face of one.
#
# The next lesson asks which of these four networks one can do without, and answers: all but two (DPO).

# %% [markdown] lang="zh"
# ## 本课小结
#
# - 对齐是从**评判**中学习的：评判的个数在第二步打印过；除了第一步的示范，再没有别的东西来自外部。
# - RLHF 是三次训练，每一次都把一个网络交给下一次。克隆被交出去三回。
# - 语言模型的奖励要经过一个**训练出来的网络**。杆子的奖励也可以这样；那么“奖励可能是错的”，也就成了杆子的问题。
# - 奖励要和“别走远”放在天平两端，所以奖励得有**单位**。
# - 它管用，也很贵：四个网络，其中两个同时在学，还有一大把设置。
#
# ## 接下来
#
# ```bash
# python -m lessons.rlhf                            # 两个世界，完整的三步
# python -m lessons.reward_model --language.noise 0.2
# python -m lessons.rlhf --world language --language.ppo.update.beta 0
# ```
#
# 可以读：Christiano 等 2017，[arXiv:1706.03741](https://arxiv.org/abs/1706.03741)，比较模拟机器人的短片段，我们杆子的片段就是它的缩影；
# Ziegler 等 2019，[arXiv:1909.08593](https://arxiv.org/abs/1909.08593)，把同样的办法连同锚一起用到语言模型上；
# Stiennon 等 2020，[arXiv:2009.01325](https://arxiv.org/abs/2009.01325)，用来写摘要；还有 Ouyang 等 2022。代码可以看 `lessons/rlhf.py`：三次训练，一副面孔。
#
# 下一课要问：这四个网络，哪些可以不要？回答是：留两个就够（DPO）。
