"""A causal language model with low-rank adapters: the weights stay, for all to share; it learns."""

import copy
import hashlib
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from rl_core.adapters.language.network import TokenNetwork, value_head_for
from rl_core.adapters.language.scorer import TokenScorer
from rl_core.errors import InvalidArgument, check_choice, check_count, check_seed


class LoRANetwork(TokenNetwork):
    """A language model that learns through an adapter, and leaves the model that it was given as it is.

    The given model's weights are frozen and shared, not copied: any number of policies, critics and references stand on
    one set of weights. So a reference is the policy with its adapter off to the last bit, at no cost in memory and with
    no switch to forget. `state_dict` holds what can change, and a mark of the weights that it belongs to.
    """

    def __init__(
        self, model: Any, *, rank: int = 8, critic: str | None = None, temperature: float = 1.0, seed: int = 0
    ) -> None:
        """Put an adapter of that rank around every linear layer of the model; the seed is that of its first weights.

        An adapter says 0 until it has learnt something. The "separate" critic is an adapter and a head of its own.
        """
        if critic is not None:
            check_choice("critic", critic, ["shared", "separate"])
        super().__init__(with_adapter(twin(model), rank, seed=seed), temperature=temperature)
        if critic == "separate":
            self.trunk = with_adapter(twin(model.base_model), rank, seed=seed + 1)
            self.train(self.training)  # it stays still, as all parts do
        self.value_head = None if critic is None else value_head_for(model)
        self._base = (model,)  # in a tuple, or it would be a part of this module

    def without_adapter(self) -> TokenNetwork:
        """Return the reference: the same weights with no adapter, frozen."""
        return TokenNetwork(self._base[0], temperature=self.temperature).requires_grad_(False)

    def merged(self) -> Any:
        """Return an ordinary model, with weights of its own, that says what this one says."""
        return merged(self.model)

    def save_adapter(self, folder: Path, base: str) -> None:
        """Write the adapter alone, so that `peft.PeftModel.from_pretrained(model, folder)` puts it into the model."""
        config = copy.copy(self.model.peft_config["default"])
        config.base_model_name_or_path, config.task_type, config.inference_mode = base, "CAUSAL_LM", True
        config.save_pretrained(folder)
        weights = {
            f"base_model.model.{name.replace('.default.', '.')}": weight.detach().cpu().contiguous()
            for name, weight in self.model.named_parameters()
            if "lora_" in name
        }
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return what can change: adapters and heads; beside the mark of the frozen weights."""
        whole = super().state_dict(*args, **kwargs)
        return {name: whole[name] for name in self._own()} | {"base": mark(self._base[0])}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Go back to where `state_dict` was taken; InvalidArgument when it belongs to other weights or adapters."""
        expected = {*self._own(), "base"}
        if set(state_dict) != expected:
            odd = sorted(set(state_dict) ^ expected)
            raise InvalidArgument(
                f"state_dict lacks, or has too much of, {odd[0]!r} ({len(odd)} such); pass one of its kind."
            )
        if state_dict["base"] != mark(self._base[0]):
            raise InvalidArgument(
                "state_dict belongs to an adapter of another model; open the model that it was made on."
            )
        tensors = {name: value for name, value in state_dict.items() if name != "base"}
        return super().load_state_dict(tensors, strict=False, assign=assign)

    def _own(self) -> list[str]:
        """Return the names of what is not the model's: all that can change, whether it learns now or is frozen."""
        shared = {id(weight) for weight in self._base[0].parameters()}
        return [name for name, weight in self.named_parameters() if id(weight) not in shared]


def twin(model: Any) -> Any:
    """Return a model with modules of its own around the very weights of the given one, which are frozen."""
    model.requires_grad_(False)
    return copy.deepcopy(model, {id(weight): weight for weight in model.parameters()})


def with_adapter(model: Any, rank: int, *, seed: int) -> Any:
    """Return the model, changed in place: an adapter around every linear layer but the one that gives the logits.

    Its weights are float32 whatever the model's: steps of 1e-4 are lost in the rounding of bfloat16.
    """
    check_count("rank", rank, 1)
    check_seed("seed", seed)
    peft, layers = peft_library(rank), layers_to_adapt(model)
    if not layers:
        raise InvalidArgument(
            f"lora={rank}: {type(model).__name__} has no linear layer for an adapter to stand beside; pass lora=0."
        )
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=layers, bias="none")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)  # peft draws from the global generator
        warnings.filterwarnings("ignore", message="fan_in_fan_out")  # it sets it right by itself
        try:
            peft.inject_adapter_in_model(config, model)
        except (ValueError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InvalidArgument(
                f"lora={rank}: peft puts no adapter into {type(model).__name__} ({reason}); pass lora=0."
            ) from error
    for name, weight in model.named_parameters():
        weight.requires_grad_("lora_" in name)
        if weight.requires_grad and weight.dtype in (torch.bfloat16, torch.float16):
            weight.data = weight.data.float()
    return model


def layers_to_adapt(model: Any) -> list[str]:
    """Return the names of the linear layers that an adapter can stand beside, but for the one that gives the logits.

    Not a router, which is a linear layer with a call of its own; nor the last layer of a Mamba mixer, whose kernels
    read its weight past the adapter.
    """
    head = model.get_output_embeddings()
    mixers = {name for name, module in model.named_modules() if "conv1d" in module._modules}
    return [
        name
        for name, module in model.named_modules()
        if type(module).forward in (nn.Linear.forward, Conv1D.forward)
        and module is not head
        and not (name.endswith("out_proj") and name.rpartition(".")[0] in mixers)
    ]


def scorer_with_adapter(scorer: TokenScorer, rank: int, *, seed: int) -> TokenScorer:
    """Return the scorer, changed in place: its trunk learns through an adapter, its head as ever."""
    with_adapter(scorer.model.base_model, rank, seed=seed)
    return scorer


def merged(model: Any) -> Any:
    """Return a copy of a model with adapters in which each is added to the weights that it stands beside."""
    layer_kind = import_module("peft.tuners.tuners_utils").BaseTunerLayer
    whole = copy.deepcopy(model)
    for name, layer in list(whole.named_modules()):
        if isinstance(layer, layer_kind):
            layer.merge()
            whole.set_submodule(name, layer.get_base_layer())
    for module in whole.modules():  # what peft leaves behind on the model that it was put into
        vars(module).pop("peft_config", None)
    return whole


def mark(model: nn.Module) -> str:
    """Return a text that tells one model's weights from another's: a hash of 64 numbers out of each."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(_some_of(weight).numpy().tobytes())
    return digest.hexdigest()


def _some_of(weight: Tensor) -> Tensor:
    """Return up to 64 numbers from all over a weight."""
    flat = weight.detach().flatten()
    return flat[:: max(1, len(flat) // 64)][:64].cpu().double()


def peft_library(rank: int) -> Any:
    """Return the package peft; InvalidArgument when it is not there."""
    try:
        return import_module("peft")
    except ImportError as error:
        raise InvalidArgument(
            f"lora={rank} needs the package peft ({error}); pip install -r requirements-real.txt, or pass lora=0."
        ) from error
