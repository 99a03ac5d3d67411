"""The loop of `headrace run` against a world in memory: when it ends, and what it shows until then."""

import asyncio

import pytest

from headrace.api.status import EndpointPhase, Phase
from headrace.cli.screen import PlainScreen
from headrace.cli.supervise import End, Watch, supervise


class Planner:
    """Work that gives each object one status after another, a pass each."""

    def __init__(self, world, *statuses):
        self._world = world
        self._statuses = list(statuses)

    async def __call__(self, key, now):
        resource = self._world.get(key)
        if self._statuses:
            update = {"observed_generation": 1, **self._statuses.pop(0)}
            self._world.change(resource.model_copy(update={"status": resource.status.model_copy(update=update)}))


def _supervise(world, resource, work, stop=None, **watch):
    lines = []

    async def body():
        await world.put(resource)
        return await supervise(
            world, Watch(frozenset({resource.key}), **watch), work, PlainScreen(lines.append), stop or asyncio.Event()
        )

    return asyncio.run(asyncio.wait_for(body(), 20)), lines


def test_a_run_ends_by_itself_when_all_is_complete(world, train):
    """Without an endpoint the loop ends once nothing is left to do."""
    end, _ = _supervise(world, train(), Planner(world, {"phase": Phase.RUNNING}, {"phase": Phase.COMPLETE}))
    assert end == End.OVER


def test_a_run_ends_by_itself_when_a_job_failed(world, train):
    """A job that failed is not waited for."""
    assert _supervise(world, train(), Planner(world, {"phase": Phase.FAILED}))[0] == End.OVER


def test_what_was_saved_before_is_looked_at_first(world, endpoint, model):
    """An endpoint whose saved status says Ready is not ready before this session has looked at its servers."""
    passes = []

    async def work(key, now):
        passes.append(key)
        resource = world.get(key)
        world.change(
            resource.model_copy(update={"status": resource.status.model_copy(update={"phase": EndpointPhase.STARTING})})
        )

    saved = endpoint(phase=EndpointPhase.READY, stable=model())
    end, _ = _supervise(world, saved, work, until_ready=True, timeout_seconds=0.5)
    assert end == End.TIMED_OUT
    assert passes


def test_a_serving_endpoint_keeps_the_run_alive(world, endpoint, model):
    """With an endpoint that serves, the loop goes on and tells once that all is settled."""
    told = []
    served = endpoint(phase=EndpointPhase.READY, stable=model())
    end, _ = _supervise(world, served, Planner(world), timeout_seconds=0.7, settled=lambda: told.append(True))
    assert end == End.TIMED_OUT
    assert told == [True]


def test_until_ready_ends_while_the_endpoint_serves(world, endpoint, model):
    """With until_ready the loop ends as soon as the endpoint serves."""
    served = endpoint(phase=EndpointPhase.READY, stable=model())
    assert _supervise(world, served, Planner(world), until_ready=True)[0] == End.OVER


def test_an_interrupt_ends_the_loop_at_once(world, train):
    """The stop event ends the loop whatever runs."""
    stop = asyncio.Event()
    stop.set()
    assert _supervise(world, train(phase=Phase.RUNNING), Planner(world), stop)[0] == End.STOPPED


def test_a_world_that_breaks_ends_the_run(world, train):
    """A failure of the world itself is not waited out in silence."""

    async def broken():
        raise OSError("the disk is full")
        yield

    world.watch = broken
    with pytest.raises(OSError, match="the disk is full"):
        _supervise(world, train(), Planner(world))
