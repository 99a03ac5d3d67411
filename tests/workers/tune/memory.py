"""A journal in memory, for tests that are not about files."""

from headrace_workers.tune.journal import Event


class MemoryJournal:
    """Keeps events in a list."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        self.events.append(event)

    def read(self) -> list[Event]:
        return list(self.events)


def memory_journal() -> MemoryJournal:
    """An empty journal."""
    return MemoryJournal()
