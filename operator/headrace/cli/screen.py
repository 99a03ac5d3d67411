"""Where the words of a running command go: a table redrawn in place on a terminal, plain lines in a pipe.

A pipe never gets colour codes and is never left silent for long.
"""

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from headrace.cli.view import Row, line, table

LONGEST_SILENCE_SECONDS = 4.5
"""A line is due after this long: a little less than the 5 s that are promised, as lines are only due at ticks."""


class Screen(Protocol):
    """What a command says things to."""

    def say(self, sentence: str) -> None:
        """Tells something once, at once."""
        ...

    def write(self, lines: Sequence[str]) -> None:
        """Writes lines as they are, to be copied."""
        ...

    def show(self, rows: Sequence[Row]) -> None:
        """Shows how things stand; called many times a second."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainScreen:
    """Lines for a pipe or a file, each with the seconds since the start."""

    def __init__(self, write: Callable[[str], None] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Writes to standard output unless told otherwise."""
        self._write = write or _print
        self._clock = clock
        self._start = self._last = clock()

    def say(self, sentence: str) -> None:
        """Writes a line."""
        self._last = self._clock()
        self._write(f"{self._last - self._start:7.1f}s  {sentence}")

    def write(self, lines: Sequence[str]) -> None:
        """Writes lines without a time."""
        self._last = self._clock()
        for text in lines:
            self._write(text)

    def show(self, rows: Sequence[Row]) -> None:
        """Writes a line for each object that moves once the silence has lasted long enough."""
        if self._clock() - self._last < LONGEST_SILENCE_SECONDS:
            return
        for row in [row for row in rows if row.moving] or rows:
            self.say(line(row))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves nothing to undo."""


class LiveScreen:
    """A terminal: sentences scroll by above a table that is redrawn in place."""

    def __init__(self) -> None:
        """Draws nothing before it is entered."""
        from rich.live import Live

        self._live = Live(refresh_per_second=4, transient=True)

    def say(self, sentence: str) -> None:
        """Prints above the table."""
        self._live.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def write(self, lines: Sequence[str]) -> None:
        """Prints lines above the table."""
        for text in lines:
            self.say(text)

    def show(self, rows: Sequence[Row]) -> None:
        """Replaces the table."""
        self._live.update(table(rows))

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes the table; what was said stays."""
        self._live.stop()


def _print(text: str) -> None:
    print(text, flush=True)


def open_screen() -> Screen:
    """The screen that fits standard output."""
    return LiveScreen() if sys.stdout.isatty() else PlainScreen()
