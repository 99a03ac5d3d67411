"""Puts the method that a spec asks for under a network that DDP has wrapped."""

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from headrace.api.compression import Compression, Quantized
from headrace_workers.faults import RunFault
from headrace_workers.train.compression.auto import AutoExchange
from headrace_workers.train.compression.base import GradientExchange, Wire
from headrace_workers.train.compression.bf16 import BFloat16Exchange
from headrace_workers.train.compression.none import PlainExchange
from headrace_workers.train.compression.power_sgd import PowerSgdExchange
from headrace_workers.train.compression.quantized import QuantizedExchange


def attach(
    compression: Compression, model: torch.nn.Module, names: dict[str, torch.nn.Parameter], seed: int
) -> GradientExchange | None:
    """Registers the method's hook, once, before the first backward; none where nothing is exchanged.

    `names` are the trainable parameters by name, the same on every rank. Methods with local steps have no hook: their
    rounds call the exchange.
    """
    if not isinstance(model, DistributedDataParallel):
        return None
    exchange = exchange_of(compression, dist.get_world_size(), dist.get_rank(), seed)
    if compression.di_lo_co is not None:
        return exchange
    name_of = {id(parameter): name for name, parameter in names.items()}

    # DDP insists on this argument's name. It waits for the future, which is complete when the hook returns.
    def hook(state: GradientExchange, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        named = zip(bucket.parameters(), bucket.gradients(), strict=True)
        state.exchange(bucket.buffer(), {name_of[id(parameter)]: gradient for parameter, gradient in named})
        done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    model.register_comm_hook(exchange, hook)
    return exchange


def exchange_of(
    compression: Compression, world_size: int, rank: int, seed: int, wire: Wire | None = None
) -> GradientExchange:
    """The method by its name in the spec."""
    if compression.none is not None:
        return PlainExchange(world_size, wire)
    if compression.bf16 is not None:
        return BFloat16Exchange(world_size, wire)
    if compression.int8 is not None:
        return QuantizedExchange(world_size, rank, 8, compression.int8, wire)
    if compression.int4 is not None:
        return QuantizedExchange(world_size, rank, 4, compression.int4, wire)
    if compression.power_sgd is not None:
        return PowerSgdExchange(world_size, compression.power_sgd, seed, wire)
    if compression.di_lo_co is not None:
        return QuantizedExchange(world_size, rank, 4, Quantized(), wire)
    if compression.auto is not None:

        def by_name(name: str) -> GradientExchange:
            return exchange_of(Compression.model_validate({name: {}}), world_size, rank, seed, wire)

        return AutoExchange(world_size, compression.auto, by_name, wire)
    message = (
        f"compression {compression.chosen} is not in this release; use none, bf16, int8, int4, powerSgd, diLoCo or auto"
    )
    raise RunFault("NotSupported", message)
