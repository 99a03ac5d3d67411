"""Which parameters a prefix means, and which of given weights a network takes."""

from collections.abc import Collection, Mapping, Sequence

import torch

from headrace_workers.faults import RunFault

SHOWN = 4
"""Parameters that do not fit and are named; a network may have thousands."""


def is_under(name: str, prefixes: Collection[str]) -> bool:
    """Whether a parameter is one of these, or in a module that is."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def require_known(field: str, prefixes: Sequence[str], names: Collection[str]) -> None:
    """RunFault for the first prefix that means no parameter at all."""
    for prefix in prefixes:
        if not any(is_under(name, (prefix,)) for name in names):
            some = ", ".join(sorted(names)[:SHOWN])
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise RunFault(
                "ParameterUnknown", f"{field} names {prefix}, which no parameter is called; there are {some}{more}"
            )


def matched(
    given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], anew: Sequence[str], what: str
) -> dict[str, torch.Tensor]:
    """The given tensors but for those that start anew; RunFault unless names and shapes are the wanted ones."""
    require_known("model.from.except", anew, given.keys() | wanted.keys())
    taken = {name: each for name, each in given.items() if not is_under(name, anew)}
    misfits = {
        name: fact for name in sorted(wanted.keys() | taken.keys()) if (fact := _misfit(name, taken, wanted, anew))
    }
    if misfits:
        facts = "; ".join([f"{name} {fact}" for name, fact in misfits.items()][:SHOWN])
        more = f"; and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
        modules = dict.fromkeys(name.rpartition(".")[0] or name for name in misfits)
        hint = f"to start them anew write except: [{', '.join(repr(each) for each in list(modules)[:SHOWN])}{', …' if len(modules) > SHOWN else ''}] in model.from, or correct the model"
        raise RunFault("WeightsDoNotFit", f"{what} does not fit the network: {facts}{more}; {hint}")
    return taken


def _misfit(
    name: str, taken: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], anew: Sequence[str]
) -> str:
    if name not in wanted:
        return "is not in the network"
    if is_under(name, anew):
        return ""
    if name not in taken:
        return "is missing"
    shape, own = tuple(taken[name].shape), tuple(wanted[name].shape)
    return "" if shape == own else f"has shape {shape}, the network's has {own}"
