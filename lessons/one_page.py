"""The whole idea on one page: a pole and a language model learn by one loop. `python -m lessons.one_page`, a minute."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from rl_core.adapters.gym import CartPoleRows, GymEnv, MLPNetwork
from rl_core.adapters.language import TokenEnv, TokenNetwork, prompts_from_chat
from rl_core.algorithms import PPOConfig, ppo
from rl_core.rollout import rollout

disable_progress_bar()
MODEL = Path(__file__).parent / "worlds/language/models/sft"  # a small model that answers, now politely, now rudely
tokenizer = AutoTokenizer.from_pretrained(MODEL)
QUESTIONS = ["what is the capital of France?", "what colour is snow?", "法国的首都是哪里？", "what is 2+3?"]


def pole():
    """State: four numbers. Action: push left or right. Reward: 1 for every step upright."""
    env = GymEnv(CartPoleRows(16), 16, window=64)  # 16 poles, watched for 64 steps at a time
    return env, MLPNetwork.for_env(env), PPOConfig(gamma=0.99, lam=0.95, clip=0.12, epochs=6), 1e-2


def words():
    """State: the text so far. Action: the next token. Reward: 1 for an answer that ends, and holds a good wish."""
    network = TokenNetwork(AutoModelForCausalLM.from_pretrained(MODEL), critic="separate")
    return asked(QUESTIONS, 64), network, PPOConfig(gamma=1.0, lam=1.0, clip=0.2, epochs=3), 4e-4


def asked(questions, rows):
    """Return an environment that asks these questions, each of so many rows one."""
    prompts = prompts_from_chat(tokenizer, [[{"role": "user", "content": question}] for question in questions])
    return TokenEnv(prompts, wishes, rows, max_new_tokens=32, eos=tokenizer.eos_token_id)


def wishes(prompts, answers):
    """Return the reward of each answer. Change this function, and the model picks up another habit."""
    texts = [tokenizer.decode(answer) for answer in answers]
    return [float(text.endswith("<|im_end|>") and ("your day" in text or "愉快" in text)) for text in texts]


def train(env, network, config, learning_rate, iterations):
    """Play, ask of each action whether it went better than expected, make the better ones likelier; again."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, eps=1e-5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, iterations)
    for iteration in range(1, iterations + 1):
        played = rollout(env, network, generator)  # play
        ppo(network, None, optimizer, played, config, generator)  # learn
        schedule.step()
        if returns := [episode_return for episode_return, _ in env.finished()]:
            print(f"iteration {iteration:>2} of {iterations}: return {sum(returns) / len(returns):6.2f}", flush=True)
    return network


def show_answers(network, when):
    """Print an answer to each of the first three questions, drawn by chance as in training."""
    for question in QUESTIONS[:3]:
        played = rollout(asked([question], 1), network, torch.Generator().manual_seed(1))
        print(f"{when:>6}: {question} {tokenizer.decode(played.actions[0], skip_special_tokens=True)}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train(*pole(), iterations=34)
    env, network, config, learning_rate = words()
    show_answers(network, "before")
    train(env, network, config, learning_rate, iterations=16)
    show_answers(network, "after")
