"""A group whose ranks come and go between two moves, while the others train on.

What one rank hears (somebody waits to be let in, this rank is asked to go) the ranks tell each other when they talk. A
group that is to grow, or that lost a rank, meets anew at the lighthouse; one that some leave goes on without asking.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import AllgatherOptions

from headrace_workers.faults import RunFault
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.gone import gone
from headrace_workers.train.group import Group, Left, PeerLost
from headrace_workers.train.meeting import Meeting, Pulse
from headrace_workers.train.quorum import Membership, Quorum
from headrace_workers.train.state_server import StateServer, fetch

if TYPE_CHECKING:
    from headrace_workers.train.training import Training

FRUITLESS_FORMATIONS = 10
"""As often a group may be formed without one move made."""
PAUSE_SECONDS = 0.2
ASK_AGAIN_SECONDS = 5.0
SECOND_LOOK_SECONDS = 0.3
FORM_SECONDS = 10.0
GO_ON_SECONDS = 3.0
"""Those that are left of a group find out at the same moment."""

logger = logging.getLogger(__name__)


class ElasticGroup(Group):
    """One rank of it. It says when it is ready, and waits to be told to begin or to join; all that is told comes by other threads."""

    changes = True

    def __init__(self, meeting: Meeting, host: str, name: str, device: str, ask: Callable[[], None]) -> None:
        """`ask` says that this rank is ready, or waits again: it is told to begin or to join, or those that train to let it in."""
        super().__init__(0, 1, device, Wire(self._add_up, self._swap, self._gather))
        self.formed = False
        self._meeting, self._ask = meeting, ask
        self._hand = StateServer(host, meeting.token)
        self._quorum = Quorum(meeting.lighthouse, host, name, self._hand.address)
        self._membership: Membership | None = None
        self._processes: Any = None
        self._told, self._begins, self._leaves, self._others, self._stops = (threading.Event() for _ in range(5))
        self._last_moves, self._fruitless = -1, 0
        self._training: Training | None = None
        self._waits, self._has_lost = True, False
        self._asks_at = 0.0
        self._seen_moves, self._seen_at = -1, time.monotonic()

    @property
    def pods(self) -> tuple[str, ...]:
        """As the members are named."""
        return tuple(member.pod for member in self._membership.members) if self._membership else ()

    @property
    def fewest(self) -> int:
        """As the manifest says."""
        return self._meeting.fewest

    @property
    def missing(self) -> int:
        """Of the last group's."""
        return len(self._membership.missing) if self._membership else 0

    @property
    def wants_others(self) -> bool:
        """Whether somebody waits."""
        return self._others.is_set()

    @property
    def wants_to_leave(self) -> bool:
        """Whether this rank was asked to go."""
        return self._leaves.is_set()

    def leave(self) -> None:
        """Asks this rank to go when all have paid what they owe."""
        self._leaves.set()

    def let_in(self) -> None:
        """Tells this rank that somebody waits."""
        self._others.set()

    def begin(self) -> None:
        """Tells a rank that has done nothing yet that nobody trains: it begins, with all that are told so."""
        self._begins.set()
        self._told.set()

    def join(self) -> None:
        """Tells a rank that has done nothing yet that others train: it takes over what they have in common."""
        self._told.set()

    def stop(self) -> None:
        """Tells a rank that waits that the run stops."""
        self._stops.set()
        self._told.set()

    @property
    def stops(self) -> bool:
        """Whether the run stops."""
        return self._stops.is_set()

    @property
    def pulse(self) -> Pulse:
        """How this rank does since it was last asked."""
        moves = self._training.moves if self._training else 0
        if moves != self._seen_moves:
            self._seen_moves, self._seen_at = moves, time.monotonic()
        return Pulse(time.monotonic() - self._seen_at, self._waits)

    def close(self) -> None:
        """Is no member any more."""
        self._quorum.close()
        self._hand.close()
        self._disband()

    def form(self, training: "Training") -> None:
        """Meets all that are alive, and takes over what they have in common if this rank is behind.

        RunFault if that was done again and again without one move made.
        """
        self._training, self._waits = training, True
        self._count(training.moves)
        self._disband()
        self._hand.state = lambda moves: _state_of(training, moves)
        membership = self._without_who_is_gone(training.moves)
        if membership is None:
            membership = self._meet(training.moves)
            self._join(membership)
        if source := membership.source_for(self._quorum.identity):
            began = time.monotonic()
            try:
                data = fetch(source.state, self._meeting.token, membership.most_moves)
                training.take_over(data)
            except ValueError as error:
                raise PeerLost(f"what {source.identity} handed over cannot be read: {error}") from error
            logger.info("took %d bytes over from %s in %.3g s", len(data), source.identity, time.monotonic() - began)
        training.regroup()
        self.formed, self._waits = True, False

    def reform(self) -> None:
        """Meets anew before the next move."""
        self.formed = False

    def part(self, leaving: Sequence[int]) -> None:
        """Goes on without asking anybody, for all that stay know who goes; if too few stay, they wait for others."""
        if self.rank in leaving:
            raise Left
        assert self._membership is not None
        if self.world_size - len(leaving) < self.fewest:
            self.reform()
            return
        self._disband()
        self._join(self._membership.without(frozenset(leaving)))

    def lose(self, lost: PeerLost) -> None:
        """Has the group meet anew."""
        logger.warning("%s; the group is formed anew", lost)
        self.formed, self._has_lost = False, True

    def _without_who_is_gone(self, moves: int) -> Membership | None:
        """The group that is left when some are certainly gone; none if that is not certain, or not what all others see."""
        # The lighthouse counts the dead in until it has not heard of them for long.
        before, self._has_lost = self._membership if self._has_lost else None, False
        if before is None:
            return None
        if not (lost := gone(before.members)):
            logger.warning("none of %d ranks is certainly gone; the lighthouse is asked", len(before.members))
            return None
        left = before.without(lost)
        if len(left.members) < self.fewest or not left.has_majority_of(before):
            return None
        try:
            self._join(left, GO_ON_SECONDS)
            made = [int.from_bytes(each, "big") for each in self.gather_bytes(moves.to_bytes(8, "big"))]
        except PeerLost as error:
            logger.warning("%s; the lighthouse is asked", error)
            self._disband()
            return None
        self._membership = left.after(before, made)
        return self._membership

    def _count(self, moves: int) -> None:
        self._fruitless = self._fruitless + 1 if moves == self._last_moves else 0
        self._last_moves = moves
        if self._fruitless:
            time.sleep(PAUSE_SECONDS)
        if self._fruitless > FRUITLESS_FORMATIONS:
            message = f"the group of workers was formed {FRUITLESS_FORMATIONS} times without one step done; look at the network between the workers' pods"
            raise RunFault("WorkersFailing", message, retryable=True)

    def _meet(self, moves: int) -> Membership:
        """The group to be. One of ranks that all have done nothing counts only if no other group trains."""
        if not self._told.is_set():
            self._ask()
            self._told.wait()
        self._asks_at = time.monotonic() + ASK_AGAIN_SECONDS
        last = self._membership.identities if self._membership else frozenset()
        seen: frozenset[str] | None = None
        while True:
            membership = self._quorum.meet(moves, last, self._is_over)
            if membership is None:
                # Not Interrupted: nothing has been saved.
                raise Left
            if not membership.most_moves and not self._begins.is_set():
                time.sleep(PAUSE_SECONDS)
                continue
            if membership.missing and membership.identities != seen:
                # The lighthouse itself may have been still, and have heard nobody: whoever is alive is heard of soon.
                seen = membership.identities
                time.sleep(SECOND_LOOK_SECONDS)
                continue
            # Who waited has been let in; who came a moment later says so again.
            self._others.clear()
            return membership

    def _is_over(self) -> bool:
        """Whether this rank need not wait any longer; says now and then that it still does."""
        if time.monotonic() >= self._asks_at:
            self._ask()
            self._asks_at = time.monotonic() + ASK_AGAIN_SECONDS
        return self.stops

    def _join(self, membership: Membership, seconds: float = FORM_SECONDS) -> None:
        from torchft.process_group import ProcessGroupGloo, ProcessGroupNCCL

        rank = [member.identity for member in membership.members].index(self._quorum.identity)

        class Processes(ProcessGroupNCCL if self.device.startswith("cuda") else ProcessGroupGloo):  # type: ignore[misc]
            def _create_pg(self, store: dist.Store, rank: int, world_size: int) -> Any:
                # Who is counted in comes at once, or is lost meanwhile.
                store.set_timeout(timedelta(seconds=seconds))
                return super()._create_pg(store, rank, world_size)

        processes = Processes(timeout=timedelta(seconds=self._meeting.timeout_seconds))
        try:
            processes.configure(
                f"{membership.members[0].store}/{membership.name}", self._quorum.identity, rank, len(membership.members)
            )
        except RuntimeError as error:
            raise PeerLost(f"not all of {len(membership.members)} ranks came: {error}") from error
        self._membership, self._processes = membership, processes
        self.rank, self.world_size = rank, len(membership.members)

    def _disband(self) -> None:
        if self._processes is not None:
            self._processes.abort(errored=False)
        self._processes = None

    def _add_up(self, tensor: torch.Tensor) -> None:
        if self.world_size > 1:
            self._wait(lambda: self._processes.allreduce([tensor], dist.AllreduceOptions()))

    def _swap(self, into: torch.Tensor, mine: torch.Tensor) -> None:
        if self.world_size == 1:
            into.copy_(mine.view_as(into))
            return
        self._wait(lambda: self._processes.alltoall_base(into, mine, [], [], dist.AllToAllOptions()))

    def _gather(self, into: torch.Tensor, mine: torch.Tensor) -> None:
        if self.world_size == 1:
            into.copy_(mine.view_as(into))
            return
        self._wait(lambda: self._processes.allgather_into_tensor_coalesced([into], [mine], AllgatherOptions()))

    def _wait(self, begin: Callable[[], Any]) -> None:
        self._waits = True
        try:
            begin().wait()
        except RuntimeError as error:
            message = str(error).partition("\n")[0]
            raise PeerLost(f"a collective of {self.world_size} ranks failed: {message}") from error
        self._waits = False


def _state_of(training: "Training", moves: int) -> bytes | None:
    """What the ranks had in common after so many moves; none if this one has made the next meanwhile."""
    if training.moves != moves:
        return None
    data = training.hand_over()
    return data if training.moves == moves else None
