"""Handing the common state over: only to who has the token, and only while it is the present one."""

from collections.abc import Iterator

import pytest

from headrace_workers.train.group import PeerLost
from headrace_workers.train.state_server import StateServer, fetch


@pytest.fixture
def server() -> Iterator[StateServer]:
    opened = StateServer("127.0.0.1", "secret")
    opened.state = lambda moves: b"state" * 1000 if moves == 7 else None
    yield opened
    opened.close()


def test_the_state_arrives(server: StateServer) -> None:
    """All of its bytes."""
    assert fetch(server.address, "secret", 7) == b"state" * 1000


def test_a_stranger_gets_nothing(server: StateServer) -> None:
    """Another token is refused."""
    with pytest.raises(PeerLost, match="401"):
        fetch(server.address, "guess", 7)


def test_a_rank_that_went_on_says_so(server: StateServer) -> None:
    """The state of another moment is not handed over in its place."""
    with pytest.raises(PeerLost, match="gone on"):
        fetch(server.address, "secret", 8)


def test_a_rank_that_is_gone_is_lost(server: StateServer) -> None:
    """No connection is a lost peer, which the loop knows how to deal with."""
    address = server.address
    server.close()
    with pytest.raises(PeerLost, match="did not hand its state over"):
        fetch(address, "secret", 7)
