"""The lease: one holder at a time, a fence that falls before the lease ends, an orderly handover."""

import asyncio
import contextlib

import pytest

from headrace.cluster import Unavailable
from headrace.kube.lease import Lease, Timing
from headrace.kube.resources import LEASE
from tests.kube.fake_api import FakeApi

PATH = LEASE.path("system", "operator")


class Clock:
    """A clock that a test turns."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def candidate(api: FakeApi, clock: Clock, name: str) -> Lease:
    return Lease(api, "system", "operator", name, Timing(duration=15, renew_within=9, look_every=0.001), clock)


async def test_one_takes_it_and_the_other_waits_until_it_is_over() -> None:
    """A lease is taken over only after it was seen unrenewed for its whole duration on the taker's own clock."""
    api, clock = FakeApi(), Clock()
    first, second = candidate(api, clock, "first"), candidate(api, clock, "second")
    await first._look()
    await second._look()
    assert (first.held, second.held) == (True, False)
    clock.now += 14.9
    await second._look()
    assert (first.held, second.held) == (False, False), "the fence falls before the lease can be taken"
    clock.now += 0.2
    await second._look()
    assert (first.held, second.held) == (False, True)
    assert api.objects[PATH]["spec"]["leaseTransitions"] == 1


async def test_the_charts_empty_lease_is_taken_as_it_is() -> None:
    """Its labels, by which Helm knows it, stay."""
    api, clock = FakeApi(), Clock()
    await api.create(LEASE.path("system"), {"metadata": {"name": "operator", "labels": {"a": "b"}}})
    lease = candidate(api, clock, "first")
    await lease._look()
    assert (lease.held, api.objects[PATH]["metadata"]["labels"]) == (True, {"a": "b"})


async def test_a_renewal_starts_the_wait_anew() -> None:
    """Whoever renews is not overtaken."""
    api, clock = FakeApi(), Clock()
    first, second = candidate(api, clock, "first"), candidate(api, clock, "second")
    for _ in range(5):
        await first._look()
        await second._look()
        clock.now += 8
    assert (first.held, second.held) == (True, False)


async def test_the_fence_counts_from_before_the_request() -> None:
    """A renewal that took long is worth less: the moment it was sent counts."""
    api, clock = FakeApi(), Clock()
    lease = candidate(api, clock, "first")
    update = api.update

    async def slow(path, body):
        clock.now += 8
        return await update(path, body)

    await lease._look()
    api.update = slow
    clock.now += 8
    await lease._look()
    assert lease.held
    clock.now += 1.1
    assert not lease.held


async def test_an_api_server_that_does_not_answer_costs_the_lease() -> None:
    """Without renewals nothing may be written after the bound, whatever the reason."""
    api, clock = FakeApi(), Clock()
    lease = candidate(api, clock, "first")
    await lease._look()
    api.failure = Unavailable("no answer")
    clock.now += 9
    await lease._look()
    assert not lease.held


async def test_it_is_given_back_at_the_end() -> None:
    """The next one takes over at once, and whoever gains it is told."""
    api, clock, told, leads = FakeApi(), Clock(), [], asyncio.Event()

    def gained() -> None:
        told.append("gained")
        leads.set()

    first = candidate(api, clock, "first")
    task = asyncio.create_task(first.run(gained))
    async with asyncio.timeout(5):
        await leads.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert api.objects[PATH]["spec"]["holderIdentity"] == ""
    second = candidate(api, clock, "second")
    await second._look()
    assert (first.held, second.held, told) == (False, True, ["gained"])


@pytest.mark.parametrize("other", ["create", "update"])
async def test_two_at_the_same_moment(other: str) -> None:
    """Of two that write at once one wins; the other takes it for what it is."""
    api, clock = FakeApi(), Clock()
    first, second = candidate(api, clock, "first"), candidate(api, clock, "second")
    if other == "update":
        await first._look()
        await first._give_back()
    read = api.get

    async def overtaken(path, query=None):
        api.get = read
        try:
            return await read(path)
        finally:
            await second._look()

    api.get = overtaken
    await first._look()
    assert (first.held, second.held) == (False, True)
