"""Ctrl-C: everything ends within the bound, heads before workers, and runs can resume."""

import asyncio
import time

import pytest

from headrace.plan.values import PodPhase

pytestmark = pytest.mark.asyncio
SAVING = "import signal, sys, time\ndef end(*_):\n    time.sleep({seconds}); print('ended', time.time()); sys.exit(3)\nsignal.signal(15, end)\nprint('up')\ntime.sleep(60)"


def ended(world, name: str) -> float:
    """When a pod says that it ended."""
    return float(world.log(name).split("ended ")[1])


async def test_workers_end_after_their_head(kit, state):
    """The head gets SIGTERM and has its workers until it has ended; then they get theirs."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        await world.make(
            kit.pod(observed, "head", SAVING.format(seconds=0.5)),
            kit.pod(observed, "worker", SAVING.format(seconds=0), role="worker"),
        )
        await kit.until(lambda: "up" in world.log("head") and "up" in world.log("worker"))
        await world.cluster.shutdown(10)
        assert ended(world, "head") <= ended(world, "worker")
        assert kit.processes_of(state) == []


async def test_a_run_that_was_shut_down_looks_like_a_lost_node(kit, state):
    """Its pods are gone and its object keeps its status; a pod that had ended before is still there."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        await world.make(
            kit.pod(observed, "done", "pass"), kit.pod(observed, "head"), kit.pod(observed, "waits", cpu="8")
        )
        await world.until_phase("done", PodPhase.SUCCEEDED)
        await world.until_phase("head", PodPhase.RUNNING)
        before = (await world.observe()).object
        await world.cluster.shutdown(5)
        after = await world.observe()
        assert [pod.name for pod in after.pods] == ["done"]
        assert after.object == before


async def test_a_pod_is_marked_as_taken_away_before_it_is_asked_to_end(kit, state):
    """Whoever looks while the pod ends sees that it was no fault of its own."""
    async with kit.opened(state) as world:
        await world.make(
            kit.pod(
                await world.observe(),
                "head",
                "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)",
            )
        )
        await kit.until(lambda: "up" in world.log("head"))
        seen = []
        closing = asyncio.ensure_future(world.cluster.shutdown(0.5))
        while not closing.done():
            seen += world.cluster.pods(world.resource.key)
            await asyncio.sleep(0.05)
        await closing
        assert all(pod.disrupted for pod in seen if pod.deleting)
        assert any(pod.deleting for pod in seen)


async def test_the_bound_holds_for_pods_that_ignore_it(kit, state):
    """A head that ignores SIGTERM is killed at the bound, and so is its worker."""
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)"
    async with kit.opened(state) as world:
        observed = await world.observe()
        await world.make(
            kit.pod(observed, "head", stubborn, grace=60),
            kit.pod(observed, "worker", stubborn, role="worker", grace=60),
        )
        await kit.until(lambda: "up" in world.log("head") and "up" in world.log("worker"))
        began = time.monotonic()
        await world.cluster.shutdown(0.5)
        assert time.monotonic() - began < 10
        assert kit.processes_of(state) == []
