# %% [markdown] lang="en"
# # 2. PPO in both worlds
#
# Lesson 1 ended with a closed box: `ppo` took what had been played, and both returns rose. This lesson opens the box.
# What goes in is a *rollout*: what a policy saw, what it did, and what it was paid, in rows. What PPO makes of it is one
# sentence:
#
# > Make what went better than expected likelier, and what went worse less likely.
#
# The sentence leaves three things open, and each can ruin a policy. Proximal policy optimisation (PPO; Schulman et al.
# 2017, [arXiv:1707.06347](https://arxiv.org/abs/1707.06347)) is the sentence with a guard for each of them:
#
# | left open | what goes wrong | the guard |
# |---|---|---|
# | *likelier*: by how much? | what was played tells little about a policy that has moved far away | the **clip** |
# | *than expected*: by whom, and which step deserves it? | every step is praised for what one of them did | the **critic**, and GAE |
# | what nobody pays for, such as good grammar | it is lost, and no reward complains | the **KL anchor** |
#
# By the end you can read PPO's update line by line and say what each line is for. You will also have seen what
# becomes of both worlds without each of the guards.
#
# It takes about seven minutes to run on two CPU cores; the outputs below come from such a run.

# %% [markdown] lang="zh"
# # 2. 两个世界中的 PPO
#
# 第一课的结尾是一个没有打开的盒子：把玩出来的数据交给 `ppo`，两个世界的回报就都涨了。这一课来打开它。送进去的是采样得到的*轨迹*（rollout）：
# 策略看到了什么、做了什么、得到了什么奖励，一行一行排好。PPO 要做的，说起来只有一句话：
#
# > 结果比预期好的动作，让它更可能出现；比预期差的，让它更少出现。
#
# 这句话有三处没有说清楚，每一处都足以毁掉一个策略。近端策略优化（Proximal Policy Optimization，PPO；Schulman 等，2017，
# [arXiv:1707.06347](https://arxiv.org/abs/1707.06347)）就是给这三处各配上一道保护：
#
# | 没说清楚的 | 会出什么问题 | 保护 |
# |---|---|---|
# | “更可能”：改多少才合适？ | 数据是旧策略玩出来的，策略一旦走远，这些数据就说明不了什么 | **裁剪**（clip） |
# | “比预期”：谁的预期？功劳又该算在哪一步？ | 一步走得好，整局的每一步都跟着受表扬 | **评论家**（critic）与 GAE |
# | 奖励没有覆盖的能力，比如通顺的语法 | 丢了也没有奖励会提醒你 | **KL 锚**（anchor） |
#
# 学完这一课，你能逐行读懂 PPO 的更新，说出每一行的用处；你还会在两个世界里看到，每道保护拿掉之后会发生什么。
#
# 在两个 CPU 核上，全部运行一遍大约七分钟；下面保存的输出就来自这样一次运行。

# %%
import json
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from IPython.display import HTML, Markdown, display
from torch.nn.utils import parameters_to_vector

from lessons import ppo as lesson
from lessons.harness.report.snapshot import take_snapshot
from lessons.harness.report.summary import told
from lessons.ppo import SETTINGS as PPO
from lessons.worlds import NAMES
from lessons.worlds.measure import mean
from notebooks.figures import (
    BAD, COLOUR, GOOD, HELD_OUT, INK, PALE, SEED, compare, curve, excerpt, finish, functions_used, new_run, panels,
    progress, show, spread, table,
)  # fmt: skip
from notebooks.figures.credit import credit_of, drawable, microscope, states_shown
from rl_core.advantages import gae, kl_shaped_rewards
from rl_core.algorithms.ppo import ppo
from rl_core.evaluate import evaluate_actions, state_values
from rl_core.losses.kl import kl_k1
from rl_core.losses.policy_gradient import policy_gradient_loss
from rl_core.losses.ppo import clipped_surrogate
from rl_core.masked import masked_mean
from rl_core.rollout import rollout
from rl_core.true_values import Rewards, true_values
from rl_core.types import Episodes

torch.set_num_threads(1)
ITERATIONS = {"cartpole": 40, "language": 20}

# %% [markdown] lang="en"
# ## 1. Where we start
#
# Both policies learnt by imitation, and both imitated somebody imperfect. The pole is balanced by the clone of a
# mediocre driver; the language model was fine-tuned on answers of which one in five is rude. More imitation would only
# make them better copies. Here is what they do before any reinforcement learning, on starts and questions that training
# never sees. Brackets are 95 % intervals.
#
# (*Sampled*: actions are drawn by chance, as in training; *greedy*: always the likeliest. *Right* is a share of the
# answers that are no refusals, *eos* the share that came to an end of their own accord.)

# %% [markdown] lang="zh"
# ## 1. 从哪里出发
#
# 两个策略都是靠模仿学出来的，而且模仿的对象都不完美：扶杆子的，是一个平庸司机的克隆；语言模型则是在五分之一带着粗鲁语气的回答上微调的。
# 再多模仿，也只会得到更像的复制品。下面是强化学习开始之前它们的表现，用的是训练中从未出现过的起点和问题；方括号里是 95 % 置信区间。
#
# （sampled：和训练时一样按概率抽取动作；greedy：总选最可能的动作。right 是在没有拒答的回答中答对的比例，eos 是自己写到结尾的比例。）

# %%
fresh = {name: new_run(lesson.RECIPE, name, iterations=ITERATIONS[name]) for name in NAMES}
before = {name: take_snapshot(fresh[name], seed=HELD_OUT, quick=True) for name in NAMES}
for name, run in fresh.items():
    evaluation = before[name].results
    display(
        table([run.world.title, "before"], [[key, told(run, evaluation, key)] for key in evaluation if key != "kl"])
    )

# %% [markdown] lang="en"
# ## 2. How far? The ratio and the clip
#
# ### From the policy gradient to the ratio
#
# "Make it likelier if it went better than expected" is the *policy gradient*:
#
# $$\nabla_\theta J = \mathbb{E}_{\,a_t \sim \pi_\theta}\big[\, A_t \; \nabla_\theta \log \pi_\theta(a_t \mid s_t) \,\big]$$
#
# Here $\pi_\theta(a_t \mid s_t)$ is the probability with which the policy, a network with parameters $\theta$, chooses
# action $a_t$ in state $s_t$. The gradient of its logarithm is the direction in which the parameters make that action
# likelier, and the *advantage* $A_t$ says how much better than expected it went: positive pushes there, negative pushes
# back. The small print is under the expectation: the actions must come from the policy *as it is now*. One step of the
# optimizer, and everything that was played is second-hand.
#
# Throwing it away after one step would be a waste, since playing is expensive (a language model spends much of its time
# on it). So we correct for the difference. An action that the policy takes with probability 0.3 today and took with 0.2
# when it was played counts $0.3/0.2$ times. This is the **ratio**
#
# $$\rho_t = \frac{\pi_\theta(a_t \mid s_t)}{\pi_{\text{old}}(a_t \mid s_t)} = \exp\big(\log \pi_\theta(a_t \mid s_t) - \log \pi_{\text{old}}(a_t \mid s_t)\big), \qquad \text{and we maximise}\quad \mathbb{E}_{\,a_t \sim \pi_{\text{old}}}\big[\rho_t A_t\big].$$
#
# At first, when old and new policy are still the same, every ratio is 1, and $\nabla (\rho A) = A \,\nabla \log \pi$.
# So **the first step of PPO is exactly the policy gradient**, clip or no clip. Let us hold the core to that: the
# gradient of both losses, with respect to every parameter of the policy, in both worlds.

# %% [markdown] lang="zh"
# ## 2. 走多远？比率与裁剪
#
# ### 从策略梯度到比率
#
# “比预期好，就让它更可能”，写成公式就是*策略梯度*（policy gradient）：
#
# $$\nabla_\theta J = \mathbb{E}_{\,a_t \sim \pi_\theta}\big[\, A_t \; \nabla_\theta \log \pi_\theta(a_t \mid s_t) \,\big]$$
#
# $\pi_\theta(a_t \mid s_t)$ 是策略（一个参数为 $\theta$ 的网络）在状态 $s_t$ 下选择动作 $a_t$ 的概率。它的对数的梯度，就是让这个动作更可能出现的参数
# 方向；*优势*（advantage）$A_t$ 则说明结果比预期好多少：为正就往这个方向推，为负就往回推。要留神的是期望号下面的那行小字：
# 动作必须来自*此刻*的策略。优化器只要走一步，玩出来的数据就全都过时了。
#
# 可是玩一局很贵（语言模型有很大一部分时间花在生成上），用一步就扔掉太浪费。于是我们来修正新旧之间的差别：一个动作，当时的概率是 0.2，
# 现在是 0.3，那就让它算 $0.3/0.2$ 次。这就是**比率**（ratio）：
#
# $$\rho_t = \frac{\pi_\theta(a_t \mid s_t)}{\pi_{\text{old}}(a_t \mid s_t)} = \exp\big(\log \pi_\theta(a_t \mid s_t) - \log \pi_{\text{old}}(a_t \mid s_t)\big), \qquad \text{最大化}\quad \mathbb{E}_{\,a_t \sim \pi_{\text{old}}}\big[\rho_t A_t\big].$$
#
# 一开始新旧策略相同，所有比率都是 1，这时 $\nabla (\rho A) = A \,\nabla \log \pi$。所以，无论有没有裁剪，**PPO 的第一步就是策略梯度本身**。
# 口说无凭，我们来核对：在两个世界里，对策略的每一个参数，分别求这两个损失的梯度。

# %%
for name, run in fresh.items():
    batch = before[name].batch  # twelve played rows, with their advantages and old log-probabilities
    logprobs = evaluate_actions(run.network, batch).logprobs
    plain, _ = policy_gradient_loss(logprobs, batch.advantages, batch.mask)
    surrogate = clipped_surrogate(logprobs, batch.logprobs, batch.advantages, clip=0.2)
    clipped = -masked_mean(surrogate, batch.mask)
    policy = [weight for key, weight in run.network.named_parameters() if key in run.reference.state_dict()]
    gradients = [
        parameters_to_vector(torch.autograd.grad(loss, policy, retain_graph=True)) for loss in (plain, clipped)
    ]
    largest, apart = gradients[0].abs().max(), (gradients[0] - gradients[1]).abs().max()
    print(f"{name:<10} {len(gradients[0]):>9,} entries   largest {largest:.1e}   largest difference {apart:.1e}")

# %% [markdown] lang="en"
# ### Why a leash
#
# No difference but for rounding, if any. All that sets PPO apart happens *after* the first step, and there $\rho A$ has a
# weakness: **it believes itself.** Suppose that one action, by luck, got $A = 3$. Make it ten times as likely, and
# $\rho A$ promises ten times the gain; a hundred times, a hundred. No new experience has come in: the promise is drawn
# from the same handful of steps, read over and over. And it was only ever good nearby, since a policy that acts
# otherwise also arrives in other states, about which the old data say nothing.
#
# So PPO stops paying for distance. With $\epsilon$ (here 0.2) as the length of the leash,
#
# $$J_t = \min\Big( \rho_t A_t, \;\; \text{clip}(\rho_t,\, 1-\epsilon,\, 1+\epsilon)\, A_t \Big)$$
#
# where $\text{clip}(x, a, b)$ moves $x$ to the nearest number between $a$ and $b$. In the core:

# %% [markdown] lang="zh"
# ### 为什么要拴一根绳
#
# 除了可能的舍入误差，完全相等。PPO 与众不同的地方都发生在第一步*之后*，而从那里开始，$\rho A$ 有一个弱点：**它太相信自己。**
# 假设有一个动作碰巧得到了 $A = 3$。把它的概率提高十倍，$\rho A$ 就许诺十倍的收益；提高一百倍，就许诺一百倍。可是并没有新的经验进来：
# 这些许诺全都出自同样的几步数据，只不过被反复读了很多遍。何况它本来也只在附近才算数：行为变了，走到的状态也会变，而对那些状态，旧数据一无所知。
#
# 所以在 PPO 里，离得更远不再带来收益。以 $\epsilon$（这里是 0.2）为绳长：
#
# $$J_t = \min\Big( \rho_t A_t, \;\; \text{clip}(\rho_t,\, 1-\epsilon,\, 1+\epsilon)\, A_t \Big)$$
#
# 其中 $\text{clip}(x, a, b)$ 把 $x$ 移到 $a$ 与 $b$ 之间离它最近的数。在核心代码里就是：

# %%
excerpt(clipped_surrogate, first="ratio = torch.exp", last="return torch.minimum")

# %% [markdown] lang="en"
# The `min` matters more than it seems to. Here is that function, called for every ratio from 0.3 to 1.9, once for a step that went
# better than expected ($A = +1$) and once for one that went worse ($A = -1$). Below it is its slope, from autograd. The slope
# is all that the optimizer ever feels.

# %% [markdown] lang="zh"
# 这里的 `min` 比看上去更重要。下图就是直接调用这个函数画的：比率从 0.3 到 1.9，左边是结果比预期好的一步（$A = +1$），
# 右边是比预期差的一步（$A = -1$）。下方是它的斜率，由 autograd 算出。优化器能感觉到的，只有斜率。


# %%
def draw_leash(clip):
    """Show the clipped surrogate against the ratio, with its slope, for a good step and a bad one."""
    figure, grid = panels(2, 2, height=4.2, sharex=True, height_ratios=[3, 1])
    for column, (advantage, colour) in enumerate([(1.0, GOOD), (-1.0, BAD)]):
        ratio = torch.linspace(0.3, 1.9, 801, requires_grad=True)
        objective = clipped_surrogate(ratio.log(), torch.zeros(801), torch.full((801,), advantage), clip=clip)
        (slope,) = torch.autograd.grad(objective.sum(), ratio)
        ratio, objective = ratio.detach(), objective.detach()
        top, low = grid[:, column]
        for axes in (top, low):
            axes.axvspan(1 - clip, 1 + clip, color=PALE, alpha=0.6, lw=0)
        top.plot(ratio, ratio * advantage, color=colour, lw=1, ls=(0, (2, 3)))
        top.plot(ratio, objective.where(slope != 0, torch.nan), color=colour, lw=3, solid_capstyle="butt")
        top.plot(ratio, objective.where(slope == 0, torch.nan), color=colour, lw=3, alpha=0.35, solid_capstyle="butt")
        top.plot(1, advantage, "o", color=INK, ms=6, zorder=3)
        top.set(ylim=(-0.05, 2.05) if advantage > 0 else (-2.05, 0.05))
        top.set_title(rf"$A = {advantage:+.0f}$", color=colour, loc="left", fontsize=13)
        said = {"textcoords": "offset points", "ha": "center", "color": colour, "fontsize": 9}
        flat = 1 + (clip + 0.3) * advantage
        top.annotate("slope 0", (flat, (1 + clip * advantage) * advantage), (0, -14), **said)
        top.annotate(r"$\rho A$", (1.55 if advantage > 0 else 0.45, 1.55 if advantage > 0 else -0.45), (0, 10), **said)
        low.fill_between(ratio, slope, color=colour, alpha=0.85, lw=0, step="mid")
        low.axhline(0, color=INK, lw=0.8)
        low.set(ylim=(-1.35, 1.35), yticks=[-1, 0, 1], xlim=(0.3, 1.9))
        low.set_xticks([0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8])
        low.set_xlabel(r"ratio  $\rho$", color=INK, fontsize=10)
    grid[0, 0].set_ylabel(r"objective  $J$", color=INK, fontsize=10)
    grid[1, 0].set_ylabel(r"slope  $dJ / d\rho$", color=INK, fontsize=10)
    show(figure, "The clipped objective J against the ratio for A = +1 and A = -1, with its slope below.")


draw_leash(clip=0.2)

# %% [markdown] lang="en"
# Go through the four corners:
#
# - **Good step, already likelier** (left, beyond 1.2): flat. It has had its share; what $\rho A$ promises beyond that is not paid.
# - **Good step that has become rarer** (left, below 0.8): full slope, outside the grey band too. Other steps of the
#   minibatch have pushed it the wrong way, and nothing hinders its way back. A clip without the `min` would be flat here,
#   and the mistake would stay.
# - **Bad step, already rarer** (right, below 0.8): flat.
# - **Bad step that has become likelier** (right, beyond 1.2): full slope, back down.
#
# So the clip is no wall. A ratio *may* leave the band, carried by the optimizer's momentum or by other steps; there is
# only nothing more to be gained there.

# %% [markdown] lang="zh"
# 把四个角走一遍：
#
# - **好的一步，已经更可能了**（左图，1.2 右侧）：平的。它那一份已经给了；$\rho A$ 再往上许诺的，一概不付。
# - **好的一步，却变得更少见了**（左图，0.8 左侧）：斜率完整，哪怕在灰色区域之外。这是同一小批里的其他步把它推错了方向，没有什么妨碍它回来。
#   如果只裁剪而没有 `min`，这里也会是平的，错误就留在那里了。
# - **差的一步，已经更少见了**（右图，0.8 左侧）：平的。
# - **差的一步，却变得更可能了**（右图，1.2 右侧）：斜率完整，往回压。
#
# 所以裁剪不是一堵墙。优化器的惯性，或者别的步的推力，*可以*把比率带出灰色区域；只不过再往外走已经没有任何好处。

# %% [markdown] lang="en"
# ## 3. Who gets the credit? The critic and GAE
#
# Where does $A_t$ come from? A second network, the **critic** $V(s)$, learns to predict what will still be paid from a
# state on: one more point for each step that the pole will stand, or the score of the answer that is being written.
# Compare its prediction before a step with reward plus prediction after it, and you have the step's surprise
# $\delta_t$, also called TD error. *Generalised advantage estimation* (GAE; Schulman et al. 2015,
# [arXiv:1506.02438](https://arxiv.org/abs/1506.02438)) hands each surprise back to the steps before it, a little less
# with every step:
#
# $$\delta_t = r_t + \gamma V(s_{t+1}) - V(s_t), \qquad A_t = \delta_t + \gamma\lambda\, A_{t+1}$$
#
# $r_t$ is the reward, $\gamma$ the discount of later rewards, and $\lambda$ decides how far a surprise travels. In the core:

# %% [markdown] lang="zh"
# ## 3. 功劳归谁？评论家与 GAE
#
# $A_t$ 从哪里来？另有一个网络，叫**评论家**（critic）$V(s)$，它学着预测：从某个状态起，后面还能拿到多少奖励——杆子每多立一步得的一分，
# 或者正在写的这个回答最后的得分。把走这一步之前的预测，同“奖励加上走完之后的预测”一比，就得到这一步带来的意外 $\delta_t$，也叫 TD 误差（TD error）。
# *广义优势估计*（Generalized Advantage Estimation，GAE；Schulman 等，2015，[arXiv:1506.02438](https://arxiv.org/abs/1506.02438)）
# 把每个意外往回分给它之前的各步，每退一步就少分一点：
#
# $$\delta_t = r_t + \gamma V(s_{t+1}) - V(s_t), \qquad A_t = \delta_t + \gamma\lambda\, A_{t+1}$$
#
# $r_t$ 是奖励，$\gamma$ 是对以后奖励的折扣，$\lambda$ 决定意外能往回传多远。在核心代码里就是：

# %%
excerpt(gae, first="rewards = select", last="return advantages")

# %% [markdown] lang="en"
# A row that you can check with a pencil: four tokens, and a score of 2 when the answer is done. Before the first token
# the critic expects 0.8; after the second it has become pessimistic (0.2), after the third it is hopeful again (1.5).

# %% [markdown] lang="zh"
# 先看一行可以用铅笔验算的：四个词元（token），回答写完得 2 分。写第一个词元之前，评论家预期 0.8 分；第二个词元写下后，它变得悲观（0.2）；
# 第三个写下后，又有了希望（1.5）。

# %%
rewards, values = torch.tensor([[0.0, 0.0, 0.0, 2.0]]), torch.tensor([[0.8, 1.0, 0.2, 1.5, 0.0]])
ends, mask = torch.tensor([[False, False, False, True]]), torch.ones(1, 4, dtype=torch.bool)
rows = [["reward", *(f"{x:+.1f}" for x in rewards[0])], ["value before the step", *(f"{x:.1f}" for x in values[0, :4])]]
for lam in (0.0, 0.5, 1.0):
    advantages, _ = gae(rewards, values, ends, mask, gamma=1.0, lam=lam)
    rows.append([f"advantage, λ = {lam:g}", *(f"{x:+.2f}" for x in advantages[0])])
table(["step", "1", "2", "3", "4"], rows)

# %% [markdown] lang="en"
# With $\lambda = 0$ a step gets its own surprise and nothing else: the second token alone is blamed for the critic's
# gloom, the third alone is praised for the recovery. That is precise, and exactly as right as the critic is. With
# $\lambda = 1$ each step gets all that came after it, $2 - V(s_t)$: no trust in the critic's later opinions is needed,
# but the second token shares the praise for what the third put right. Anything between is a compromise: mostly
# facts, smoothed by an opinion.
#
# Now rows that were really played. A critic must have seen something before its opinion is worth looking at. So, as in
# lesson 1, it first watches the starting policy for a while; only the critic's own parameters change. Then we take, in
# each world, the row with the lowest return, and give out the credit three times, with three values of $\lambda$. (In the
# figure: the last steps of the row; ␣ is a space, EOS the end token.)

# %% [markdown] lang="zh"
# $\lambda = 0$ 时，每一步只对自己的意外负责：评论家变悲观，只怪第二个词元；转危为安，只夸第三个。这样很精确，但评论家有多准，它才有多准。
# $\lambda = 1$ 时，每一步得到它之后的一切，也就是 $2 - V(s_t)$：不必相信评论家后来的看法，但第三个词元补救回来的功劳，第二个词元也跟着沾光。
# 取两者之间的值是一种折中：以事实为主，用看法来抚平。
#
# 再看真正玩出来的数据。评论家得先见过世面，它的看法才值得一看。所以和第一课一样，先让它旁观起始策略一阵子，这时只有评论家自己的参数在变。
# 然后在每个世界里挑出回报最低的那一行，用三个不同的 $\lambda$ 各分配一次功劳。（图中是这一行的最后几步；␣ 是空格，EOS 是结束词元。）

# %%
WATCH = {"cartpole": {"rounds": 30, "rate": 5e-3}, "language": {"rounds": 12, "rate": 2e-3}}
credits = []
for name, run in fresh.items():
    network, frozen = new_run(lesson.RECIPE, name).network, run.reference.state_dict()
    critic = [parameter for key, parameter in network.named_parameters() if key not in frozen]
    optimizer = torch.optim.Adam(critic, lr=WATCH[name]["rate"])
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, WATCH[name]["rounds"])
    update = replace(PPO[name].update, beta=0.0, epochs=3, minibatches=16, value_weight=1.0, max_grad_norm=None)
    env, generator = run.world.env(rows=64, steps=PPO[name].steps, seed=SEED), torch.Generator().manual_seed(SEED)
    for _ in progress(range(WATCH[name]["rounds"]), f"critic · {name}"):
        metrics = ppo(network, None, optimizer, rollout(env, network, generator), update, generator)
        schedule.step()

    one = rollout(run.world.examples(64, seed=HELD_OUT), network, generator)
    fits = torch.tensor([drawable(run.world.words(one, row)) for row in range(len(one))])  # the figure's font has them
    row = one.rewards.sum(dim=1).where(fits, torch.inf).argmin().item()
    words = run.world.words(one, row)
    env, where = run.world.examples(64, seed=HELD_OUT), states_shown(one, row)
    truth = true_values(env, network, one, generator, rewards=Rewards(update.gamma), where=where)
    options = {"gamma": update.gamma, "truth": truth, "question": run.world.question(one, row)}
    lines = {}
    for lam in (0, 0.9, 1):
        credit = credit_of(one, row, words, state_values(network, one), lam=lam, **options)
        lines[f"A, λ = {lam}"] = credit.lines["advantage A"]
    values = {name: credit.lines[name] for name in ("value V", "true V")}
    credits.append(replace(credit, lines=values | lines | {"true A": credit.lines["true A"]}))
    print(
        f"{name:<10} critic explains {metrics['explained_variance']:.0%} of the returns   settings: λ = {update.lam:g}"
    )

show(
    microscope(credits, [run.world.title for run in fresh.values()]),
    "Two played rows, with the advantages at λ 0, 0.9, 1.",
)

# %% [markdown] lang="en"
# Each column is a step, with what was done on top; red is below 0 and green above, with one colour scale for both lines of values
# and one for all lines of advantages. The true values are means of 64 games played on from each state, as in lesson 1.
#
# - **λ = 0** shows single surprises: the value's own ups and downs, with the reward added. The deepest red stands where
#   the *critic's* outlook changed; whether the outlook itself did, true V and true A tell.
# - **λ = 0.9** spreads each surprise over the steps before it, the nearer the more. For a pole this is the right idea,
#   since a fall is seldom the fault of the last push alone.
# - **λ = 1** asks only how it ended, compared with what was expected at the time.
#
# How much opinion to mix in depends on how good the critic is, and on how long the rows are. What this course uses is
# printed above the figure. A drive of hundreds of pushes needs a critic to tell them apart; an answer of a dozen tokens
# needs it less.
#
# ### Cut off is not dead
#
# In the excerpt above, the line that begins with `following` holds a distinction that many programs get wrong. A row can
# end in two ways. The pole falls: nothing follows, and the value beyond is 0 (`terminated`). Or we stop watching, after a window of
# steps: the pole still stands, and what follows is worth what the critic says of the last state (the row was *cut off*,
# or truncated). How did the rows of one rollout end?

# %% [markdown] lang="zh"
# 每一列是一步，最上面写着做了什么；红色小于 0，绿色大于 0，两行价值共用一个色标，各行优势共用另一个。
# 真实价值（true V）和第一课一样，是从每个状态接着玩 64 次的平均。
#
# - **λ = 0** 显示一个个单独的意外：价值自己的起落，再加上当步的奖励。最深的红色，就在**评论家眼中**前景发生变化的地方；
#   前景是不是真的变了，要看 true V 和 true A。
# - **λ = 0.9** 把每个意外分摊到它之前的几步上，离得越近，摊得越多。对杆子来说这很合理：倒下很少只怪最后那一推。
# - **λ = 1** 只问最后结果如何，同当时的预期相比。
#
# 该掺进多少“看法”，取决于评论家有多准，也取决于一行有多长。本课程用的值印在图的上方。一次行驶有几百次推动，需要评论家来区分它们；
# 一个回答只有十来个词元，就不那么需要。
#
# ### 截断不是死亡
#
# 在上面的摘录里，以 `following` 开头的那一行，有一个许多程序都弄错的区别。一行数据有两种结束方式。一种是杆子倒了：
# 后面什么都没有，之后的价值是 0（`terminated`，终止）。另一种是我们看够了一个窗口的步数，不再看下去：杆子还立着，后面值多少，
# 由评论家对最后那个状态的估计来说（这一行被*截断*了，truncated）。一批轨迹里，各行都是怎么结束的？

# %%
first = {name: rollout(run.env, run.network, run.generator) for name, run in fresh.items()}
for name, played in first.items():
    died = played.terminated.any(dim=1)
    print(f"{name:<10} {len(played):>3} rows of at most {played.mask.shape[1]} steps:", end=" ")
    print(f"{int(died.sum()):>3} terminated, {int((~died).sum()):>3} cut off")

# %% [markdown] lang="en"
# What if a cut is read as a fall? Take a pole that will stand for ever. One point a step, discounted by $\gamma$, is
# worth $1 + \gamma + \gamma^2 + \dots = 1/(1-\gamma)$ from every step on, and a perfect critic says so. We watch 64 steps
# of it and ask `gae` for the advantage of the last one, in which nothing whatever happened:

# %% [markdown] lang="zh"
# 如果把截断当成倒下，会怎样？设想一根永远不倒的杆子。每步一分，按 $\gamma$ 折扣，从任何一步算起都值
# $1 + \gamma + \gamma^2 + \dots = 1/(1-\gamma)$，完美的评论家也会这样说。我们看它 64 步，再问 `gae`：最后一步（其实什么也没有发生）的优势是多少？

# %%
ones, watched = torch.ones(1, 64), torch.ones(1, 64, dtype=torch.bool)
rows = []
for gamma in (0.98, 0.99):
    worth = torch.full((1, 65), 1 / (1 - gamma))
    last = torch.zeros(1, 64, dtype=torch.bool)
    watched_on, _ = gae(ones, worth, last, watched, gamma=gamma, lam=0.9)
    last[0, -1] = True
    fell, _ = gae(ones, worth, last, watched, gamma=gamma, lam=0.9)
    rows.append(
        [
            f"{gamma}",
            f"{worth[0, 0]:.0f}",
            f"{watched_on[0, -1].abs():.3f}",
            f"{fell[0, -1]:+.1f}",
            f"{fell[0, -10]:+.1f}",
        ]
    )
table(["γ", "1/(1−γ)", "A of step 64, cut off", "A of step 64, read as a fall", "A of step 55, read as a fall"], rows)

# %% [markdown] lang="en"
# Read as a fall, an ordinary push is blamed for the loss of everything that would have followed, and the blame
# leaks back along the row. Read as a cut, its advantage is what it should be: nothing happened.
#
# A **token budget** looks like a window, and is none. When an answer reaches it, the conversation is over: nobody ever
# goes on from there, so the critic never learns what such a state is worth, and whatever it happens to say would be paid
# out unchecked for answers that do not stop. For this reason the language world has `on_cut="terminate"`: the budget is part of the
# task, nothing follows, and the judge sees an answer that lacks its end. This is why no row of language was "cut off" in
# the count above. Rule of thumb: *bootstrap from a state only if the policy will be in it again.*

# %% [markdown] lang="zh"
# 当成倒下来读，平平常常的一推就要为“本来后面会有的一切”负责，这份责备还会沿着这一行往回渗。当成截断来读，优势才是应有的样子：什么也没发生。
#
# **词元预算**（token budget）看上去也像一个窗口，其实不是。回答写到预算用完，对话就结束了：谁也不会从那里接着往下写，评论家也就永远学不到那种状态值多少；
# 它随口说的数，会不经检验地付给那些停不下来的回答。所以语言世界用的是 `on_cut="terminate"`：预算是任务的一部分，后面什么都没有，裁判看到的就是一个没写完的回答。
# 上面的统计里，语言世界没有一行是“截断”（cut off），原因就在这里。一条经验：*只有策略还会再次走到的状态，才可以用它的价值来接续（bootstrap）。*

# %% [markdown] lang="en"
# ## 4. What must not be lost? The anchor
#
# A reward sees a part of what we care about. The judge of the language world pays for an answer that is right and
# polite; the next reward may be paid for length or for a word that a reward model happens to like. Whatever it does not
# see, the policy may spend. So a frozen copy of the policy that we started from, the **reference**
# $\pi_{\text{ref}}$, stays at hand, and every step pays for moving away from it:
#
# $$r'_t = r_t - \beta \, \big( \log \pi(a_t \mid s_t) - \log \pi_{\text{ref}}(a_t \mid s_t) \big)$$
#
# Averaged over the actions that the policy takes, the bracket is the Kullback-Leibler divergence
# $\text{KL}(\pi \,\|\, \pi_{\text{ref}})$, the usual measure of how far two distributions are apart, in nats (bits, but with natural logarithms). On a single action
# it is only an estimate of that, called $k_1$, and may well be negative. $\beta$ is the price: reward points per nat.

# %% [markdown] lang="zh"
# ## 4. 什么不能丢？锚
#
# 奖励只看得见我们在乎的东西的一部分。语言世界的裁判奖励正确而礼貌的回答；换一个奖励，得分的也许是长度，也许是奖励模型（reward model）碰巧喜欢的某个词。
# 凡是奖励看不见的，策略都可能拿去挥霍。所以我们把出发时的策略冻结一份留在手边，叫作**参考策略**（reference）$\pi_{\text{ref}}$；
# 每一步离开它多远，就要付多少钱：
#
# $$r'_t = r_t - \beta \, \big( \log \pi(a_t \mid s_t) - \log \pi_{\text{ref}}(a_t \mid s_t) \big)$$
#
# 对策略自己采取的动作求平均，括号里就是 KL 散度 $\text{KL}(\pi \,\|\, \pi_{\text{ref}})$，衡量两个分布相距多远的常用尺度，单位是奈特（nat，相当于用自然对数来量的比特）。
# 只看一个动作，它不过是 KL 的一个估计，叫作 $k_1$，完全可能是负的。$\beta$ 是价格：每奈特扣多少分。

# %%
display(excerpt(kl_shaped_rewards, first="return rewards - beta"))
display(excerpt(kl_k1, first="return logprobs"))

# %% [markdown] lang="en"
# Why $k_1$, which is noisy, and why in the reward, when a term in the loss would be so handy? Because of its gradient.
# A policy over three actions is small enough to know everything exactly. The first line below is the true gradient of the KL,
# by autograd. The second puts $k_1$ into the *loss* and averages over all three actions. The third treats it as a
# *cost*, as PPO does: a number without gradient that multiplies $\nabla \log \pi$.

# %% [markdown] lang="zh"
# $k_1$ 噪声不小，为什么偏偏用它？放进损失里很方便，为什么偏要放进奖励？原因在它的梯度。只有三个动作的策略足够小，一切都能精确算出。
# 下面第一行是 KL 的真实梯度，由 autograd 求得；第二行把 $k_1$ 放进*损失*，再对三个动作取期望；第三行像 PPO 那样把它当作*代价*：
# 一个不带梯度的数，乘在 $\nabla \log \pi$ 上。

# %%
logits, reference = torch.tensor([0.7, 0.2, 0.1]).log().requires_grad_(), torch.tensor([0.4, 0.4, 0.2]).log()
logprobs = logits.log_softmax(dim=0)
chance, k1 = logprobs.exp(), kl_k1(logprobs, reference)
expectations = {
    "KL itself": (chance * k1).sum(),
    "k1 in the loss": (chance.detach() * k1).sum(),
    "k1 as a cost": (chance.detach() * k1.detach() * logprobs).sum(),
}
print(f"KL = {expectations['KL itself'].item():.4f} nats")
for said, expected in expectations.items():
    (slope,) = torch.autograd.grad(expected, logits, retain_graph=True)
    print(f"{said:<15} gradient  " + "  ".join(f"{x:+.4f}" for x in (slope + 0.0).round(decimals=6).tolist()))

# %% [markdown] lang="en"
# In the loss $k_1$ does *nothing* on average: it shows a plausible number and pulls nowhere. As a cost it is exact. Over
# a whole answer it also does what a term per step cannot: through the advantages, an early token is charged for the
# drift that it makes likely later.
#
# ## 5. The whole update
#
# All pieces are on the table. This is the body of `ppo`, for both worlds:

# %% [markdown] lang="zh"
# 放进损失，$k_1$ 平均下来*什么也不做*：数字看着像那么回事，却不往任何方向拉。作为代价，它分毫不差。对整个回答来说，它还能做到逐步的损失项做不到的事：
# 前面的词元让后面更容易偏离，这笔账会通过优势算到前面的词元头上。
#
# ## 5. 完整的更新
#
# 零件都齐了。下面是 `ppo` 的主体，两个世界共用：

# %%
excerpt(ppo, first="check_reference", last="return mean_metrics")

# %% [markdown] lang="en"
# - `minibatches` shuffles the rows into minibatches.
# - `played_batch` does sections 3 and 4, once, before anything is learnt: old log-probabilities, the reference's, shaped
#   rewards, advantages (brought to mean 0 and standard deviation 1), and *returns*, advantage plus value, which the
#   critic learns to predict.
# - `diagnose` stops the run if the network that learns is not the one that played.
# - `optimizer_step` is one step down `_loss` on one minibatch: section 2's objective, plus the critic's squared error.
#
# One function knows that there are two kinds of network, `learning_rows`: `as_steps() if network.memoryless`. The pole's network answers each
# observation on its own, so its steps can be shuffled one by one. The language model answers *in context*; a token torn out of
# its sentence would be another question, so rows stay whole. And cutting, it turns out, changes the shape and nothing else:

# %% [markdown] lang="zh"
# - `minibatches` 把各行打乱，分成小批（minibatch）。
# - `played_batch` 把第 3、4 节的事一次做完，这时还什么都没学：旧的对数概率、参考策略的对数概率、扣过 KL 的奖励、优势（调整到均值 0、标准差 1），
#   以及*回报*（return），即优势加价值，供评论家学习预测。
# - `diagnose` 检查正在学习的网络是不是当初参加对局的那一个，不是就停下。
# - `optimizer_step` 在一个小批上沿 `_loss` 走一步：第 2 节的目标，再加上评论家的平方误差。
#
# 只有一个函数 `learning_rows` 知道网络分两种：`as_steps() if network.memoryless`。杆子的网络对每个观测单独作答，所以可以把各步拆开打乱；语言模型要*看着上文*作答，
# 从句子里撕下来的词元就成了另一道题，所以整行不拆。而“拆”，其实只改变形状，别的什么都不变：

# %%
display(excerpt(Episodes.as_steps, first="live = self.mask", last="return type(self)"))
rows = []
for name, played in first.items():
    run, update = fresh[name], PPO[name].update
    learnt = played.episodes().as_steps() if run.network.memoryless else played.episodes()
    rows.append([
        run.world.title,
        "×".join(map(str, played.mask.shape)),
        f"{int(played.mask.sum()):,}",
        "×".join(map(str, learnt.mask.shape)),
        f"{update.epochs} × {update.minibatches}",
        f"{len(learnt) / update.minibatches:g}",
    ])  # fmt: skip
table(
    ["world", "played B×T", "live steps", "learnt from, rows×steps", "epochs × minibatches", "rows a minibatch"], rows
)

# %% [markdown] lang="en"
# Is it really one algorithm? A tracer notes each function of `rl_core` (adapters aside) that runs during one iteration
# of the training loop, in each world.

# %% [markdown] lang="zh"
# 真的是同一个算法吗？用一个跟踪器，在两个世界里各跑一轮训练循环，记下 `rl_core` 中（适配器除外）执行过的每一个函数。

# %%
used = {
    name: functions_used(lambda name=name: next(lesson.train(new_run(lesson.RECIPE, name, rows=8)))) for name in NAMES
}
shared = set.intersection(*used.values())
print(f"{len(shared)} functions run in both worlds, among them")
for name in ("ppo", "played_batch", "gae", "kl_shaped_rewards", "clipped_surrogate", "value_loss"):
    print("   ", next(said for said in sorted(shared) if said.split(": ")[1] == name))
for name in NAMES:
    print(f"only {name}: {', '.join(sorted(used[name] - shared)) or 'none'}")

# %% [markdown] lang="en"
# (What runs in one world only belongs to `as_steps`, and to rows that were cut off, of which there were none among these
# answers.)
#
# ## 6. Predict first
#
# Write down your guesses before you run on; a wrong guess is worth more than a right one. The numbers that stand here
# are only there so that the notebook runs by itself. **Change them.**
#
# - After training: how many of at most 500 steps will the pole stand? What share of the answers will still be rude?
# - How far will each policy have moved, in nats of KL over a *whole episode*? For a feeling: a policy that answers a
#   question with certainty where the reference was undecided between two answers has moved by $\log 2 \approx 0.7$ nats.
# - In section 8 we take the clip away and triple the learning rate. How long will the pole stand then, and what share of
#   the answers will still be right?

# %% [markdown] lang="zh"
# （只在一个世界里执行的那几个，是为了 `as_steps`，以及被截断的行；这里的回答没有一个被截断。）
#
# ## 6. 先预测
#
# 往下运行之前，先写下你的猜测；猜错比猜对更有收获。下面现成的数字，只是为了让笔记本能自动跑完。**请改成你自己的。**
#
# - 训练之后：杆子在最多 500 步里能立多少步？还有多大比例的回答是粗鲁的？
# - 两个策略各会走多远？以*一整个回合*（episode）的 KL 计，单位是奈特。给你一点感觉：参考策略在两个回答之间举棋不定，
#   而新策略只选其中一个，这就走了 $\log 2 \approx 0.7$ 奈特。
# - 第 8 节会拿掉裁剪，并把学习率提高到三倍。到那时，杆子能立多少步？还有多大比例的回答是对的？

# %%
predicted = {
    ("cartpole", "sampled_return", "after training"): 300,
    ("language", "rude", "after training"): 0.10,
    ("cartpole", "kl", "of an episode, after training"): 5.0,
    ("language", "kl", "of an episode, after training"): 5.0,
    ("cartpole", "sampled_return", "without the clip"): 300,
    ("language", "right", "without the clip"): 0.80,
}

# %% [markdown] lang="en"
# ## 7. Both worlds learn
#
# The loop is a handful of lines, and one function object for both worlds. In the first iterations (`next_update`) the policy
# is frozen, and the critic alone learns, with several passes over each rollout: its *warm-up*.

# %% [markdown] lang="zh"
# ## 7. 两个世界一起学
#
# 循环只有寥寥几行，两个世界用的是同一个函数对象。最初几轮（`next_update`）策略冻结不动，只有评论家在学，每批轨迹学好几遍，
# 这叫*预热*（warm-up）。

# %%
display(excerpt(lesson.train, first="while run.iteration", last="yield"))
runs = {name: new_run(lesson.RECIPE, name, iterations=ITERATIONS[name]) for name in NAMES}
records = {name: finish(run) for name, run in runs.items()}

# %%
QUANTITIES = [
    ("return", "return\n(recent episodes)"),
    ("kl_per_episode", "KL to the start\n(nats per episode)"),
    ("clip_fraction", "share of steps\nbeyond the clip"),
    ("explained_variance", "returns explained\nby the critic"),
]
figure, grid = panels(len(QUANTITIES), 2, height=7.4, sharex="col")
for column, (name, rows) in enumerate(records.items()):
    for axes, (quantity, label) in zip(grid[:, column], QUANTITIES, strict=True):
        curve(axes, rows, quantity, COLOUR[name])
        axes.axhline(0, color=INK, lw=0.6)
        if quantity == "explained_variance":
            axes.set_ylim(-0.25, 1.05)
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        if column == 0:
            axes.set_ylabel(label, color=INK, fontsize=9)
    grid[0, column].set_title(runs[name].world.title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    grid[-1, column].set_xlabel(f"live {runs[name].world.step_name}s", color=INK, fontsize=9)
show(figure, "Return, KL, clipped share and explained variance against live steps, in both worlds.")

# %% [markdown] lang="en"
# Read the curves from the top:
#
# - **Return** rises. It is the mean of the latest episodes that ended, as many as there are rows, so it trails behind the policy; long drives take
#   long to end.
# - **KL** begins at exactly 0, since at the start the policy *is* the reference. Mind the two scales. A pole's episode has up to
#   500 steps, and nothing in its settings charges for moving ($\beta = 0$). An answer pays for every nat ($\beta > 0$).
#   (It is the KL of a step times the mean length of those episodes, so it trails as well.)
# - **Beyond the clip** are steps that had used up their leash. Their share shrinks as the learning rate falls.
# - **The critic** begins knowing nothing; 1 would be a critic who foresees every return. A pole's has much to learn, since a lean is a
#   bad sign. In an answer little can be foreseen before the tone is out. And success takes its subject away: when hardly a pole falls,
#   or all answers are alike, there is nothing left to explain. Below 0 is worse than always saying the mean.
#
# So much for what training sees. The truth is what the judge says of new starts and unseen questions:

# %% [markdown] lang="zh"
# 从上往下读：
#
# - **回报**（return）在上升。它是最近结束的若干回合（个数等于行数）的平均，所以总比策略本身慢一拍；杆子立得越久，一个回合就结束得越晚。
# - **KL** 恰好从 0 开始，因为一开始策略*就是*参考策略。注意两边的刻度：杆子的一个回合最多有 500 步，而它的设置里走远不收钱（$\beta = 0$）；
#   写回答时，每偏离一奈特都要扣分（$\beta > 0$）。（它是每步的 KL 乘以那些回合的平均长度，所以同样会慢一拍。）
# - **超出裁剪范围**（beyond the clip）的，是绳子已经用到头的那些步。学习率逐渐降低，它们的比例也随之变小。
# - **评论家**一开始什么都不知道；1 表示每个回报都料得中。杆子的评论家可学的很多：倾斜就是坏兆头。回答这边，语气露出来之前没多少能预料的。
#   而且成功会让它无事可做：杆子几乎不倒了，或者各个回答都差不多了，也就没什么可以解释的。低于 0，就是还不如永远报平均值。
#
# 以上是训练中看到的。真实水平，要看裁判对新的起点、没见过的问题怎么说：

# %%
after = {name: take_snapshot(run, seed=HELD_OUT, quick=True) for name, run in runs.items()}
for name, run in runs.items():
    old, new = before[name].results, after[name].results
    display(
        table([run.world.title, "before", "after"], [[key, told(run, old, key), told(run, new, key)] for key in new])
    )
for (name, quantity, when), guess in predicted.items():
    if when != "without the clip":
        compare(f"{name}: {quantity} {when}", guess, after[name].results[quantity])

# %% [markdown] lang="en"
# And the same starts, before and after. The film shows three drives before training (above) and after (below), at twice
# their real speed; grey means fallen. The table shows twelve questions.

# %% [markdown] lang="zh"
# 再看同样的起点，训练之前和之后。影片上排是训练前的三次行驶，下排是训练后的，以两倍速播放；变灰就是倒了。表格里是十二个问题。

# %%
with TemporaryDirectory() as folder:
    for name, run in runs.items():
        page = run.world.show(before[name].played, after[name].played, Path(folder))
        film = f'<img alt="{name}" width="820" src="data:image/gif;base64,{b64encode(page.read_bytes()).decode()}">'
        display(HTML(film) if page.suffix == ".gif" else Markdown(page.read_text("utf-8")))

# %% [markdown] lang="en"
# ## 8. Take the guards away
#
# ### Without the clip
#
# First a single update, looked at closely. From one and the same start we play one rollout, and learn from it with
# `clip=0.2` and with `clip=None`, both in a hurry: at three times the usual learning rate. Then we ask `evaluate_actions` once
# more about the same actions. Each of them now has a ratio. Where are they? (Both axes are logarithmic.)

# %% [markdown] lang="zh"
# ## 8. 拆掉保护
#
# ### 没有裁剪
#
# 先凑近看一次更新。从同一个起点采样一批轨迹，分别用 `clip=0.2` 和 `clip=None` 来学，两边都赶时间：学习率是平时的三倍。
# 然后用 `evaluate_actions` 再问一次同样的动作。每个动作都有了一个比率，它们都落在哪里？（两条轴都是对数刻度。）

# %%
FAST = {name: 3 * PPO[name].learning_rate for name in NAMES}
ratios = {}
for name in NAMES:
    for clip in (0.2, None):
        run = new_run(lesson.RECIPE, name, learning_rate=FAST[name], warmup=0, update={"clip": clip})
        played = rollout(run.env, run.network, run.generator)
        with torch.no_grad():
            old = evaluate_actions(run.network, played.episodes()).logprobs
        ppo(run.network, run.reference, run.optimizer, played, run.config.update, run.generator)
        with torch.no_grad():
            now = evaluate_actions(run.network, played.episodes()).logprobs
        ratios[name, clip] = (now - old)[played.mask].exp()

figure, grid = panels(1, 2, height=3.3)
bins = torch.linspace(-4, 4, 81)
for axes, name in zip(grid[0], NAMES, strict=True):
    axes.axvspan(torch.tensor(0.8).log2(), torch.tensor(1.2).log2(), color=PALE, lw=0)
    for clip, style in (
        (0.2, {"color": COLOUR[name], "alpha": 0.75, "label": "clip 0.2"}),
        (None, {"histtype": "step", "color": BAD, "lw": 1.6, "label": "no clip"}),
    ):
        inside = ratios[name, clip].log2().clamp(-3.99, 3.99)
        axes.hist(inside, bins=bins, weights=torch.full_like(inside, 1 / len(inside)), **style)
    axes.set_yscale("log")
    axes.set_xticks(range(-4, 5, 2), ["≤1/16", "1/4", "1", "4", "≥16"])
    axes.set_title(fresh[name].world.title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    axes.set_xlabel(r"ratio $\rho$ after one update", color=INK, fontsize=9)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
grid[0, 0].set_ylabel("share of steps", color=INK, fontsize=9)
show(figure, "Histograms of the ratios after one update, with the clip and without, in both worlds.")
for (name, clip), ratio in ratios.items():
    outside = ((ratio - 1).abs() > 0.2).float().mean()
    print(
        f"{name:<10} clip {clip!s:<5} outside 0.8..1.2: {outside:6.1%}   largest {ratio.max():8.2f}   smallest {ratio.min():.2g}"
    )

# %% [markdown] lang="en"
# - With the clip, ratios *do* leave the grey band: it is a leash, and no wall. Rude words even become very rare at once,
#   everywhere: many answers push against the same few words, and each step moves all of them.
# - Without it, the pole's ratios go as far as the optimizer takes them. Many pushes are
#   all but ruled out after a single update.
# - Most tokens of an answer hardly move either way: after "The capital of France" there is not much to decide. With the
#   clip and without it the answers' ratios look much alike: each answer is learned from once, and no second pass takes a
#   step further that has already had its share.
#
# Now whole runs, still at three times the usual learning rate, and with nothing different but the clip. Several seeds, since one run
# proves little.

# %% [markdown] lang="zh"
# - 有裁剪时，比率*确实*也会离开灰色区域：它是绳子，不是墙。粗鲁的词甚至一下子就到处变得非常罕见：许多回答都在压同样的几个词，而每一步优化都会牵动所有回答。
# - 没有裁剪，优化器能把杆子的比率带多远，它们就走多远：仅仅一次更新，许多推法就几乎被彻底排除了。
# - 无论有没有裁剪，回答里的大多数词元几乎不动：写下“法国的首都是”之后，本来就没有多少可选的。有没有裁剪，回答的比率也差不多：
#   每个回答只学一遍，没有第二遍把已经走够的一步再往前推。
#
# 再看完整的训练，学习率仍是平时的三倍，除了裁剪，别的一概不变。一次训练说明不了什么，所以多用几个随机种子。

# %%
ABLATION = {"cartpole": {"iterations": 40, "seeds": (0, 1, 2)}, "language": {"iterations": 8, "seeds": (0, 1)}}
TOLD = {"cartpole": ("sampled_return", "kl"), "language": ("score", "right", "polite", "rude", "kl")}


def train(name, **changes):
    """Return the records of a whole run, and the held-out evaluation of what came out of it."""
    run = new_run(lesson.RECIPE, name, **({"iterations": ITERATIONS[name]} | changes))
    return finish(run), run.world.evaluate(run.network, seed=HELD_OUT, quick=True)


torn = {}
for name in NAMES:
    for clip in (0.2, None):
        for seed in ABLATION[name]["seeds"]:
            changes = {
                "iterations": ABLATION[name]["iterations"],
                "learning_rate": FAST[name],
                "update": {"clip": clip},
            }
            torn[name, clip, seed] = train(name, seed=seed, **changes)

figure, grid = panels(2, 2, height=4.8, sharex="col")
for (name, clip, seed), (rows, _) in torn.items():
    column = NAMES.index(name)
    style = {"color": COLOUR[name], "lw": 2} if clip else {"color": BAD, "lw": 1.4, "ls": (0, (4, 1.5))}
    label = None if seed != SEED else ("clip 0.2" if clip else "no clip")
    for axes, quantity in zip(grid[:, column], ("return", "kl_per_episode"), strict=True):
        points = [(row["iteration"], row[quantity]) for row in rows if row[quantity] is not None]
        axes.plot(*zip(*points, strict=True), label=label, **style)
    grid[0, column].legend(frameon=False, fontsize=9, labelcolor=INK)
    grid[0, column].set_title(fresh[name].world.title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    grid[1, column].set_xlabel("iteration", color=INK, fontsize=9)
grid[0, 0].set_ylabel("return\n(recent episodes)", color=INK, fontsize=9)
grid[1, 0].set_ylabel("KL to the start\n(nats per episode)", color=INK, fontsize=9)
show(
    figure, "Return and KL at three times the learning rate, with the clip and without it, several seeds, both worlds."
)

for name in NAMES:
    rows = []
    for (world, clip, seed), (history, evaluation) in torn.items():
        if world == name:
            gap, entropy = max(row["ratio_gap"] for row in history), history[-1]["entropy"]
            cells = [f"{evaluation[key]:z.2f}" for key in TOLD[name]]
            rows.append([f"{clip}", f"{seed}", *cells, f"{entropy:.3f}", f"{gap:.3g}"])
    display(table([f"{name}: clip", "seed", *TOLD[name], "entropy, last", "largest ratio gap"], rows))
for (name, quantity, when), guess in predicted.items():
    if when == "without the clip":
        stage_results = [
            evaluation for (world, clip, _), (_, evaluation) in torn.items() if (world, clip) == (name, None)
        ]
        compare(f"{name}: {quantity} {when}", guess, mean([evaluation[quantity] for evaluation in stage_results]))

# %% [markdown] lang="en"
# **What the clip is good for.** Solid lines have it, dashed lines have not; each line is a seed. (The ratio gap is the
# largest $|\rho - 1|$ of any step in a minibatch, as a mean over each update.)
#
# - **The pole collapses without it**, or at best limps behind. A few lucky pushes are promised the earth, the policy follows, and soon it is certain
#   of everything it does: its entropy, which measures indecision, is next to nothing. There it is stuck. A policy that
#   always does the same has nothing to compare, and learns nothing any more, however badly it fares. With the clip, most
#   runs live through the same haste; the table tells which did not.
# - **In the language model no difference is seen.** Look at the table: the runs with the clip are no better than those without.
#   Each answer is learned from once, the ratios stay near 1 of themselves, and the clip has little to do.
#
# It is a seat belt: it shows its worth when something goes wrong, and it is why a bold learning rate and several passes over
# one rollout, as in CartPole, can be tried at all.
#
# ### Without the anchor
#
# Now the price $\beta$ of moving away from the start, at three levels, the same in both worlds: nothing, what the
# language world's settings ask for, and a lot. Everything else is as in section 7, whose runs we use again. In the figure
# each run is a point: how far it went, and what it was worth to the judge. The circle is where all of them started.
#
# For the language model one can even say how far it *has to* go. If the shares of polite, plain and rude answers change
# from $q$ to $p$, the KL of whole answers is at least $\sum p \log (p/q)$: a tone is computed from an answer, and
# computing never brings distributions further apart. The bar left of a point ends at this lower bound. Every nat of it is
# drift, for which the judge has not paid.

# %% [markdown] lang="zh"
# **裁剪有什么用？** 实线有裁剪，虚线没有，每条线是一个随机种子。（表中的 ratio gap 是一个小批里最大的 $|\rho - 1|$，在每次更新内取平均。）
#
# - **没有它，杆子垮了**，最好的情形也只是一瘸一拐地落在后面。几次碰巧走运的推动得到了天大的许诺，策略便跟着走，很快就对自己做的一切深信不疑：衡量犹豫程度的熵（entropy）几乎为零。
#   然后它就卡在那里了。永远做同样动作的策略，没有东西可比较，结果再糟也学不到任何东西。有了裁剪，同样的冒进大多能挺过来；没挺过来的，表里看得到。
# - **语言模型看不出差别。** 看表：有裁剪的并不比没有的好。每个回答只学一遍，比率自己就在 1 附近，裁剪没有多少事可做。
#
# 它像安全带：出事的时候才显出价值；正因为有它，才敢用大胆的学习率，才敢像倒立摆那样把同一批轨迹多学几遍。
#
# ### 没有锚
#
# 再来看离开起点的价格 $\beta$。两个世界都用同样的三档：不收钱、语言世界设置里的价格、很贵。其余与第 7 节相同，那一节的训练结果直接拿来用。
# 图中每个点是一次训练：横轴是走了多远，纵轴是裁判给了多少分；圆圈是它们共同的起点。
#
# 对语言模型，我们甚至说得出它*至少*要走多远。如果礼貌、平淡、粗鲁三种回答的比例从 $q$ 变成 $p$，那么整个回答的 KL 至少是 $\sum p \log (p/q)$：
# 语气是由回答算出来的，而计算不会让两个分布离得更远。点左边的横条就画到这个下界为止，横条上的每一奈特都是漂移，裁判没有为它付过钱。

# %%
BETAS = (0.0, PPO["language"].update.beta, 1.0)
AGAIN = {"cartpole": (0, 1, 2), "language": (0,)}
priced = {}
for name in NAMES:
    for beta in BETAS:
        for seed in AGAIN[name]:
            is_done = beta == PPO[name].update.beta and seed == SEED  # in section 7
            found = (records[name], after[name].results) if is_done else train(name, seed=seed, update={"beta": beta})
            priced[name, beta, seed] = found[1]

figure, grid = panels(1, 2, height=3.4)
for axes, name in zip(grid[0], NAMES, strict=True):
    worth = TOLD[name][0]
    axes.plot(0, before[name].results[worth], "o", ms=9, mfc="white", mec=INK, mew=1.4, clip_on=False)
    for (world, beta, seed), evaluation in priced.items():
        if world == name:
            least = fresh[name].world.bounds(before[name].results, evaluation).get("least_kl", evaluation["kl"])
            colour = {BETAS[0]: BAD, BETAS[1]: COLOUR[name], BETAS[2]: INK}[beta]
            label = f"β = {beta:g}" if seed == SEED else None
            axes.plot(
                [least, evaluation["kl"]],
                [evaluation[worth]] * 2,
                color=colour,
                alpha=0.35,
                lw=4,
                solid_capstyle="butt",
            )
            axes.plot(evaluation["kl"], evaluation[worth], "o", ms=9, color=colour, label=label)
    axes.set_title(fresh[name].world.title, loc="left", color=COLOUR[name], fontsize=11, weight="bold")
    axes.set_xlabel("KL to the start (nats per episode)", color=INK, fontsize=9)
    axes.set_ylabel(worth.replace("_", " "), color=INK, fontsize=9)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")
show(figure, "What each run was worth against how far it went, for three prices of going, both worlds.")

for name in NAMES:
    rows = []
    for (world, beta, seed), evaluation in priced.items():
        if world == name:
            rows.append([f"{beta:g}", f"{seed}", *(f"{evaluation[key]:z.2f}" for key in TOLD[name])])
    display(table([f"{name}: β", "seed", *TOLD[name]], rows))

# %% [markdown] lang="en"
# **The pole.** The price does what a price does: on the whole, the higher it is, the less far the policy goes. And there is nothing to
# be had for it. A pole's reward says everything that we want of it, so there is nothing that needs protection; driving better *means*
# driving otherwise than the mediocre driver that it was cloned from, and the price stands in the way of just that: some priced runs end lower, none higher. So its settings have $\beta = 0$.
#
# **The language model.** Without the anchor it goes further than at the usual price, and in a run as short as this one (one seed) the
# answers are as good either way. At the high price fewer answers become polite, which is not a failure of learning, but what was asked for:
# the policy that maximises score minus $\beta \cdot \text{KL}$ is
#
# $$\pi^*(y) \;\propto\; \pi_{\text{ref}}(y)\; e^{\,\text{score}(y) / \beta}$$
#
# for a whole answer $y$: the reference, tilted by the score. So at $\beta = 1$ we know where the run should end. Take the shares of the tones
# before, and let a right answer be worth 2 when polite, 1 when plain, 0 when rude:

# %% [markdown] lang="zh"
# **杆子。** 价格起了价格该起的作用：总的来说，越贵，策略走得越近。但花了这笔钱，什么也换不来。杆子的奖励已经说出了我们想要的一切，没有什么需要保护；
# 开得更好，*就是*要和当初克隆的那位平庸司机开得不一样，而价格碍着的恰恰是这个：付了价的，有几次最后立得短些，没有一次立得更长。所以它的设置是 $\beta = 0$。
#
# **语言模型。** 没有锚，它比用平时的 β 走得更远；这次训练很短（只有一个种子），两种情形下回答一样好。价格很高时，变礼貌的回答就少一些。
# 这不是没学好，而是我们要的就是这个：使“分数减去 $\beta \cdot \text{KL}$”最大的策略是
#
# $$\pi^*(y) \;\propto\; \pi_{\text{ref}}(y)\; e^{\,\text{score}(y) / \beta}$$
#
# 其中 $y$ 是整个回答：它就是参考策略，只是按分数做了倾斜。所以 $\beta = 1$ 时，我们事先就知道训练该停在哪里。取训练前各种语气的比例，
# 再按正确的回答计分：礼貌 2 分，平淡 1 分，粗鲁 0 分：

# %%
scores, shares = (
    torch.tensor([2.0, 1.0, 0.0]),
    [before["language"].results[tone] for tone in ("polite", "plain", "rude")],
)
optimum = (torch.tensor(shares).log() + scores / BETAS[2]).softmax(dim=0)
for place, tone in enumerate(("polite", "plain", "rude")):
    measured = priced["language", BETAS[2], SEED][tone]
    print(
        f"{tone:<7} before {shares[place]:.0%}   best at β = {BETAS[2]:g}: {optimum[place]:.0%}   measured {measured:.0%}"
    )

# %% [markdown] lang="en"
# No learner, however good, could have done otherwise without losing more than it gains (up to the few answers that are wrong, and chance).
#
# Why insist on the anchor, if drifting has cost so little here? Because this judge is a program that forgives nothing: whatever it pays for really is
# right and polite. A judge that was *learnt* can be fooled, and the more so, the farther a policy moves from the answers
# that this judge was taught with. How that ends is a lesson of its own (reward hacking).

# %% [markdown] lang="zh"
# 再高明的学习者，要想偏离这个结果，失去的也会多于得到的（只差少数答错的情况，以及偶然）。
#
# 既然在这里漂移几乎没有代价，何必还要坚持用锚？因为这里的裁判是一个毫不通融的程序，它给高分的回答就真的正确而且礼貌。而*学出来*的裁判是会上当的；
# 策略离它学习时见过的回答越远，就越容易让它上当。那会怎样收场，要另用一课来讲（奖励作弊，reward hacking）。

# %% [markdown] lang="en"
# ### Without the critic
#
# Last, the critic. Taken away, it leaves every state worth 0 (`V := 0`): an advantage is then the return itself, less the
# mean of the rollout. Or let it begin untaught, without the turns at the start in which it alone learns (*no warm-up*). Or
# change $\lambda$. These are whole runs, too many for a lesson: `python -m benchmarks.critic` makes them again. All of
# them give the policy the same turns.
#
# *Explained* is the share of the variance of unseen episodes' returns that the critic foresees: *at first*, before the policy's
# first step; *half way up*, where the policy has come half of the way to its target; and *at the end*. *Gradients agree* is the mean cosine between the policy's gradients from
# eight rollouts, before its first step: 1 where all point one way, 0 where chance alone decides. Medians over the seeds,
# and the range in brackets.

# %% [markdown] lang="zh"
# ### 没有评论家
#
# 最后轮到评论家。把它拿掉，每个状态就都值 0（`V := 0`），优势就是回报本身，再减去整批轨迹的均值。或者让它毫无准备就上场：省掉开头只有它学习的那几轮预热
# （no warm-up）。再或者换一个 $\lambda$。这些都是完整的训练，一课里跑不完，用 `python -m benchmarks.critic` 可以重做。各种做法里，策略学习的轮数完全相同。
#
# explained：对没见过的回合，评论家预见了回报方差的多大比例；at first：策略迈出第一步之前；half way up：策略离目标还剩一半路的时候；at the end：训练结束时。gradients agree：策略迈出第一步之前，
# 由八批轨迹各算一个策略梯度，两两余弦的平均：1 表示全都指向同一个方向，0 表示全凭偶然。数字是各种子的中位数，括号里是范围。

# %%
STORED = Path(lesson.__file__).resolve().parents[1] / "benchmarks" / "critic.json"
whole_runs = json.loads(STORED.read_text(encoding="utf-8"))["results"]

for name in NAMES:
    rows = []
    for variant in dict.fromkeys(one["variant"] for one in whole_runs if one["world"] == name):
        group = [one for one in whole_runs if (one["world"], one["variant"]) == (name, variant)]
        explained = [
            spread([one["explained_variance"].get(when) for one in group])
            for when in ("at first", "half way up", "at the end")
        ]
        rows.append(
            [variant, f"{len(group)}", *explained, spread([one["agreement"] for one in group])]
            + [spread([one["steps_to_solved"] for one in group], ",.0f")]
            + [spread([one["after"][key] for one in group]) for key in TOLD[name][:2]]
        )
    head = ["seeds", "explained at first", "half way up", "at the end", "gradients agree", "steps to the targets"]
    display(table([name, *head, *TOLD[name][:2]], rows))

# %% [markdown] lang="en"
# **The pole needs its critic.** A row is cut off after 64 steps, and beyond the cut only a critic knows that the pole still
# stands. Without one, none of five runs arrives. (At the end all poles stand, all returns are equal, and there is nothing
# left to explain.) With the warm-up the first gradients agree better; in the steps to the goal nothing of it is seen.
#
# **The answers do not.** They are short, none is cut off, and the whole return is known: without a critic the score is the
# same, and the targets are reached sooner, since the turns of the warm-up are saved: the column of steps has it on every seed of
# `no warm-up` against `warm-up`. A warmed-up critic does foresee nearly half of what can differ, before the policy's
# first step; an untaught one foresees nothing half way up. What that changes, with a smaller $\lambda$, is the noise: the
# gradients agree better. In the score nothing of it is seen. Lesson 7 takes the critic away for good, and puts a group of
# answers to one question in its place.

# %% [markdown] lang="zh"
# **杆子离不开评论家。** 每行在 64 步后截断，截断之后杆子仍然立着，只有评论家知道。没有它，五个种子无一达标。
# （到训练结束时所有杆子都立着，回报全都一样，也就没有什么可解释的了。）预热过，最初的梯度彼此更一致；达标要走的步数却看不出差别。
#
# **回答用不着它。** 回答很短，没有一个被截断，整个回报都是已知的：不要评论家，得分一样，达标反而更早，因为省下了预热的几轮：比较“no warm-up”和“warm-up”两行的步数，每个种子都是如此。预热过的评论家，在策略迈出第一步之前就能预见回报方差的近一半；不预热的，爬到一半时还什么都预见不了。配上更小的 $\lambda$，这改变的是噪声：
# 梯度彼此更一致；得分上看不出来。第 7 课会把评论家彻底拿掉，换上对同一个问题的一组回答。

# %% [markdown] lang="en"
# ## 9. What usually goes wrong
#
# PPO has a name for being hard to get right. The bugs below are the usual ones. None of them crashes by itself; each only makes learning worse, quietly.
# Most of them show up in a number that should be something simple, so this core computes that number and stops if it is not.
#
# | trap | how it looks | what the code does |
# |---|---|---|
# | dropout still on, or another numerical path for old and new | the first ratio, before any learning, is not 1 | `ppo` computes "old" itself, in the very minibatches it learns from first, and raises if `first_ratio` is off |
# | temperature or top-k while sampling only; stale weights; KV cache in low precision | the policy that played is not the one that learns | `sampler_gap` is measured in every update and limited to `max_sampler_gap` |
# | advantages normalised with the padding | the mean of the live steps is not 0; short answers are judged by the length of their neighbours | `normalize(x, mask)` sees live cells only |
# | the end token left out of the mask | answers get longer and longer, and never stop | the end is an action: it is in `actions`, in `mask`, in the loss |
# | the mask applied after `exp` | NaN from a cell that nobody looks at | `select(x, mask)` comes before any arithmetic |
# | cut off taken for dead, or a budget for a window | section 3 | `terminated` is a field of its own, and `on_cut` is a choice with a name |
# | $k_1$ in the loss | a plausible number, and no effect | section 4 |
#
# The two guards, over all iterations of section 7:

# %% [markdown] lang="zh"
# ## 9. 常见的错误
#
# 大家都说 PPO 难写对。下面是最常见的几种错误，它们自己都不会让程序崩溃，只会悄悄地让学习变差。好在多数错误会让某个本该很简单的数变得不对，
# 所以这里的核心代码会算出这个数，不对就停下。
#
# | 陷阱 | 表现 | 代码怎么做 |
# |---|---|---|
# | 忘了关 dropout，或者新旧概率走了不同的数值路径 | 还没开始学，第一个比率就不是 1 | `ppo` 自己计算“旧”概率，而且就在最先学习的那些小批里算；`first_ratio` 不对就报错 |
# | 只在采样时用温度或 top-k；权重没有同步；低精度的 KV 缓存 | 参加对局的策略不是正在学习的策略 | 每次更新都测 `sampler_gap`，超过 `max_sampler_gap` 就报错 |
# | 把填充也算进优势的归一化 | 有效步的均值不为 0；短回答的好坏取决于同伴的长短 | `normalize(x, mask)` 只看有效的格子 |
# | 结束符没有算进 mask | 回答越写越长，永远停不下来 | 结束也是动作：它在 `actions` 里，在 `mask` 里，也在损失里 |
# | 先 `exp` 再用 mask | 没人看的格子里冒出 NaN | 先 `select(x, mask)`，再做任何运算 |
# | 把截断当作倒下，或者把预算当作窗口 | 见第 3 节 | `terminated` 单独成一个字段；`on_cut` 是一个有名字的选择 |
# | 把 $k_1$ 放进损失 | 数字像那么回事，却毫无作用 | 见第 4 节 |
#
# 两道检查在第 7 节全部迭代中的最大值：

# %%
for name in NAMES:
    first_ratio = max(abs(row["first_ratio"] - 1) for row in records[name])
    sampler_gap = max(row["sampler_gap"] for row in records[name])
    print(f"{name:<10} |first ratio - 1| <= {first_ratio:.0e}   sampler gap <= {sampler_gap:.0e} nats")

# %% [markdown] lang="en"
# ## Quiz
#
# Answer first, then unfold.
#
# <details><summary>1. A = −1, ρ = 0.7, ε = 0.2. What is J, and what is its slope?</summary>
#
# min(0.7 × (−1), 0.8 × (−1)) = min(−0.7, −0.8) = −0.8, and the slope is 0: a bad step that is already rarer by more than its leash.
# </details>
#
# <details><summary>2. A = +2, ρ = 0.7, ε = 0.2. And here?</summary>
#
# min(1.4, 1.6) = 1.4, and the slope is 2, undiminished: a good step that has become rarer by mistake finds its way back.
# </details>
#
# <details><summary>3. An answer of five tokens gets a score of 2. The critic said 1 before each of its tokens; γ = 1. What are the advantages with λ = 1 and with λ = 0?</summary>
#
# λ = 1: return minus value, +1 for every token. λ = 0: the TD errors, 0 for the first four tokens and 2 − 1 = +1 for the last.
# </details>
#
# <details><summary>4. A pole's row ends after a window of 64 steps. An answer ends at its token budget. What is the value of what comes after, and why not the same?</summary>
#
# The pole's is the critic's V of the last state: the pole still stands, and the next rollout goes on from there, so this value is learnt. The answer's is 0: nobody
# ever goes on from there, so a value would never be learnt, and the policy would be paid with a number that nothing checks.
# </details>
#
# <details><summary>5. A token's k₁ is −1.2. Does the anchor reward or punish it, and is that a mistake?</summary>
#
# It rewards it, by 1.2 β: the policy takes this token less often now than the reference does. That is no mistake. A single k₁ may have any sign; only
# its mean over the policy's own tokens is the KL, which is never negative.
# </details>
#
# <details><summary>6. In the first minibatch of an update, would clip=0.01 give another gradient than clip=None?</summary>
#
# No. Every ratio is exactly 1 there, inside of any band. The clip acts from the second step on. (This is also why a single pass with a single minibatch needs no clip.)
# </details>

# %% [markdown] lang="zh"
# ## 小测验
#
# 先想好答案，再展开。
#
# <details><summary>1. A = −1，ρ = 0.7，ε = 0.2。J 是多少？斜率呢？</summary>
#
# min(0.7 × (−1), 0.8 × (−1)) = min(−0.7, −0.8) = −0.8，斜率是 0：差的一步，已经变少，而且超出了绳长。
# </details>
#
# <details><summary>2. A = +2，ρ = 0.7，ε = 0.2。这时呢？</summary>
#
# min(1.4, 1.6) = 1.4，斜率是 2，一点不打折：好的一步被误推得更少见了，它能自己回来。
# </details>
#
# <details><summary>3. 一个五个词元的回答得 2 分；写每个词元之前，评论家都说 1 分；γ = 1。λ = 1 和 λ = 0 时，优势各是多少？</summary>
#
# λ = 1：回报减价值，每个词元都是 +1。λ = 0：就是 TD 误差，前四个词元为 0，最后一个为 2 − 1 = +1。
# </details>
#
# <details><summary>4. 杆子的一行在 64 步的窗口之后结束，回答在词元预算处结束。之后的价值各是多少？为什么不一样？</summary>
#
# 杆子：是评论家对最后那个状态的估计 V。杆子还立着，下一批轨迹就从那里继续，所以这个价值学得到。回答：是 0。谁也不会从那里接着写，那种状态的价值永远学不到；
# 若用它来接续，就等于用一个没人检验的数来发奖励。
# </details>
#
# <details><summary>5. 某个词元的 k₁ 是 −1.2。锚是在奖励它还是惩罚它？这是不是出错了？</summary>
#
# 是奖励，加 1.2 β 分：现在的策略选它的机会比参考策略少。这不是错误。单个 k₁ 可正可负，只有对策略自己的词元求平均才是 KL，而 KL 不会是负的。
# </details>
#
# <details><summary>6. 在一次更新的第一个小批里，clip=0.01 和 clip=None 的梯度会不同吗？</summary>
#
# 不会。那时所有比率都恰好是 1，在任何区间之内。裁剪从第二步才开始起作用。（所以，如果只过一遍、而且只有一个小批，就根本用不着裁剪。）
# </details>

# %% [markdown] lang="en"
# ## What next
#
# The full runs, with live columns, a report, and whatever you want to change:
#
# ```bash
# python -m lessons.side_by_side                                        # both worlds, full length
# python -m lessons.ppo --world language --language.update.beta 0       # without the anchor
# python -m lessons.ppo --world cartpole --cartpole.update.clip None    # without the clip
# python -m lessons.ppo --world language --help                         # every other number
# ```
#
# Things to try: an anchor so strong that the rude answers stay. `--cartpole.update.epochs 1`: how much does reuse really buy? A clip of 0.02, and one of 2.
#
# To read: the loss in `rl_core/losses/ppo.py` and the update in `rl_core/algorithms/ppo.py`, both shorter than this lesson. Then Schulman et al. 2017
# (PPO), Schulman et al. 2015 (GAE), and Ziegler et al. 2019, [arXiv:1909.08593](https://arxiv.org/abs/1909.08593), which put the two together with the anchor for language models.

# %% [markdown] lang="zh"
# ## 接下来
#
# 完整的训练，有实时显示的各列和最后的报告，想改什么都可以：
#
# ```bash
# python -m lessons.side_by_side                                        # 两个世界，完整长度
# python -m lessons.ppo --world language --language.update.beta 0       # 没有锚
# python -m lessons.ppo --world cartpole --cartpole.update.clip None    # 没有裁剪
# python -m lessons.ppo --world language --help                         # 其他所有参数
# ```
#
# 可以试试：把锚调到强得让粗鲁的回答赖着不走；`--cartpole.update.epochs 1`，看看反复使用数据到底带来了多少好处；裁剪设成 0.02，再设成 2。
#
# 可以读：`rl_core/losses/ppo.py` 里的损失和 `rl_core/algorithms/ppo.py` 里的更新，都比这一课短。然后是 Schulman 等 2017（PPO）、
# Schulman 等 2015（GAE），以及把这两者连同锚一起用到语言模型上的 Ziegler 等 2019，[arXiv:1909.08593](https://arxiv.org/abs/1909.08593)。
