"""Ctrl-C once: stop in order. Ctrl-C twice: at once."""

import asyncio
import signal
from types import TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, turns SIGINT and SIGTERM into two events that the loop looks at."""

    def __init__(self) -> None:
        """Nobody has interrupted yet."""
        self.stop = asyncio.Event()
        self.now = asyncio.Event()

    def interrupt(self) -> None:
        """What each signal does."""
        if self.stop.is_set():
            self.now.set()
        self.stop.set()

    def __enter__(self) -> Self:
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self.interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the signals their usual meaning back."""
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
