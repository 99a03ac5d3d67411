"""How gradients travel: one file a method. All of them average over the ranks; they differ in bytes and in error."""

from headrace_workers.train.compression.base import GradientExchange
from headrace_workers.train.compression.choose import exchange_of, local_steps

__all__ = ["GradientExchange", "exchange_of", "local_steps"]
