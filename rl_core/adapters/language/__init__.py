"""Any transformers causal language model, as a network, an environment and a reward model of the core."""

from rl_core.adapters.language.chat import episodes_from_chat, episodes_from_texts, prompts_from_chat
from rl_core.adapters.language.env import TokenEnv, left_padded
from rl_core.adapters.language.lines import read_preferences, write_preferences
from rl_core.adapters.language.network import TokenNetwork
from rl_core.adapters.language.pairs import Preference, pairs_from_chat
from rl_core.adapters.language.scorer import TokenScorer

__all__ = [
    "Preference",
    "TokenEnv",
    "TokenNetwork",
    "TokenScorer",
    "episodes_from_chat",
    "episodes_from_texts",
    "left_padded",
    "pairs_from_chat",
    "prompts_from_chat",
    "read_preferences",
    "write_preferences",
]
