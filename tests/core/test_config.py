"""Configs: every field of every one refuses what cannot be meant, and a new field cannot forget to."""

import json
import math
from dataclasses import asdict, dataclass, fields
from types import NoneType
from typing import Literal, get_args, get_type_hints

import numpy as np
import pytest
import torch

from lessons import rlhf
from lessons.harness import play_settings, settings
from rl_core.algorithms.dpo import DPOConfig
from rl_core.algorithms.grpo import GRPOConfig
from rl_core.algorithms.ppo import PPOConfig
from rl_core.algorithms.reinforce import ReinforceConfig
from rl_core.algorithms.reward_model import RewardModelConfig
from rl_core.algorithms.sft import SFTConfig
from rl_core.config import Config, Count
from rl_core.errors import InvalidArgument, InvalidType, RLCoreError

UPDATES = (DPOConfig, GRPOConfig, PPOConfig, ReinforceConfig, RewardModelConfig, SFTConfig)
KNOWN = [kind for module in (settings, play_settings, rlhf) for kind in vars(module).values()]
RUNS = [kind for kind in KNOWN if isinstance(kind, type) and issubclass(kind, Config) and kind is not Config]
CONFIGS = list(dict.fromkeys([*UPDATES, *RUNS]))
NASTY = {
    "True": True,
    "False": False,
    "None": None,
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "minus one": -1,
    "minus a half": -0.5,
    "text": "three",
    "digits": "3",
    "bytes": b"3",
    "list": [],
    "dict": {},
    "tuple": (),
    "object": object(),
    "complex": 3 + 0j,
    "tensor": torch.tensor([3.0, 4.0]),
}
TEXT = {"start", "preferences", "scorer"}  # fields that take any; others take names


def is_meant(kind, name, value):
    """Return whether a nasty value is what that field is for."""
    plain = get_type_hints(kind)[name]
    if value is None:
        return NoneType in get_args(plain)
    if isinstance(value, str):
        return name in TEXT
    return (isinstance(value, bool) and plain is bool) or (isinstance(value, tuple) and plain == tuple[str, ...])


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_field_refuses_what_cannot_be_meant(kind):
    assert len(NASTY) == 17 and len(CONFIGS) >= 14
    for field in fields(kind):
        for label, value in NASTY.items():
            if not is_meant(kind, field.name, value):
                with pytest.raises(RLCoreError, match=rf"{field.name}=(?s:.*)(pass|did you mean)") as caught:
                    kind(**{field.name: value})
                assert isinstance(caught.value, ValueError | TypeError), (field.name, label)
            else:
                assert getattr(kind(**{field.name: value}), field.name) == value


@dataclass(frozen=True)
class Fresh(Config):
    """A config whose author thought of types alone."""

    rate: float = 1.0
    size: int = 1
    pair: tuple[float, ...] = ()
    place: Literal["here", "there"] = "here"
    parts: Count | None = None
    inner: SFTConfig | None = None


@pytest.mark.parametrize("given, kind, words", [
    ({"rate": math.inf}, InvalidArgument, "rate=inf is not finite"),
    ({"rate": 10**400}, InvalidArgument, "is not finite"),
    ({"size": 2.0}, InvalidType, r"size=2\.0 is no whole number"),
    ({"size": True}, InvalidType, "size=True is no whole number"),
    ({"pair": [1.0]}, InvalidType, r"pair=\[1\.0\] is no tuple"),
    ({"pair": (1.0, math.nan)}, InvalidArgument, r"pair\[1\]=nan"),
    ({"place": "hre"}, InvalidArgument, "did you mean 'here'"),
    ({"parts": 0}, InvalidArgument, "parts=0.*pass 1 or more"),
    ({"inner": {}}, InvalidType, r"inner=\{\} is no SFTConfig"),
])  # fmt: skip
def test_a_field_is_checked_by_its_annotation_alone(given, kind, words):
    with pytest.raises(kind, match=words):
        Fresh(**given)


def test_numbers_of_numpy_become_those_of_python():
    config = PPOConfig(epochs=np.int64(2), gamma=np.float32(0.5), clip=1)
    assert (config.epochs, config.gamma, config.clip) == (2, 0.5, 1)
    assert json.loads(json.dumps(asdict(config))) == asdict(config)
    assert Fresh(pair=(np.float64(2),), inner=SFTConfig()) == Fresh(pair=(2,), inner=SFTConfig())
