#!/usr/bin/env python3
"""The operator against the floor: the same pods made directly by a tight client, in the same run on the same cluster.

Many jobs at once, one large one, the operator killed on the way, and one small job alone. The floors are measured before
and after the many jobs: a machine that others share is faster at one time than at another. Needs a cluster with fake
nodes (hack/cluster/up --fake-nodes 100 --raised-limits) in KUBECONFIG. Exits with 1 when a ratio is missed by a fifth.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from kube_load import (
    EMPTY_SECONDS,
    bare_pod,
    create,
    namespace,
    require_definitions,
    side_by_side,
    train_job,
    watched,
)
from operator_process import operator, requests, usage
from verdict import Verdict

from headrace.api.objects import parse_object
from headrace.kube import Api, connect
from headrace.kube.resources import BY_KIND
from headrace.plan.plan import plan
from headrace.plan.values import Create, Observed, Pod, PodPhase, Raw, Settings

KILLED_AT = 0.4
ALONE = 15
"""How often one small job is timed."""
SETTLE_SECONDS = 3


@dataclass(frozen=True)
class Load:
    """So many TrainJobs of so many pods, the head among them."""

    jobs: int
    pods: int

    @property
    def total(self) -> int:
        return self.jobs * self.pods


def children(manifest: Raw) -> list[Raw]:
    """What the operator would make for a manifest until its pods run, without an owner."""
    named = {**manifest, "metadata": {**manifest["metadata"], "uid": str(uuid.uuid4())}}
    observed = Observed(parse_object(named), settings=Settings(operator_namespace="default"))
    now = datetime.now(UTC)
    started = plan(observed, now).status
    observed = replace(observed, object=observed.object.model_copy(update={"status": started}))
    first = created(observed, now)
    pods = tuple(
        Pod(each["metadata"]["name"], str(uuid.uuid4()), PodPhase.RUNNING, each["metadata"]["labels"])
        for each in first
        if each["kind"] == "Pod"
    )
    running = replace(observed, pods=pods, children=tuple(each for each in first if each["kind"] != "Pod"))
    decided = running.object.model_copy(update={"status": plan(running, now).status})
    made = first + created(replace(running, object=decided), now)
    for each in made:
        each["metadata"].pop("ownerReferences")
    return made


def created(observed: Observed, now: datetime) -> list[Raw]:
    """The manifests that the plan would have made."""
    return [action.manifest for action in plan(observed, now).actions if isinstance(action, Create)]


async def direct(api: Api, load: Load, *, everything: bool) -> float:
    """Seconds until the pods run when a tight client makes them: bare ones, or a run's own with all its other objects."""
    async with namespace(api) as name:
        wanted = [bare_pod(name, f"pod-{index}") for index in range(load.total)]
        if everything:
            jobs = (train_job(name, f"job-{index}", load.pods - 1) for index in range(load.jobs))
            wanted = [each for job in jobs for each in children(job)]
        async with watched(api, name) as progress:
            started = time.perf_counter()
            await side_by_side([lambda each=each: create(api, each) for each in wanted])
            return await progress.until(load.total) - started


async def floors(api: Api, load: Load) -> tuple[float, float]:
    """Seconds until bare pods run, and until pods with every object do."""
    bare, full = await direct(api, load, everything=False), await direct(api, load, everything=True)
    print(f"{load.jobs} jobs of {load.pods} pods: bare pods {bare:.2f} s, with every object {full:.2f} s", flush=True)
    return bare, full


@dataclass(frozen=True)
class Cost:
    """What a measurement took: seconds until the pods ran, the operator's CPU seconds and megabytes, its requests."""

    seconds: float
    cpu: float
    memory: float
    requests: dict[str, float]


async def killed(api: Api, load: Load) -> float:
    """Seconds until the pods run when the operator is killed on the way and started again at once."""
    async with namespace(api) as name, watched(api, name) as progress, operator() as first:
        started = time.perf_counter()
        jobs = [train_job(name, f"job-{index}", load.pods - 1) for index in range(load.jobs)]
        making = asyncio.create_task(side_by_side([lambda each=each: create(api, each) for each in jobs]))
        await progress.until(int(load.total * KILLED_AT))
        first.kill()
        await first.wait()
        async with operator():
            await making
            return await progress.until(load.total) - started


async def alone(api: Api, pods: int) -> float:
    """The median of the seconds from a job's acceptance until its status says that all its workers run."""
    took = []
    async with namespace(api) as name:
        for index in range(ALONE):
            job = train_job(name, f"job-{index}", pods - 1)
            await create(api, job)
            started = time.perf_counter()
            async with asyncio.timeout(EMPTY_SECONDS):
                while (await status_of(api, job)).get("workers", {}).get("ready") != pods - 1:  # noqa: ASYNC110 (a watch would cost the operator's API server more)
                    await asyncio.sleep(0.005)
            took.append(time.perf_counter() - started)
            await asyncio.sleep(1.5)
    return statistics.median(took)


async def status_of(api: Api, job: Raw) -> Raw:
    """A job's status as it is now."""
    path = BY_KIND["TrainJob"].path(job["metadata"]["namespace"], job["metadata"]["name"])
    return dict((await api.get(path)).get("status") or {})


async def by_operator(api: Api, load: Load, process: asyncio.subprocess.Process) -> Cost:
    """Until the pods run when TrainJobs are made and the operator does the rest; counted until it has come to rest."""
    async with namespace(api) as name, watched(api, name) as progress:
        before, asked = usage(process), requests()
        started = time.perf_counter()
        jobs = [train_job(name, f"job-{index}", load.pods - 1) for index in range(load.jobs)]
        await side_by_side([lambda each=each: create(api, each) for each in jobs])
        seconds = await progress.until(load.total) - started
        await asyncio.sleep(SETTLE_SECONDS)
        after, told = usage(process), requests()
        made = {each: count - asked.get(each, 0) for each, count in told.items() if count != asked.get(each, 0)}
        return Cost(seconds, after[0] - before[0], after[1], made)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--pods", type=int, default=5)
    options = parser.parse_args()
    load, verdict = Load(options.jobs, options.pods), Verdict()
    large = Load(1, load.total)
    api = await connect()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    try:
        await require_definitions(api)
        before = await floors(api, load)
        async with operator() as process:
            cost = await by_operator(api, load, process)
            after = await floors(api, load)
            floor, full = (statistics.mean(each) for each in zip(before, after, strict=True))
            verdict.judge(f"many jobs, {cost.seconds:.2f} s, to bare pods", cost.seconds / floor, 2.0)
            verdict.judge("many jobs, to every object", cost.seconds / full, 1.5)
            own = sum(count for name, count in cost.requests.items() if name != "create pods") / load.jobs
            verdict.judge("requests a job besides its pods", own, 10.0, "requests")
            verdict.judge("CPU for 200 jobs", cost.cpu * 200 / load.jobs, 5.0, "s")
            verdict.judge("memory", cost.memory, 300.0, "MB")
            print(", ".join(f"{name} {count / load.jobs:.2f}" for name, count in sorted(cost.requests.items())))
            one = await by_operator(api, large, process)
            verdict.judge(f"one job of {large.pods} pods, {one.seconds:.2f} s, to bare pods", one.seconds / floor, 1.5)
            verdict.judge(
                f"one job of {load.pods} pods, accepted to ready status", await alone(api, load.pods), 0.15, "s"
            )
        verdict.judge("the operator killed at 40 %, later by", await killed(api, load) - cost.seconds, 20.0, "s")
    finally:
        await api.close()
    return int(verdict.missed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
