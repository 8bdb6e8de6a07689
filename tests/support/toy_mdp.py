"""A token world small enough to sum over: 3 tokens, at most 3 steps, 15 trajectories, every expectation exact."""

from itertools import product

import torch

EOS = 0
TOKENS = 3
STEPS = 3
WORDS = tuple(token for token in range(TOKENS) if token != EOS)

# A state is what was written so far: 1 + 2 + 4 prefixes, none of which holds an EOS.
PREFIXES = tuple(prefix for length in range(STEPS) for prefix in product(WORDS, repeat=length))
INDEX = {prefix: index for index, prefix in enumerate(PREFIXES)}


def enumerate_trajectories(prefix=()):
    """Return every way to finish `prefix`: by EOS, or by the third token whatever it is."""
    finished = []
    for token in range(TOKENS):
        longer = (*prefix, token)
        over = token == EOS or len(longer) == STEPS
        finished += [longer] if over else enumerate_trajectories(longer)
    return finished


TRAJECTORIES = tuple(enumerate_trajectories())
LENGTHS = torch.tensor([len(trajectory) for trajectory in TRAJECTORIES])
# The padding is 0, which is also EOS: whoever builds masks from ids loses the EOS that was written.
ACTIONS = torch.tensor([t + (EOS,) * (STEPS - len(t)) for t in TRAJECTORIES])  # [15, 3]
STATES = torch.tensor([[INDEX.get(t[:step], 0) for step in range(STEPS)] for t in TRAJECTORIES])  # [15, 3]
MASK = torch.arange(STEPS) < LENGTHS[:, None]
TERMINATED = torch.arange(STEPS) == LENGTHS[:, None] - 1


def random_logits(seed):
    """Return the logits of a random tabular policy, one row per prefix."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(PREFIXES), TOKENS, generator=generator, dtype=torch.float64).requires_grad_()


def random_step_rewards(seed):
    """Return a random reward for every prefix and token."""
    generator = torch.Generator().manual_seed(1000 + seed)
    return torch.randn(len(PREFIXES), TOKENS, generator=generator, dtype=torch.float64)


def pack(table):
    """Return what `table` [7, 3] says of the tokens of each trajectory, 0 after its end."""
    return torch.where(MASK, table[STATES, ACTIONS], 0.0)  # [15, 3]


def pack_values(values, beyond=1e6):
    """Return `values` [7] of the states each trajectory visits, with `beyond` wherever nothing follows."""
    visited = torch.where(MASK, values[STATES], beyond)
    return torch.cat([visited, torch.full((len(TRAJECTORIES), 1), beyond, dtype=values.dtype)], dim=1)  # [15, 4]


def step_logprobs(logits):
    """Return the log-probability of each token of each trajectory, 0 after its end."""
    return pack(logits - logits.exp().sum(dim=1, keepdim=True).log())


def probabilities(logits):
    """Return the probability of each of the 15 trajectories."""
    chances = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    result = []
    for trajectory in TRAJECTORIES:
        chance = torch.ones((), dtype=logits.dtype)
        for step, token in enumerate(trajectory):
            chance = chance * chances[INDEX[trajectory[:step]], token]
        result.append(chance)
    return torch.stack(result)  # [15]


def expected_return(logits, step_rewards):
    """Return the exact expected sum of rewards, differentiable in `logits`."""
    return (probabilities(logits) * pack(step_rewards).sum(dim=1)).sum()


def expected_return_of(logits, returns):
    """Return the exact expectation of one number for each of the 15 trajectories."""
    return (probabilities(logits) * returns).sum()


def exact_gradient(logits, step_rewards):
    """Return d(expected return) / d(logits), through the sum over all trajectories."""
    return torch.autograd.grad(expected_return(logits, step_rewards), logits)[0]


def sequence_kl(logits, ref_logits):
    """Return KL(policy || reference) between the two distributions over trajectories."""
    chances = probabilities(logits)
    return (chances * (chances.log() - probabilities(ref_logits).log())).sum()


def exact_values(logits, step_rewards):
    """Return V of each prefix: the mean reward still to come over all its continuations."""
    chances = logits.detach().softmax(dim=1)
    values = []
    for prefix in PREFIXES:
        value = 0.0
        for trajectory in enumerate_trajectories(prefix):
            chance, reward = 1.0, 0.0
            for step in range(len(prefix), len(trajectory)):
                state, token = INDEX[trajectory[:step]], trajectory[step]
                chance *= chances[state, token].item()
                reward += step_rewards[state, token].item()
            value += chance * reward
        values.append(value)
    return torch.tensor(values, dtype=logits.dtype)  # [7]


def score_function_gradient(logits, advantages):
    """Return the exact expectation of sum_t advantage_t * d(log pi_t) over all trajectories."""
    weights = probabilities(logits).detach()[:, None] * torch.where(MASK, advantages, 0.0)
    return torch.autograd.grad((weights * step_logprobs(logits)).sum(), logits)[0]


def cosine(left, right):
    """Return the cosine of the angle between two gradients."""
    return torch.nn.functional.cosine_similarity(left.flatten(), right.flatten(), dim=0).item()
