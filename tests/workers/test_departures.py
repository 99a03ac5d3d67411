"""Workers go once the head has saved, at once where there is nothing to save, and never for longer than they have."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_workers.departures import Departures, ask_to_leave
from headrace_workers.pod import Pod
from headrace_workers.report import Reporter
from headrace_workers.storage import Folder


@pytest.fixture
def head(tmp_path: Path) -> Iterator[tuple[str, Departures]]:
    """A head's report port and its departures."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pod = Pod("p", "127.0.0.1", "secret", tmp_path / "log", tmp_path / "spec", {"report": port})
    reporter = Reporter(pod, Folder(tmp_path.as_uri()))
    reporter.serve()
    yield f"127.0.0.1:{port}", reporter.departures
    reporter.close()


def wait_for(departures: Departures, *workers: str) -> None:
    ends = time.monotonic() + 5
    while departures.waiting != set(workers):
        assert time.monotonic() < ends, departures.waiting
        time.sleep(0.01)


def test_a_worker_waits_for_its_release(head: tuple[str, Departures]) -> None:
    """It is held until the head releases it."""
    address, departures = head
    departures.hold()
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(ask_to_leave(address, "w-1", "secret", 30)))
    asking.start()
    wait_for(departures, "w-1")
    assert not answers
    assert departures.release() == {"w-1"}
    asking.join(5)
    assert answers == [""]
    assert not departures.waiting


def test_where_nothing_is_held_a_worker_goes_at_once(head: tuple[str, Departures]) -> None:
    """Before the first hold and after open, nobody waits."""
    address, departures = head
    assert ask_to_leave(address, "w-1", "secret", 30) == ""
    departures.hold()
    departures.open()
    assert ask_to_leave(address, "w-1", "secret", 30) == ""


def test_a_worker_that_waited_in_vain_is_told_so(head: tuple[str, Departures]) -> None:
    """It leaves when its time is up, and no longer counts as waiting."""
    address, departures = head
    departures.hold()
    assert ask_to_leave(address, "w-1", "secret", 0.3) == f"the head at {address} answered 503"
    assert not departures.waiting


def test_no_head_no_wait() -> None:
    """A head that is gone is told in a sentence, at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert ask_to_leave(address, "w-1", "secret", 30) == (
        f"the head at {address} did not answer within 30 s (ConnectionRefusedError)"
    )


def test_a_stranger_is_refused(head: tuple[str, Departures]) -> None:
    """Only the bearer of the run's token may ask."""
    assert ask_to_leave(head[0], "w-1", "other", 5) == f"the head at {head[0]} answered 401"
