"""The workers of an elastic group as the head sees them: an actor on each pod, told what the others wait for.

Whoever is ready begins with the others, or joins those that train. A member that does not answer, or that alone keeps all
others waiting, is ended, so that its connections break and the others go on; a new one takes its place on the same pod.
"""

import logging
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from headrace.api.run_spec import RunSpec
from headrace_workers.faults import RunFault
from headrace_workers.ray_cluster import WORKER_RESOURCE, joined_workers_by_node
from headrace_workers.train.board import Note, Ready, Trains
from headrace_workers.train.meeting import Meeting, Pulse
from headrace_workers.train.member import CONCURRENCY, Member
from headrace_workers.train.progress import Snapshot
from headrace_workers.train.rank import RankWork

LOOK_SECONDS = 0.5
GATHER_SECONDS = 30.0
"""The first group waits so long for workers that have joined and are not ready yet."""
SILENT_LOOKS = 10
"""A member that has not answered for so many looks is ended: a head that itself stood still blames nobody."""
START_LOOKS = 120
"""A new member answers nothing while its process starts and imports."""
MOST_TIMEOUT_SECONDS = 60.0
"""A collective takes no longer, unless a run may stall for less."""
TOGETHER_SECONDS = 5.0
"""One that is ready to join waits so long for others that are about to be: each time somebody joins, all others wait."""
SOONER_SECONDS = 30.0
"""So much sooner than a run may stall, or a tenth of that, a member that hangs is ended: then the operator starts all again."""
LOSSES_WITHOUT_PROGRESS = 5

logger = logging.getLogger(__name__)


@dataclass
class Entry:
    """One actor."""

    pod: str
    actor: Any
    work: Any
    """The reference to what `train` returns."""
    since: float = field(default_factory=time.monotonic)
    ready_at: float | None = None
    trains: bool = False
    told: bool = False
    leaves: bool = False
    pulse: Any = None
    """The reference to an answer that is awaited, for `unanswered` looks."""
    unanswered: int = 0
    hangs: str = ""
    """Why it is ended, if that is because it hangs."""
    has_answered: bool = False
    last: Pulse = field(default_factory=lambda: Pulse(0.0, waits=True))


class Members:
    """All actors of a run. `look` is called again and again; nothing here waits."""

    def __init__(self, run: RunSpec, work: RankWork, host: str) -> None:
        """Starts the lighthouse, and no actor yet."""
        from headrace_workers.train.quorum import start_lighthouse

        assert run.train is not None
        self._run, self._work = run, work
        stall = float(run.train.stall_seconds)
        self._patience = stall - min(SOONER_SECONDS, stall / 10)
        self._lighthouse, address = start_lighthouse(host, run.min_workers)
        timeout = min(MOST_TIMEOUT_SECONDS, stall)
        self._meeting = Meeting(address, secrets.token_urlsafe(32), run.min_workers, timeout)
        self._entries: dict[str, Entry] = {}
        self._gone: set[str] = set()
        """Pods whose worker left: no other takes its place there."""
        self._looked_at = 0.0
        self._losses = 0
        self._error = "a worker was lost"
        self.left: set[str] = set()
        """Pods that may go."""
        self.hung: list[tuple[str, str]] = []
        """Pods whose member hung and has ended, each with how that was seen."""

    @property
    def ended(self) -> bool:
        """Whether all have returned."""
        return not self._entries

    @property
    def training(self) -> int:
        """How many train."""
        return sum(entry.trains for entry in self._entries.values())

    def hear(self, note: Note) -> None:
        """Takes what a rank posted, as far as it is about the group."""
        match note:
            case Ready():
                self.is_ready(note.pod)
            case Trains():
                self.trains(note.pod)
            case Snapshot():
                # A step was done: those that were lost before it are made up for.
                self._losses = 0
            case _:
                pass

    def is_ready(self, pod: str) -> None:
        """Hears that a rank is ready, or still waits."""
        if (entry := self._entries.get(pod)) is None:
            return
        entry.ready_at = entry.ready_at or time.monotonic()
        still_waits = entry.told
        self._invite()
        if still_waits:
            self._tell("let_in", [each for each in self._entries.values() if each.trains and each is not entry])

    def trains(self, pod: str) -> None:
        """Hears that a rank trains."""
        if entry := self._entries.get(pod):
            entry.trains = True

    def let_go(self, pod: str) -> None:
        """Has a pod's rank leave when all have paid what they owe; a pod without one may go at once."""
        entry = self._entries.get(pod)
        self._gone.add(pod)
        if entry is None or not entry.trains:
            self.left.add(pod)
            if entry and not entry.leaves:
                entry.leaves = True
                self._end(entry, "it was asked to go before it trained")
        elif not entry.leaves:
            entry.leaves = True
            self._tell("leave", [entry])

    def stop(self) -> None:
        """Has all ranks save and stop."""
        self._tell("stop", list(self._entries.values()))

    def look(self) -> None:
        """Takes new pods in, and hears which actors ended; RunFault where workers are lost again and again."""
        self._hear_ends()
        if time.monotonic() < self._looked_at + LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        joined = joined_workers_by_node()
        self._gone &= joined.keys()
        for pod, node in joined.items():
            if pod not in self._entries and pod not in self._gone:
                self._entries[pod] = self._start(pod, node)
        for entry in list(self._entries.values()):
            self._feel(entry)
        self._end_who_hangs()
        self._invite()

    def _start(self, pod: str, node: str) -> Entry:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        assert self._run.train is not None
        actor = (
            ray.remote(Member)
            .options(
                num_cpus=0, num_gpus=self._run.train.workers.resources.gpu, resources={WORKER_RESOURCE: 1},
                max_concurrency=CONCURRENCY, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            )
            .remote(self._work, self._meeting, pod)
        )  # fmt: skip
        logger.info("worker %s takes part", pod)
        return Entry(pod, actor, actor.train.remote())

    def _hear_ends(self) -> None:
        import ray

        by_work = {entry.work: entry for entry in self._entries.values()}
        if not by_work:
            return
        done, _ = ray.wait(list(by_work), num_returns=len(by_work), timeout=0)
        for work in done:
            entry = by_work[work]
            del self._entries[entry.pod]
            try:
                ray.get(work)
            except ray.exceptions.RayError as error:
                self._lost(entry, str(error).strip().rpartition("\n")[2])
                continue
            self._gone.add(entry.pod)
            if entry.leaves:
                self.left.add(entry.pod)
                logger.info("worker %s has left", entry.pod)

    def _lost(self, entry: Entry, why: str) -> None:
        if entry.leaves:
            self.left.add(entry.pod)
            return
        if entry.hangs:
            self.hung.append((entry.pod, entry.hangs))
        self._losses += 1
        self._error = f"{entry.pod}: {entry.hangs or why}"
        logger.warning("worker %s is lost: %s", entry.pod, why)
        if self._losses > LOSSES_WITHOUT_PROGRESS:
            message = f"{self._losses} workers were lost without one step done; the last was {self._error}"
            raise RunFault("WorkersFailing", message[:1000], retryable=True)

    def _invite(self) -> None:
        """Tells those that are ready to join the ones that train, or, when all are ready, to begin."""
        now = time.monotonic()
        idle = [entry for entry in self._entries.values() if not entry.trains]
        late = [entry for entry in idle if entry.ready_at is None and now < entry.since + GATHER_SECONDS]
        waiting = [entry for entry in idle if entry.ready_at is not None]
        if self.training:
            waiting = [entry for entry in waiting if not entry.told]
            if not waiting or (late and now < min(entry.ready_at or now for entry in waiting) + TOGETHER_SECONDS):
                return
            self._tell("join", waiting)
            self._tell("let_in", [entry for entry in self._entries.values() if entry.trains])
        else:
            if late or len(waiting) < self._run.min_workers:
                return
            self._tell("begin", waiting)
        for entry in waiting:
            entry.told = True

    def _feel(self, entry: Entry) -> None:
        """Asks a member how it does; ends one that has not answered for long."""
        import ray

        if entry.pulse is not None and ray.wait([entry.pulse], timeout=0)[0]:
            try:
                entry.last = ray.get(entry.pulse)
            except ray.exceptions.RayError:
                return
            entry.pulse, entry.unanswered, entry.has_answered = None, 0, True
        if entry.pulse is None:
            entry.pulse = entry.actor.pulse.remote()
        entry.unanswered += 1
        if entry.unanswered > (SILENT_LOOKS if entry.has_answered else START_LOOKS):
            self._end_hanging(entry, f"it has not answered for {entry.unanswered * LOOK_SECONDS:.0f} s")

    def _end_who_hangs(self) -> None:
        """Ends the members that all others have been waiting for nearly as long as a run may stall."""
        training = [entry for entry in self._entries.values() if entry.trains]
        hanging = [entry for entry in training if not entry.last.waits]
        if len(hanging) < len(training) and all(entry.last.still_seconds > self._patience for entry in training):
            for entry in hanging:
                self._end_hanging(entry, f"the others have waited for it for {self._patience:g} s")

    def _end_hanging(self, entry: Entry, why: str) -> None:
        entry.hangs = why
        self._end(entry, why)

    def _end(self, entry: Entry, why: str) -> None:
        import ray

        logger.warning("worker %s is ended: %s", entry.pod, why)
        entry.unanswered = 0
        ray.kill(entry.actor, no_restart=True)

    def _tell(self, word: str, entries: list[Entry]) -> None:
        for entry in entries:
            entry.actor.tell.remote(word)
