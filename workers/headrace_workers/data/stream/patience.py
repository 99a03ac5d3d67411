"""How long a broker that does not answer is waited for, and how often it is asked meanwhile."""

from headrace_workers.faults import RunFault

LONGEST_SECONDS = 600.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0


class Patience:
    """Troubles in a row. Times are a monotonic clock's seconds."""

    def __init__(self) -> None:
        """No trouble."""
        self._since: float | None = None
        self._pause = 0.0
        self._next = 0.0
        self.trouble = ""

    def hear(self, trouble: str, now: float) -> None:
        """There is trouble; RunFault BrokerUnreachable if there has been nothing else for too long."""
        self._since = now if self._since is None else self._since
        if now - self._since >= LONGEST_SECONDS:
            raise RunFault("BrokerUnreachable", f"{trouble}; waited {LONGEST_SECONDS:g} s"[:1000], retryable=True)
        if now >= self._next:
            self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            self._next = now + self._pause
        self.trouble = trouble

    def clear(self) -> None:
        """The broker has answered."""
        self._since, self._pause, self._next, self.trouble = None, 0.0, 0.0, ""

    def may_ask(self, now: float) -> bool:
        """Whether it is time to ask again."""
        return now >= self._next
