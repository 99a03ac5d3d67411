"""Which version, and which of its servers, takes the next request. Deterministic: no clock, randomness or I/O.

Versions take turns by smooth weighted round robin (nginx, 2012), so that over any 100 requests a version's share is its
weight to within one request. Within a version the server with the fewest requests in flight takes it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from headrace.api.run_spec import Backend, Routing


@dataclass
class Server:
    """One server of a version: how busy it is, and until when it is left alone after a failed connection."""

    version: str
    address: str
    in_flight: int = 0
    rests_until: float = 0.0


@dataclass
class Version:
    """One version's turn counter and its servers."""

    name: str
    weight: int
    servers: Mapping[str, Server]
    credit: int = 0
    last: str = ""

    def least_busy(self, now: float, tried: Collection[str]) -> Server | None:
        """The awake server with the fewest requests in flight, the one after the last taken first; None if there is none."""
        awake = [
            server
            for address, server in sorted(self.servers.items())
            if server.rests_until <= now and address not in tried
        ]
        return min(awake, key=lambda server: (server.in_flight, server.address <= self.last), default=None)


class Balance:
    """The router's table and whose turn it is."""

    def __init__(self) -> None:
        """Starts without backends."""
        self.routing = Routing()
        self._versions: dict[str, Version] = {}

    def replace(self, routing: Routing) -> None:
        """Takes a new table. What stays keeps its counts; what is gone finishes what it has, outside the table.

        Turns start anew only if who shares, or how much, has changed: the operator sends the same table many times.
        """
        versions = {backend.version: self._succeed(backend) for backend in routing.backends}
        if _shares(self._versions) == _shares(versions):
            for name, version in versions.items():
                version.credit = self._versions[name].credit
        self._versions = versions
        self.routing = routing

    def _succeed(self, backend: Backend) -> Version:
        known = self._versions.get(backend.version)
        servers = known.servers if known else {}
        kept = {address: servers.get(address) or Server(backend.version, address) for address in backend.endpoints}
        return Version(backend.version, backend.weight, kept, last=known.last if known else "")

    def take(self, now: float, tried: Collection[str] = ()) -> Server | None:
        """The server for the next request, counted as in flight until `give_back`; None if no server can be asked.

        `now` is in seconds of any steady clock; `tried` are addresses not to be taken again. Servers that rest are taken
        only when all do, since an answer late is better than none.
        """
        server = self._next(now, tried) or self._next(float("inf"), tried)
        if server:
            server.in_flight += 1
        return server

    def _next(self, now: float, tried: Collection[str]) -> Server | None:
        open_now = [
            (version, server)
            for version in self._versions.values()
            if version.weight and (server := version.least_busy(now, tried))
        ]
        if not open_now:
            return None
        for version, _ in open_now:
            version.credit += version.weight
        version, server = max(open_now, key=lambda pair: pair[0].credit)
        version.credit -= sum(other.weight for other, _ in open_now)
        version.last = server.address
        return server

    @staticmethod
    def give_back(server: Server) -> None:
        """The request that `take` counted is over."""
        server.in_flight -= 1


def _shares(versions: Mapping[str, Version]) -> set[tuple[str, int, bool]]:
    return {(version.name, version.weight, bool(version.servers)) for version in versions.values()}
