#!/usr/bin/env python3
"""Many TrainJobs from their creation to their end, in rounds: nothing fails, nothing is written afterwards, nothing grows.

Needs a cluster with fake nodes (hack/cluster/up --fake-nodes 100 --raised-limits) in KUBECONFIG, on which heads end when
this script says so. Exits with 1 when a bound is missed by a fifth.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from kube_load import create, namespace, require_definitions, side_by_side, train_job
from operator_process import operator, requests, usage
from verdict import Verdict

from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion
from headrace.api.meta import Kind
from headrace.api.run_report import ReportPhase, RunReport
from headrace.kube import POD, Api, connect
from headrace.kube.client import ApiError
from headrace.kube.resources import BY_KIND
from headrace.plan import labels
from headrace.plan.values import Raw

POD_SECONDS = 0.5
"""At this pace or faster the pods of a round are made and ended, or it has failed."""
STILL_SECONDS = 60


def last_words(job: str) -> str:
    """The termination message of a head whose run is complete."""
    now = datetime.now(UTC)
    data = DatasetVersion(uri="file:///lake/t", version=0, digest="d", records=1)
    reference = JobReference(kind=Kind.TRAIN_JOB, name=job, uid="any", run=1)
    made = ModelVersion(name=f"{job}-r1", uri="file:///models/any", digest="m", metrics={"accuracy": 0.9}, dataset=data, job=reference, created_at=now)  # fmt: skip
    return RunReport(phase=ReportPhase.COMPLETE, time=now, reason="Complete", model=made).final_json()


async def end_heads(api: Api, space: str, told: set[str]) -> None:
    """Has every head that runs and was not told yet end, with its report."""
    heads = (await api.list(POD, space, selector=f"{labels.ROLE}={labels.HEAD}")).items
    ready = [each for each in heads if each["status"].get("phase") == "Running" and each["metadata"]["uid"] not in told]

    async def one(head: Raw) -> None:
        metadata = head["metadata"]
        notes = {"headrace.dev/kwok-exit-after": "10ms", "headrace.dev/kwok-message": last_words(metadata["labels"][labels.NAME])}  # fmt: skip
        annotations = {**(metadata.get("annotations") or {}), **notes}
        # It changed meanwhile, is gone, or the API server is busy: it is told at the next look.
        with contextlib.suppress(ApiError):
            await api.update(
                POD.path(space, metadata["name"]), {**head, "metadata": {**metadata, "annotations": annotations}}
            )
            told.add(metadata["uid"])

    await side_by_side([lambda each=each: one(each) for each in ready])


async def round_of(api: Api, space: str, jobs: int, pods: int) -> tuple[Counter[str], int]:
    """Makes jobs and ends them; returns how many ended in which phase, and how many attempts they took."""
    made = [train_job(space, f"job-{index}", pods - 1) for index in range(jobs)]
    making = asyncio.create_task(side_by_side([lambda each=each: create(api, each) for each in made]))
    told: set[str] = set()
    ends = time.monotonic() + 60.0 + jobs * pods * POD_SECONDS
    while True:
        await asyncio.sleep(2.0)
        await end_heads(api, space, told)
        statuses = [each.get("status") or {} for each in (await api.list(BY_KIND[str(Kind.TRAIN_JOB)], space)).items]
        phases = Counter(str(status.get("phase")) for status in statuses)
        if phases["Complete"] + phases["Failed"] == jobs or time.monotonic() > ends:
            await making
            return phases, sum(status.get("attempt", 0) for status in statuses)


def writes() -> float:
    """The writes that the operator has made, its lease's left out."""
    return sum(count for name, count in requests().items() if name.split()[0] not in ("get", "list") and name != "update leases")  # fmt: skip


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=0.0, help="rounds are repeated for so long; one round if 0")
    options = parser.parse_args()
    verdict, grown = Verdict(), []
    api = await connect()
    ends = time.monotonic() + 60.0 * options.minutes
    try:
        await require_definitions(api)
        async with operator() as process:
            while not grown or time.monotonic() < ends:
                started = time.perf_counter()
                async with namespace(api) as space:
                    phases, attempts = await round_of(api, space, options.jobs, options.pods)
                    print(f"round {len(grown) + 1}: {dict(phases)} of {options.jobs} jobs after {time.perf_counter() - started:.0f} s", flush=True)  # fmt: skip
                    verdict.judge("jobs that did not complete at once", attempts - phases["Complete"] + options.jobs - phases["Complete"], 0, "jobs")  # fmt: skip
                    if not options.minutes:
                        await asyncio.sleep(STILL_SECONDS / 4)
                        before = writes()
                        await asyncio.sleep(STILL_SECONDS)
                        verdict.judge("writes in a minute of stillness", writes() - before, 0, "writes")
                grown.append(usage(process)[1])
                verdict.judge("memory", grown[-1], 300.0, "MB")
            if len(grown) > 2:
                # The first round is the one in which everything is loaded.
                verdict.judge("growth since the second round", max(0.0, grown[-1] / grown[1] - 1) * 100, 5.0, "%")
    finally:
        await api.close()
    return int(verdict.missed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
