"""Warnings of the loop as sentences on the screen: no traceback, and the same one not again and again."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REPEATED_AFTER_SECONDS = 30.0


class Notices(logging.Handler):
    """Tells what was logged as a warning or worse."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Tells nothing below a warning."""
        super().__init__(logging.WARNING)
        self._say = say
        self._clock = clock
        self._last: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Says the message and, where there is an exception, its name and sentence."""
        error = record.exc_info[1] if record.exc_info else None
        sentence = record.getMessage() + (f": {type(error).__name__}: {error}" if error else "")
        now = self._clock()
        if now - self._last.get(sentence, float("-inf")) >= REPEATED_AFTER_SECONDS:
            self._last[sentence] = now
            self._say(f"warning: {sentence}")


@contextmanager
def notices(say: Callable[[str], None]) -> Iterator[None]:
    """While open, warnings go to `say` instead of standard error."""
    logger, handler = logging.getLogger("headrace"), Notices(say)
    logger.addHandler(handler)
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
