"""How long a rank is busy itself: what it computes, encodes and decodes, without its collectives, where it waits for others.

On the CPU the clock tells. On CUDA a clock would show how long the telling took: events in the stream are what counts,
which comes to a late kernel and to the end of a collective in their order. They are read when ranks talk, where the stream
is waited for anyhow, so that no step waits for them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from headrace_workers.train.compression.base import Wire

Moment = float | torch.cuda.Event


class OwnTime:
    """Adds up the time within `counting`, but for the `watched` collectives in it."""

    def __init__(self, device: str) -> None:
        """Starts at nothing."""
        self._now: Callable[[], Moment] = _event if device.startswith("cuda") else time.perf_counter
        self._since = self._now()
        self._begun = False
        self._open: list[tuple[Moment, Moment]] = []
        self._done: list[tuple[Moment, Moment]] = []

    def begin(self) -> None:
        """Has the next `counting` count from now on, unless one is under way."""
        if not self._begun:
            self._open, self._since = [], self._now()
            self._begun = True

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts what is within; not if that fails, for then it is done again."""
        self.begin()
        try:
            yield
        finally:
            self._begun = False
        self._pause()
        self._done += self._open

    def watched(self, wire: Wire) -> Wire:
        """The same collectives, whose time does not count."""

        def watch(collective: Callable[..., object]) -> Callable[..., None]:
            def run(*tensors: torch.Tensor) -> None:
                self._pause()
                collective(*tensors)
                self._since = self._now()

            return run

        return Wire(watch(wire.add_up), watch(wire.swap), watch(wire.gather))

    @property
    def seconds(self) -> float:
        """Counted since `forget`."""
        return sum(_between(begin, end) for begin, end in self._done)

    def forget(self) -> None:
        """Starts at nothing again."""
        self._done = []

    def _pause(self) -> None:
        self._open.append((self._since, self._now()))


def _event() -> Moment:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(begin: Moment, end: Moment) -> float:
    if isinstance(begin, float) or isinstance(end, float):
        return end - begin
    end.synchronize()
    return begin.elapsed_time(end) / 1000
