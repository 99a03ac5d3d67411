"""Heads that die at a write."""

from typing import Any

import pytest

from headrace_workers.data.stream import lake
from headrace_workers.storage import Folder


class Died(BaseException):
    """The head is gone: nothing of it catches this."""


class Writes:
    """Counts the writes of a head, and has it die at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Watches files that are written and deleted, and commits."""
        self.count, self.die_at, self.after = 0, -1, False
        for owner, name in ((Folder, "write"), (Folder, "delete"), (lake, "write_deltalake")):
            monkeypatch.setattr(owner, name, self._watched(getattr(owner, name)))

    def start(self, die_at: int, *, after: bool) -> None:
        """Counts anew; the head dies at that write, before it is done or after."""
        self.count, self.die_at, self.after = 0, die_at, after

    def stop(self) -> None:
        """Nobody dies any more."""
        self.die_at = -1

    def _watched(self, done: Any) -> Any:
        def watched(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self.die_at and not self.after:
                raise Died
            done(*arguments, **named)
            if self.count == self.die_at:
                raise Died

        return watched
