"""How gradients travel: one file a method. All of them average over the ranks; they differ in bytes and in error."""

from headrace_workers.train.compression.attach import attach, local_steps
from headrace_workers.train.compression.base import GradientExchange

__all__ = ["GradientExchange", "attach", "local_steps"]
