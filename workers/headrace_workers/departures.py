"""How a worker pod leaves its run: it asks the head, and goes once what the run has learnt is saved.

A worker that gets no answer goes all the same before its grace period is over, and then counts as lost.
"""

import json
import threading
import time
from http.client import HTTPConnection, HTTPException

PATH = "/departures"
LONGEST_WAIT_SECONDS = 3600.0
ANSWER_SECONDS = 1.0
CONNECT_SECONDS = 3.0
"""A head that is gone may answer with silence."""


class Departures:
    """The head's side. Until `hold` is called, and after `open`, everyone may go at once."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._changed = threading.Condition()
        self._waiting: set[str] = set()
        self._holds = False

    def ask(self, worker: str, seconds: float) -> bool:
        """Blocks until the worker may go; False if that took longer than `seconds`."""
        ends = time.monotonic() + min(seconds, LONGEST_WAIT_SECONDS)
        with self._changed:
            if not self._holds:
                return True
            self._waiting.add(worker)
            while worker in self._waiting:
                if not self._changed.wait(max(ends - time.monotonic(), 0.0)):
                    self._waiting.discard(worker)
                    return False
            return True

    @property
    def waiting(self) -> frozenset[str]:
        """The pods that want to go."""
        with self._changed:
            return frozenset(self._waiting)

    def hold(self) -> None:
        """From now on a worker that wants to go waits for `release`."""
        with self._changed:
            self._holds = True

    def release(self) -> frozenset[str]:
        """Lets those go that wait now, and returns who they are."""
        with self._changed:
            released = frozenset(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return released

    def let_go(self, worker: str) -> None:
        """Lets one go that waits."""
        with self._changed:
            self._waiting.discard(worker)
            self._changed.notify_all()

    def open(self) -> frozenset[str]:
        """Lets all go, now and from now on, and returns who waited."""
        with self._changed:
            self._holds = False
        return self.release()


def ask_to_leave(address: str, worker: str, token: str, seconds: float) -> str:
    """Blocks until the head at `host:port` lets the worker go; returns why it did not within `seconds`, or nothing."""
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=min(CONNECT_SECONDS, seconds))
    body = json.dumps({"worker": worker, "seconds": seconds})
    try:
        connection.connect()
        connection.sock.settimeout(seconds + ANSWER_SECONDS)
        connection.request("POST", PATH, body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"the head at {address} did not answer within {seconds:g} s ({type(error).__name__})"
    finally:
        connection.close()
    return "" if status == 204 else f"the head at {address} answered {status}"
