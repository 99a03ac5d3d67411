"""Waiting for a run's workers: it starts with all of them if they come soon, else with as many as it needs."""

import time

from headrace_workers.faults import RunFault
from headrace_workers.head import Head
from headrace_workers.ray_cluster import joined_workers

MOST_WORKERS_GRACE_SECONDS = 5.0
POLL_SECONDS = 0.2


def wait_for_group(head: Head, deadline_seconds: float) -> int:
    """How many workers joined, also more than max_workers, which may have been raised since; RunFault if fewer than min_workers did before the deadline."""
    fewest, most = head.spec.min_workers, head.spec.max_workers
    began = time.monotonic()
    enough_since: float | None = None
    while True:
        head.check_stopping()
        joined = len(joined_workers())
        head.reporter.update(stage=f"waiting for workers ({joined} of {most})", workers=0)
        now = time.monotonic()
        enough_since = None if joined < fewest else enough_since or now
        if joined >= most or (enough_since and now - enough_since >= MOST_WORKERS_GRACE_SECONDS):
            return joined
        if enough_since is None and now - began > deadline_seconds:
            message = f"{joined} of at least {fewest} workers joined within {deadline_seconds:g} s; look at the events of the missing workers' pods"
            raise RunFault("WorkersMissing", message, retryable=True)
        time.sleep(POLL_SECONDS)
