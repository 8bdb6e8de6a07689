"""What the report says, in each of the reader's languages."""

PHRASES = {
    "begin": (
        "{algorithm} in {worlds}, seed {seed}. Files: {folder}",
        "{algorithm}：{worlds}，种子 {seed}。文件在 {folder}",
    ),
    "evaluate_before": ("Evaluating {title} before training", "训练前评估 {title}"),
    "one_of_one": ("one of one", "只取一个"),
    "best_of": ("best of {n}", "{n} 个中取最好"),
    "evaluate_one": ("Evaluating {title}, one of one", "评估 {title}：只取一个"),
    "evaluate_best": ("Evaluating {title}, best of {n}", "评估 {title}：{n} 个中取最好"),
    "evaluate_after": ("Evaluating {title} after training", "训练后评估 {title}"),
    "train": ("Training", "训练"),
    "draw": ("Drawing the film and the curves", "绘制动画和曲线"),
    "head_steps": ("", ""),
    "head_turn": ("", ""),
    "head_return": (
        "return, length: means of the latest finished episodes",
        "return、length：最近结束的回合的平均",
    ),
    "head_length": ("", ""),
    "head_loss": ("loss: mean over the turn", "loss：本轮平均损失"),
    "head_accur": ("accur.: share of right predictions", "accur.：预测正确的比例"),
    "head_KL": ("KL: to the start, nats an episode", "KL：与起点的距离，纳特每回合"),
    "head_entropy": ("entropy: nats a step", "entropy：每步的熵，纳特"),
    "head_clipped": ("clipped: share of steps beyond 1 ± ε", "clipped：比率超出 1 ± ε 的步的比例"),
    "head_critic": ("critic: explained variance of the returns", "critic：评论家解释的回报方差"),
    "head_left": ("left: time left, min:s", "left：剩余时间，分:秒"),
    "unusual_first_ratio": (
        "  first ratio {value:.6f}, should be 1: the policy that learns is not the one that played",
        "  首个比率 {value:.6f}，应为 1：学习的策略不是采样的策略",
    ),
    "unusual_sampler_gap": (
        "  sampler gap {value:.1e} nats: sampling and learning compute other log-probabilities",
        "  采样差距 {value:.1e} 纳特：采样与学习算出的对数概率不同",
    ),
    "solved": ("solved", "已解决"),
    "unsolved": ("not yet", "尚未解决"),
    "trained": ("trained", "已训练"),
    "first_at": (", first at {steps:,} {step}s", "，首次在第 {steps:,} 步"),
    "quick": ("A smoke run (--quick) is not meant to solve anything.", "试跑（--quick）不以解决任务为目的。"),
    "interrupted": (
        "\nInterrupted; nothing is lost. Go on with:\n  {command}",
        "\n已中断，进度已保存。继续运行：\n  {command}",
    ),
    "stopping": (
        "\nStopping after this turn (Ctrl-C once more: at once).",
        "\n本轮结束后停止（再按一次 Ctrl-C 立即停止）。",
    ),
    "before": ("before", "训练前"),
    "after": ("after", "训练后"),
    "results": ("{title}: held-out results, before and after", "{title}：训练前后的评估结果"),
    "one_start": ("{title}: one start, before and after", "{title}：同一个开头，训练前后"),
    "question": ("start", "开头"),
    "steps": ("{steps:,} {step}s", "{steps:,} 步"),
    "reward": ("reward", "奖励"),
    "nouns": ("One loop, eight nouns, filled from this run", "同一个循环，八个名词，取自本次运行"),
    "look": ("Look at", "请看"),
    "look_answers": ("answers.md   what changed, question by question", "answers.md   逐题对比前后的回答"),
    "look_calibration": ("calibration.png   the critic against the truth", "calibration.png   评论家与真实价值"),
    "look_curves": ("curves.png   how it went", "curves.png   训练曲线"),
    "look_film": ("film.gif     the same starts before and after", "film.gif     同样的开头，训练前后"),
    "look_samples": ("samples.md   the credit of each step", "samples.md   每一步的功劳"),
    "next": ("Try next", "接下来"),
    "seconds": ("This took {seconds:.0f} s. Everything is in {folder}", "用时 {seconds:.0f} 秒。全部文件在 {folder}"),
    "ignored": (
        "--resume: the run keeps its own settings; ignored: {options}",
        "--resume：沿用原来的设置；忽略：{options}",
    ),
}

RESULTS = {
    "eos": ("ended by itself", "自行结束"),
    "right": ("right", "正确"),
    "refused": ("refused", "拒答"),
    "polite": ("polite", "礼貌"),
    "plain": ("plain", "平淡"),
    "rude": ("rude", "粗鲁"),
    "score": ("score", "得分"),
    "answers": ("answers", "回答数"),
    "sampled_return": ("sampled return", "回报（采样）"),
    "greedy_return": ("greedy return", "回报（贪心）"),
    "length": ("length", "长度"),
    "episodes": ("episodes", "回合数"),
    "kl": ("KL to the start, nats", "与起点的 KL，纳特"),
    "kl_at_most": ("KL to the start, nats, at most", "与起点的 KL，纳特，至多"),
    "most_kl": ("KL of choosing, at most", "挑选所占的 KL，至多"),
    "least_kl": ("least KL for such shares", "如此比例所需的最小 KL"),
    "own": ("fits its own question", "切合自己的问题"),
    "stock": ("begins with the commonest words", "以最常见的词开头"),
    "passed": ("one short polite sentence", "一句简短礼貌的话"),
    "pass_at_8": ("right at least once in 8", "8 次中至少一次正确"),
}
"""The results whose names do not speak for themselves, or are not yet Chinese."""


def result_name(name: str, language: str) -> str:
    """Return what a result is called on the screen."""
    return RESULTS[name][language == "zh"] if name in RESULTS else name.replace("_", " ")


def phrase(name: str, language: str, **values: object) -> str:
    """Return a phrase in the reader's language, with the values in their places."""
    return PHRASES[name][language == "zh"].format(**values)
