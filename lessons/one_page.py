"""The whole idea on one page: two worlds, one loop. `python -m lessons.one_page`, about a minute on one core.

A pole learns to stand, from nothing. A language model of 0.9 million parameters, which already answers questions,
learns a habit: to close with a wish for a happy day. Only the environment, the network and the rates differ.
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rl_core.adapters.gym import CartPoleRows, GymEnv, MLPNetwork
from rl_core.adapters.language import TokenEnv, TokenNetwork, prompts_from_chat
from rl_core.algorithms import PPOConfig, ppo
from rl_core.rollout import rollout

ANSWERS = Path(__file__).parent / "worlds/language/models/sft"
tokenizer = AutoTokenizer.from_pretrained(ANSWERS)
QUESTIONS = ["what is the capital of France?", "what colour is snow?", "what is 2+3?", "法国的首都是哪里？"]


def pole():
    """State: four numbers. Action: push left or right. Reward: 1 for every step upright."""
    env = GymEnv(CartPoleRows(16), 16, window=64)  # 16 poles, watched for 64 steps at a time
    return env, MLPNetwork.for_env(env), PPOConfig(gamma=0.99, lam=0.95, clip=0.12, epochs=6), 1e-2


def words():
    """State: the text so far. Action: the next token. Reward: 1 for a finished answer that holds the wish."""

    def reward(prompts, answers):
        texts = [tokenizer.decode(answer) for answer in answers]
        return [float(text.endswith("<|im_end|>") and ("day" in text or "愉快" in text)) for text in texts]

    prompts = prompts_from_chat(tokenizer, [[{"role": "user", "content": question}] for question in QUESTIONS])
    env = TokenEnv(prompts, reward, 64, max_new_tokens=32, eos=tokenizer.eos_token_id)
    network = TokenNetwork(AutoModelForCausalLM.from_pretrained(ANSWERS), critic="separate")
    return env, network, PPOConfig(gamma=1.0, lam=1.0, clip=0.2, epochs=3), 4e-4


def train(env, network, config, learning_rate, iterations):
    """Play, ask of each action whether it went better than expected, make the better ones likelier; again."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, eps=1e-5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, iterations)
    for iteration in range(1, iterations + 1):
        played = rollout(env, network, generator)  # play
        metrics = ppo(network, None, optimizer, played, config, generator)  # learn
        schedule.step()
        returns = [value for value, _ in env.finished()]
        mean = sum(returns) / len(returns) if returns else float("nan")
        print(f"{iteration:>3}/{iterations}  return {mean:7.2f}  entropy {metrics['entropy']:.2f} nats", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train(*pole(), iterations=34)
    train(*words(), iterations=16)
