"""Who is certainly gone: ports that refuse, ports that answer, ports that are silent."""

import socket
from collections.abc import Iterator

import pytest

from headrace_workers.train.gone import gone
from headrace_workers.train.quorum import Member


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        yield server


def member(port: int) -> Member:
    return Member(f"m{port}", f"127.0.0.1:{port}", f"127.0.0.1:{port}", 0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_nobody_listens_where_one_is_gone(listener: socket.socket) -> None:
    """Of three the one whose port refuses."""
    alive = member(listener.getsockname()[1])

    assert gone([alive, member(free_port()), alive]) == {1}


def test_one_that_hangs_is_not_gone(listener: socket.socket) -> None:
    """It accepts nothing, and when its backlog is full it does not even answer."""
    address = listener.getsockname()
    waiting = [socket.socket() for _ in range(3)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(address)

    assert gone([member(address[1])]) == frozenset()
    for each in waiting:
        each.close()
