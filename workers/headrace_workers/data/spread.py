"""Where tasks run: in this process one after the other, or on the run's Ray workers. The engine cannot tell which.

Tasks are idempotent, so Ray may run one again when its worker is lost.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from headrace_workers.faults import RunFault
from headrace_workers.ray_cluster import WORKER_RESOURCE, joined_workers

Argument = TypeVar("Argument")
Result = TypeVar("Result")

MOST_TRIES = 10
WAIT_SECONDS = 0.5
TASKS_AHEAD = 4
"""Tasks submitted for each that can run, so that no worker waits and a million shards are not all queued."""


class Spread(Protocol):
    """Runs a function on many arguments, answering (index, result) as they finish."""

    def __call__(
        self, function: Callable[[Argument], Result], arguments: Sequence[Argument]
    ) -> Iterator[tuple[int, Result]]:
        """The results, in any order."""


def in_process(function: Callable[[Argument], Result], arguments: Sequence[Argument]) -> Iterator[tuple[int, Result]]:
    """One after the other, here."""
    for index, argument in enumerate(arguments):
        yield index, function(argument)


def on_ray(check_stopping: Callable[[], None], tasks_per_worker: int = 1) -> Spread:
    """On the Ray workers that are there, `tasks_per_worker` at a time on each; late workers join in."""

    def run(function: Callable[[Argument], Result], arguments: Sequence[Argument]) -> Iterator[tuple[int, Result]]:
        # Ray reads its switches when it is imported, and the head sets them before.
        import ray

        remote = ray.remote(num_cpus=0, resources={WORKER_RESOURCE: 1 / tasks_per_worker}, max_retries=MOST_TRIES)(
            function
        )
        waiting = list(enumerate(arguments))[::-1]
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                check_stopping()
                ahead = TASKS_AHEAD * tasks_per_worker * max(1, len(joined_workers()))
                while waiting and len(running) < ahead:
                    index, argument = waiting.pop()
                    running[remote.remote(argument)] = index
                ready, _ = ray.wait(list(running), num_returns=1, timeout=WAIT_SECONDS)
                for reference in ready:
                    index = running.pop(reference)
                    yield index, _result(reference)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    return run


def _result(reference: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError:
        raise
    except RayError as error:
        raise RunFault(
            "WorkerLost", f"a task failed {MOST_TRIES} times because its worker was lost: {error}"[:900], retryable=True
        ) from None
