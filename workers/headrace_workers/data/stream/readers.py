"""The readers of a Stream: which partitions each has, what they were asked, and what they answer.

A reader that is lost takes its answer along; its partitions are read by the others, from where the head knows that it was.
An answer to an old question is told as any other: whoever asked sees by its offsets that it is none for now.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from headrace.api.data_pipeline import DataPipelineSpec
from headrace_workers.data.stream.actor import ReaderActor
from headrace_workers.data.stream.parts import Failed, Part
from headrace_workers.faults import RunFault
from headrace_workers.ray_cluster import WORKER_RESOURCE, joined_workers

LOOK_SECONDS = 1.0
CALL_SECONDS = 60.0
MOST_TRIES = 10
POLL_SECONDS = 0.2
FETCH_SECONDS = 30.0
"""How long an answer that is there may take from one node to another."""


class Readers(Protocol):
    """What a Stream's head works with."""

    def update(self) -> None:
        """Sees which readers came and went."""

    @property
    def names(self) -> Sequence[str]:
        """The readers that are there, sorted."""

    @property
    def workers(self) -> int:
        """The workers that are there."""

    @property
    def idle(self) -> Sequence[str]:
        """The readers that have nothing to answer, sorted."""

    def ask(self, name: str, request: Any) -> None:
        """Has an idle reader read."""

    def answers(self, seconds: float) -> Sequence[Part | str | Failed]:
        """What was answered; waits so long for the first."""

    def call(self, method: str, *arguments: Any) -> Any:
        """What some reader answers to something else than a request to read."""

    def close(self) -> None:
        """Ends the readers."""


class OneReader:
    """A reader in this process, for tests, notebooks and profiles: it is asked once it is waited for."""

    names = ("here",)
    workers = 1

    def __init__(self, reader: Any) -> None:
        """Takes a ReaderActor, or what answers as one."""
        self._reader = reader
        self._request: Any = None

    def update(self) -> None:
        """It is always there."""

    @property
    def idle(self) -> Sequence[str]:
        """Whether it waits for a request."""
        return self.names if self._request is None else ()

    def ask(self, name: str, request: Any) -> None:
        """Keeps the request."""
        self._request = request

    def answers(self, seconds: float) -> Sequence[Part | str | Failed]:
        """Reads now."""
        if self._request is None:
            time.sleep(seconds)
            return ()
        request, self._request = self._request, None
        return (self._reader.read(request),)

    def call(self, method: str, *arguments: Any) -> Any:
        """Calls the reader."""
        return getattr(self._reader, method)(*arguments)

    def close(self) -> None:
        """Disconnects the reader."""
        self._reader.close()


class RayReaders:
    """Readers on the run's Ray workers, so many on each; those of new workers join in once they answer."""

    def __init__(self, spec: DataPipelineSpec, readers_per_worker: int, check: Callable[[], None]) -> None:
        """Starts none yet; `check` is called while no reader is there, and may raise."""
        self._spec, self._per_worker, self._check = spec, readers_per_worker, check
        self._ready: dict[str, Any] = {}
        self._starting: dict[Any, Any] = {}
        self._asked: dict[Any, str] = {}
        self._looked, self._made = 0.0, 0
        self.workers = 0

    @property
    def names(self) -> Sequence[str]:
        """The readers that are there, sorted."""
        return sorted(self._ready)

    @property
    def idle(self) -> Sequence[str]:
        """The readers that have nothing to answer, sorted."""
        return sorted(self._ready.keys() - set(self._asked.values()))

    def update(self) -> None:
        """Looks every second which workers are there, and has each have its readers."""
        import ray

        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            self.workers = len(joined_workers())
            for _ in range(self.workers * self._per_worker - len(self._ready) - len(self._starting)):
                remote = ray.remote(num_cpus=0, resources={WORKER_RESOURCE: 1 / self._per_worker}, max_restarts=0)
                actor = remote(ReaderActor).remote(self._spec)
                self._starting[actor.ready.remote()] = actor
        if self._starting:
            ready, _ = ray.wait(list(self._starting), num_returns=len(self._starting), timeout=0)
            for reference in ready:
                actor = self._starting.pop(reference)
                if not _is_lost(_got(reference)):
                    self._made += 1
                    self._ready[f"reader-{self._made}"] = actor

    def ask(self, name: str, request: Any) -> None:
        """Has an idle reader read."""
        self._asked[self._ready[name].read.remote(request)] = name

    def answers(self, seconds: float) -> Sequence[Part | str | Failed]:
        """What was answered; waits so long for the first."""
        import ray

        if not self._asked:
            time.sleep(min(seconds, POLL_SECONDS))
            return ()
        first, _ = ray.wait(list(self._asked), num_returns=1, timeout=seconds)
        if not first:
            return ()
        ready, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        answers = []
        for reference in ready:
            name = self._asked.pop(reference)
            answer = _got(reference)
            if _is_lost(answer):
                self._drop(name)
            else:
                answers.append(answer)
        return answers

    def call(self, method: str, *arguments: Any) -> Any:
        """What some reader answers; RunFault WorkerLost if one after the other was lost.

        Who is asked to stop still has this answered, as it may belong to an epoch; without any reader, that stays undone.
        """
        import ray

        tries, ends = 0, time.monotonic() + CALL_SECONDS
        while tries < MOST_TRIES and time.monotonic() < ends:
            self.update()
            names = self.idle or self.names
            if not names:
                self._check()
                time.sleep(POLL_SECONDS)
                continue
            tries += 1
            reference = getattr(self._ready[names[0]], method).remote(*arguments)
            ray.wait([reference], timeout=max(0.0, ends - time.monotonic()))
            answer = _got(reference)
            if not _is_lost(answer):
                return answer
            self._drop(names[0])
        raise RunFault(
            "WorkerLost",
            f"no reader lived long enough to answer ({tries} were tried); see the workers' logs",
            retryable=True,
        )

    def _drop(self, name: str) -> None:
        """Ends a reader that did not answer: what it still does, nobody will hear of."""
        import ray

        if actor := self._ready.pop(name, None):
            ray.kill(actor)

    def close(self) -> None:
        """Ends the readers."""
        import ray

        for actor in (*self._ready.values(), *self._starting.values()):
            ray.kill(actor)
        self._ready, self._starting, self._asked = {}, {}, {}


class _Lost:
    """The reader has gone."""


def _is_lost(answer: Any) -> bool:
    return isinstance(answer, _Lost)


def _got(reference: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference, timeout=FETCH_SECONDS)
    except RayTaskError:
        raise
    except RayError:
        return _Lost()
