"""The method that a spec asks for."""

from collections.abc import Callable
from typing import Any

import torch

from headrace.api.compression import Compression, Quantized
from headrace_workers.train.compression.auto import AutoExchange
from headrace_workers.train.compression.base import GradientExchange, Wire
from headrace_workers.train.compression.bf16 import BFloat16Exchange
from headrace_workers.train.compression.local_steps import LocalSteps
from headrace_workers.train.compression.none import PlainExchange
from headrace_workers.train.compression.power_sgd import PowerSgdExchange
from headrace_workers.train.compression.quantized import QuantizedExchange
from headrace_workers.train.compression.sparse_lo_co import SparseLoCoExchange
from headrace_workers.train.compression.top_k import TopKExchange


def local_steps(
    compression: Compression, network: torch.nn.Module, names: dict[str, torch.nn.Parameter], exchange: GradientExchange | None
) -> LocalSteps | None:  # fmt: skip
    """The rounds of a method with local steps; none for others, and where nothing is exchanged."""
    if exchange and compression.di_lo_co:
        return LocalSteps(compression.di_lo_co.local_steps, network, names, exchange)
    if exchange and compression.sparse_lo_co:
        return LocalSteps(compression.sparse_lo_co.local_steps, network, names, exchange, momentum=0.0)
    return None


def exchange_of(
    compression: Compression, world_size: int, rank: int, seed: int, wire: Wire | None = None, momentum: float = 0.0
) -> GradientExchange:
    """The method by its name in the spec; `momentum` is what topK takes over from the optimizer."""

    def by_name(name: str, world_size: int, rank: int) -> GradientExchange:
        return exchange_of(Compression.model_validate({name: {}}), world_size, rank, seed, wire)

    makers: dict[str, Callable[[Any], GradientExchange]] = {
        "none": lambda _: PlainExchange(world_size, wire),
        "bf16": lambda _: BFloat16Exchange(world_size, wire),
        "int8": lambda settings: QuantizedExchange(world_size, rank, 8, settings, wire),
        "int4": lambda settings: QuantizedExchange(world_size, rank, 4, settings, wire),
        "power_sgd": lambda settings: PowerSgdExchange(world_size, settings, seed, wire),
        "top_k": lambda settings: TopKExchange(world_size, settings, momentum, wire),
        "di_lo_co": lambda _: QuantizedExchange(world_size, rank, 4, Quantized(), wire),
        "sparse_lo_co": lambda settings: SparseLoCoExchange(world_size, settings, wire),
        "auto": lambda settings: AutoExchange(world_size, rank, settings, by_name, wire),
    }
    return makers[compression.chosen](getattr(compression, compression.chosen))
