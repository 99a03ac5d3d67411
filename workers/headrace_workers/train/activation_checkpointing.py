"""Activations that are computed again in the backward pass instead of kept: sublinear memory (Chen et al., 2016)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from headrace_workers.faults import RunFault
from headrace_workers.train.matching import SHOWN

FIELD = "activationCheckpointing.modules"


def checkpoint_activations(network: torch.nn.Module, names: Sequence[str]) -> None:
    """Has these modules keep their inputs alone, of a list of modules each member; RunFault for one that cannot."""
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules:
            some = [each for each in modules if each]
            more = f" and {len(some) - SHOWN} more" if len(some) > SHOWN else ""
            message = f"{FIELD} names {name}, which no module is called; there are {', '.join(some[:SHOWN])}{more}"
            raise RunFault("ModuleUnknown", message)
    for place, module in {place: each for name in names for place, each in _parts(name, modules[name])}.items():
        _require_no_statistics(place, module)
        module.forward = partial(_checkpointed, module.forward)


def _parts(name: str, module: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    if isinstance(module, torch.nn.Sequential | torch.nn.ModuleList):
        for number, member in module.named_children():
            yield f"{name}.{number}", member
    else:
        yield name, module


def _require_no_statistics(place: str, module: torch.nn.Module) -> None:
    """A second pass would count a batch twice."""
    for name, each in module.named_modules(prefix=place):
        if isinstance(each, _NormBase) and each.track_running_stats:
            message = f"{FIELD}: {name} keeps statistics of each batch, which a second pass would count twice; name modules that have none"
            raise RunFault("NotSupported", message)


def _checkpointed(forward: Callable[..., object], *inputs: object, **named: object) -> object:
    # Nothing is kept in evaluation anyway.
    if not torch.is_grad_enabled():
        return forward(*inputs, **named)
    return checkpoint(forward, *inputs, use_reentrant=False, **named)
