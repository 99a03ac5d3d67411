"""Who trains: the ranks that torchft's lighthouse counts as alive when all of them have asked it.

Ranks ask only when the group is to change, not before every step as torchft's own Manager does: with four ranks on two
cores that took 7 ms of each step. A rank that is alive, as its heartbeats say, is waited for; one whose heartbeats have
stopped is not. The lighthouse runs in the head's process, and a group ends with its head.
"""

import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from headrace_workers.train.group import PeerLost

HEARTBEAT_SECONDS = 0.1
SILENCE_SECONDS = 1.5
"""A rank that was not heard of for this long is lost."""
NEVER_SECONDS = 86_400.0
"""No group is formed while somebody who is alive has not asked for it."""
TICK_SECONDS = 0.05
LOOK_SECONDS = 0.1
CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Member:
    """A rank as others see it."""

    identity: str
    """Sorts by the time of joining: the oldest rank leads."""
    store: str
    """The `host:port` of its store, at which a group meets when it is the first."""
    state: str
    """Where it hands over what ranks have in common."""
    moves: int
    last: tuple[str, ...] = ()
    """Who was with it in its last group."""

    @property
    def pod(self) -> str:
        """The pod that it is on."""
        return self.identity.partition("-")[2]


@dataclass(frozen=True)
class Membership:
    """The members of a group in the order of their ranks, and a name that no other group has."""

    name: str
    members: tuple[Member, ...]

    @property
    def most_moves(self) -> int:
        """What the ranks that are not behind have done."""
        return max(member.moves for member in self.members)

    @property
    def missing(self) -> frozenset[str]:
        """Who was in the last group of one of them and is not in this one."""
        return frozenset(name for member in self.members for name in member.last) - self.identities

    @property
    def identities(self) -> frozenset[str]:
        """Who is in it."""
        return frozenset(member.identity for member in self.members)

    def without(self, ranks: frozenset[int]) -> "Membership":
        """The group that is left when some go; all that stay derive the same one."""
        stay = tuple(member for rank, member in enumerate(self.members) if rank not in ranks)
        return Membership(f"{self.name}-{'-'.join(str(rank) for rank in sorted(ranks))}", stay)

    def has_majority_of(self, group: "Membership") -> bool:
        """Whether more than half of a group are in it, or half of it with the oldest: of two parts that cannot reach each other at most one has that."""
        doubled = 2 * len(self.members) - len(group.members)
        return doubled > 0 or (doubled == 0 and group.members[0].identity in self.identities)

    def after(self, group: "Membership", moves: Sequence[int]) -> "Membership":
        """The same, whose members were in `group` before, and have made so many moves in the order of ranks."""
        last = tuple(sorted(group.identities))
        members = (replace(each, moves=done, last=last) for each, done in zip(self.members, moves, strict=True))
        return Membership(self.name, tuple(members))

    def source_for(self, identity: str) -> Member | None:
        """Whom a member takes the common state from: those that are behind spread over those that are not."""
        ahead = [member for member in self.members if member.moves == self.most_moves]
        behind = [member.identity for member in self.members if member.moves < self.most_moves]
        return ahead[behind.index(identity) % len(ahead)] if identity in behind else None


def start_lighthouse(host: str, fewest: int) -> tuple[Any, str]:
    """Starts it in this process; it lives as long as the object that comes with its address."""
    from torchft.coordination import LighthouseServer

    server = LighthouseServer(
        bind=f"{bracketed(host)}:0",
        min_replicas=fewest,
        join_timeout_ms=int(NEVER_SECONDS * 1000),
        quorum_tick_ms=int(TICK_SECONDS * 1000),
        heartbeat_timeout_ms=int(SILENCE_SECONDS * 1000),
    )
    # Its own address has the host's name, which need not be known to others.
    return server, f"http://{bracketed(host)}:{server.address().rpartition(':')[2]}"


def bracketed(host: str) -> str:
    """An address as it stands before a port."""
    return f"[{host}]" if ":" in host else host


class Quorum:
    """One rank's way to the others."""

    def __init__(self, lighthouse: str, host: str, name: str, state: str) -> None:
        """From now on this rank is alive; `host` is its address, `state` where it hands over what ranks have in common."""
        import torch.distributed as dist
        from torchft.coordination import LighthouseClient, ManagerServer

        self.identity = f"{time.time_ns():020d}-{name}"
        self._state = state
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Without a socket of ours the store would listen on every address of the machine.
        self._listener = socket.create_server((host, 0), family=family)
        port = self._listener.getsockname()[1]
        self._store = dist.TCPStore(
            host, port, is_master=True, wait_for_workers=False, master_listen_fd=self._listener.detach(),
        )  # fmt: skip
        self._address = f"{bracketed(host)}:{port}"
        self._client = LighthouseClient(lighthouse, timedelta(seconds=CONNECT_SECONDS))
        # Used for its heartbeats, which do not wait for Python.
        self._heart = ManagerServer(
            replica_id=self.identity, lighthouse_addr=lighthouse, hostname=host, bind=f"{bracketed(host)}:0",
            store_addr=self._address, world_size=1, heartbeat_interval=timedelta(seconds=HEARTBEAT_SECONDS),
            connect_timeout=timedelta(seconds=CONNECT_SECONDS), quorum_retries=0,
        )  # fmt: skip

    def meet(self, moves: int, last: frozenset[str], is_over: Callable[[], bool]) -> Membership | None:
        """The group of all that are alive, once they have asked for it too; none once `is_over`.

        `last` are the members of the group that this rank was in.

        PeerLost if the lighthouse does not answer.
        """
        # One request, however long it takes: the lighthouse would count a rank in that has given its request up.
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._ask, args=(moves, sorted(last), answers), name="quorum", daemon=True).start()
        while True:
            try:
                found = answers.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if is_over():
                    return None
                continue
            if isinstance(found, Exception):
                raise PeerLost(f"the lighthouse does not answer: {found}") from found
            break
        members = (
            Member(each.replica_id, each.store_address, each.data["state"], each.step, tuple(each.data["last"]))
            for each in found.participants
        )
        name = f"{found.quorum_id}-{found.created.seconds}.{found.created.nanos:09d}"
        return Membership(name, tuple(sorted(members, key=lambda member: member.identity)))

    def _ask(self, moves: int, last: list[str], answers: "queue.SimpleQueue[Any]") -> None:
        try:
            answers.put(
                self._client.quorum(
                    replica_id=self.identity, timeout=timedelta(seconds=NEVER_SECONDS), address=self._address,
                    store_address=self._address, step=moves, world_size=1, shrink_only=False,
                    data={"state": self._state, "last": last},
                )
            )  # fmt: skip
        except (RuntimeError, TimeoutError) as error:
            answers.put(error)

    def close(self) -> None:
        """Is not alive any more."""
        self._heart.shutdown()
