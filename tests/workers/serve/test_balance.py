"""The router's choice: exact shares, even servers, and a table that changes under way."""

from collections import Counter

import pytest

from headrace.api.run_spec import Backend, Routing
from headrace_workers.serve.balance import Balance


def table(*backends: tuple[str, int, int]) -> Routing:
    """Backends as (version, weight, number of servers)."""
    return Routing(
        backends=tuple(
            Backend(version=name, weight=weight, endpoints=tuple(f"{name}:{1 + n}" for n in range(count)))
            for name, weight, count in backends
        )
    )


def balance_of(*backends: tuple[str, int, int]) -> Balance:
    """A balance with these backends."""
    balance = Balance()
    balance.replace(table(*backends))
    return balance


def versions_taken(balance: Balance, requests: int) -> list[str]:
    """The versions of requests that are answered one after the other."""
    taken = []
    for _ in range(requests):
        server = balance.take(now=0.0)
        assert server is not None
        taken.append(server.version)
        balance.give_back(server)
    return taken


@pytest.mark.parametrize("weights", [(90, 10), (99, 1), (50, 50), (33, 67), (60, 30, 10), (100, 0)])
def test_shares_are_exact_over_any_hundred_requests(weights: tuple[int, ...]) -> None:
    """Over any 100 requests in a row each version's share is its weight to within one request."""
    balance = balance_of(*((f"v{n}", weight, 1) for n, weight in enumerate(weights)))
    taken = versions_taken(balance, 450)
    for start in range(350):
        window = Counter(taken[start : start + 100])
        assert all(abs(window[f"v{n}"] - weight) <= 1 for n, weight in enumerate(weights))


def test_a_version_without_servers_gets_nothing() -> None:
    """Requests go to the versions that have a server, whatever the weights say."""
    assert set(versions_taken(balance_of(("old", 10, 1), ("new", 90, 0)), 50)) == {"old"}


def test_the_same_table_again_changes_no_turn() -> None:
    """A table that is sent again before every request yields the same order as one sent once."""
    once, again = balance_of(("a", 70, 2), ("b", 30, 1)), balance_of(("a", 70, 2), ("b", 30, 1))
    expected = versions_taken(once, 100)
    taken = []
    for _ in range(100):
        again.replace(table(("a", 70, 2), ("b", 30, 1)))
        taken += versions_taken(again, 1)
    assert taken == expected


def test_the_least_busy_server_is_taken() -> None:
    """Requests that are not over are spread evenly, and the first server that becomes free gets the next."""
    balance = balance_of(("a", 100, 3))
    taken = [balance.take(0.0) for _ in range(9)]
    assert Counter(server.address for server in taken if server) == {"a:1": 3, "a:2": 3, "a:3": 3}
    assert taken[4] is not None
    balance.give_back(taken[4])
    following = balance.take(0.0)
    assert following is not None and following.address == taken[4].address


def test_idle_servers_take_turns() -> None:
    """Requests that come one at a time reach every server of a version."""
    balance = balance_of(("a", 100, 3))
    addresses = []
    for _ in range(6):
        server = balance.take(0.0)
        assert server is not None
        addresses.append(server.address)
        balance.give_back(server)
    assert addresses == ["a:1", "a:2", "a:3"] * 2


def test_a_resting_server_is_left_alone_until_it_is_awake() -> None:
    """A server that rests gets no request while another is awake, and gets them again afterwards."""
    balance = balance_of(("a", 100, 2))
    first = balance.take(0.0)
    assert first is not None
    first.rests_until = 5.0
    balance.give_back(first)
    assert {server.address for _ in range(4) if (server := balance.take(1.0))} == {"a:2"}
    assert (woken := balance.take(6.0)) is not None and woken.address == "a:1"


def test_when_all_rest_one_is_asked_all_the_same() -> None:
    """Where every server rests, a request is still taken to one."""
    balance = balance_of(("a", 100, 1))
    server = balance.take(0.0)
    assert server is not None
    server.rests_until = 5.0
    assert balance.take(1.0) is server


def test_a_server_already_tried_is_not_taken_again() -> None:
    """A second try goes elsewhere, to another version if need be, or nowhere."""
    balance = balance_of(("a", 90, 1), ("b", 10, 1))
    assert (other := balance.take(0.0, ("a:1",))) is not None and other.address == "b:1"
    assert balance.take(0.0, ("a:1", "b:1")) is None


def test_a_server_that_stays_keeps_its_requests_in_flight() -> None:
    """A new table does not forget what a server that stays is busy with."""
    balance = balance_of(("a", 100, 1))
    balance.take(0.0)
    balance.replace(table(("a", 100, 2)))
    assert (following := balance.take(0.0)) is not None and following.address == "a:2"
