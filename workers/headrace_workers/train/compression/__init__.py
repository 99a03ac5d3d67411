"""How gradients travel: one file a method. All of them average over the ranks; they differ in bytes and in error."""

from headrace_workers.train.compression.attach import attach
from headrace_workers.train.compression.base import GradientExchange
from headrace_workers.train.compression.di_lo_co import DiLoCoRounds

__all__ = ["DiLoCoRounds", "GradientExchange", "attach"]
