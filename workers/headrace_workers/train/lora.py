"""Low-rank adapters beside weights that stay as they are (LoRA, Hu et al., 2021), by the package peft.

peft takes seconds to import and is in no image that does without: it is imported where a spec asks for adapters.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from headrace.api.train_job import Lora
from headrace_workers.faults import RunFault
from headrace_workers.train.matching import SHOWN, is_under
from headrace_workers.train.supported import require_peft

BASE = "base_layer"
"""What peft calls the module that an adapter stands beside."""


class Adapters:
    """The adapters of a network, which from then on trains them and what starts anew, and nothing else."""

    def __init__(self, network: torch.nn.Module, spec: Lora, anew: Sequence[str]) -> None:
        """Puts them into the network; RunFault if there is no place for one. What starts anew gets none: it is trained whole."""
        require_peft()
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        # PyTorch's fast path for transformers takes the weights past the modules, and so past their adapters.
        torch.backends.mha.set_fastpath_enabled(False)
        places = "|".join(re.escape(name) for name in _places(network, spec.targets, anew))
        config = LoraConfig(r=spec.rank, lora_alpha=spec.alpha, target_modules=places)
        try:
            inject_adapter_in_model(config, network)
        except ValueError as error:
            raise RunFault("InvalidModelParameters", f"model.lora.targets: {error}") from error
        self._network = network
        self._layers: dict[str, Any] = {
            name: module for name, module in network.named_modules() if isinstance(module, LoraLayer)
        }
        for name, parameter in network.named_parameters():
            if (plain := self._plain(name)) and is_under(plain, anew):
                parameter.requires_grad_(True)

    @property
    def plain_names(self) -> dict[str, str]:
        """What the network's own parameters and buffers are called now, by the names that they have without adapters."""
        return {plain: name for name in self._network.state_dict() if (plain := self._plain(name))}

    @torch.no_grad()
    def merged(self) -> dict[str, torch.Tensor]:
        """The weights, by the network's own names, with which it answers without adapters as it does now with them."""
        state = self._network.state_dict()
        weights = {plain: state[name] for plain, name in self.plain_names.items()}
        for place, layer in self._layers.items():
            for adapter in layer.active_adapters:
                weights[f"{place}.weight"] = weights[f"{place}.weight"] + layer.get_delta_weight(adapter)
        return weights

    def _plain(self, name: str) -> str | None:
        """The name without adapters of what is called so now; none for a part of an adapter."""
        for place in self._layers:
            if name.startswith(f"{place}."):
                inner = name.removeprefix(f"{place}.")
                return f"{place}.{inner.removeprefix(f'{BASE}.')}" if inner.startswith(f"{BASE}.") else None
        return name


def _places(network: torch.nn.Module, targets: Sequence[str], anew: Sequence[str]) -> list[str]:
    """The modules that get an adapter; RunFault if a target means none, or there are none at all."""
    # A subclass may have its weights used by others than itself, as that of torch's attention does.
    linear = [name for name, module in network.named_modules() if name and type(module) is torch.nn.Linear]
    for target in targets:
        if not list(_ending_with(network, (target,))):
            raise RunFault(
                "ParameterUnknown", f"model.lora.targets names {target}, which no module is called; {_said(linear)}"
            )
    chosen = list(_ending_with(network, targets)) if targets else linear
    places = [name for name in chosen if not is_under(name, anew)]
    if not places:
        message = f"model.lora finds no module for an adapter; {_said(linear)}; name modules in model.lora.targets, or train without lora"
        raise RunFault("ParameterUnknown", message)
    attentions = [name for name, module in network.named_modules() if isinstance(module, torch.nn.MultiheadAttention)]
    if bypassed := [name for name in places if is_under(name, attentions)]:
        message = f"{bypassed[0]} is in torch's attention, which takes weights past an adapter; name others in model.lora.targets"
        raise RunFault("NotSupported", message)
    shared = _shared(network)
    if tied := [name for name in places if any(is_under(each, (name,)) for each in shared)]:
        message = f"{tied[0]} shares its weights with another module, which would not see its adapter; leave it out of model.lora.targets"
        raise RunFault("NotSupported", message)
    return places


def _ending_with(network: torch.nn.Module, targets: Sequence[str]) -> Iterator[str]:
    for name, _ in network.named_modules():
        if any(name == target or name.endswith(f".{target}") for target in targets):
            yield name


def _shared(network: torch.nn.Module) -> set[str]:
    """The names of parameters that have another name, too."""
    names: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {name for each in names.values() if len(each) > 1 for name in each}


def _said(linear: Sequence[str]) -> str:
    more = f" and {len(linear) - SHOWN} more" if len(linear) > SHOWN else ""
    return f"linear layers are {', '.join(linear[:SHOWN])}{more}" if linear else "the network has no linear layer"
