"""The lean watch: every object at its start, every change after that, and what it does about gaps."""

import asyncio
import json

import pytest

from headrace.kube import lean_watch as module
from headrace.kube.client import ApiError, Listing
from headrace.kube.lean_watch import watch
from headrace.kube.resources import POD


def pod(name, version):
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "default", "resourceVersion": str(version)}}


def line(kind, body):
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


class Server:
    """Answers each list and each watch by what the script has next; a watch that has nothing more stays open."""

    def __init__(self, lists, watches):
        self.lists, self.watches, self.asked = list(lists), list(watches), []

    async def list(self, resource, namespace):
        self.asked.append("list")
        return self.lists.pop(0)

    async def stream(self, path, query, silence):
        self.asked.append(f"watch from {query['resourceVersion']}")
        for piece in self.watches.pop(0) if self.watches else [asyncio.Event()]:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            yield piece


@pytest.fixture
def seen(monkeypatch):
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.0)
    told = []

    async def until_quiet(server):
        def note(word):
            return lambda raw: told.append(f"{word} {raw['metadata']['name']} {raw['metadata']['resourceVersion']}")

        task = asyncio.create_task(watch(server, POD, None, note("saw"), note("gone")))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return told

    return until_quiet


async def test_what_is_there_and_what_changes_is_told(seen):
    """First the list, then the events, wherever the stream cuts them into pieces; bookmarks are nobody's news."""
    text = line("ADDED", pod("b", 11)) + line("BOOKMARK", pod("", 15)) + line("DELETED", pod("a", 16))
    server = Server([Listing([pod("a", 7)], 10)], [[text[:50], text[50:120], text[120:]]])
    assert await seen(server) == ["saw a 7", "saw b 11", "gone a 16"]
    assert server.asked == ["list", "watch from 10", "watch from 16"]


async def test_a_broken_watch_goes_on_where_it_was(seen):
    """No answer says nothing of the version: nothing is listed again."""
    broken = ApiError(0, "Unreachable", "connection reset")
    server = Server([Listing([], 10)], [[line("ADDED", pod("a", 12)), broken], [line("MODIFIED", pod("a", 13))]])
    assert await seen(server) == ["saw a 12", "saw a 13"]
    assert server.asked == ["list", "watch from 10", "watch from 12", "watch from 13"]


@pytest.mark.parametrize(
    "end",
    [
        line("ERROR", {"code": 410, "reason": "Expired", "message": "too old resource version"}),
        ApiError(410, "Expired", "too old resource version"),
        b"<html>\n",
    ],
    ids=["an event says so", "the answer says so", "no event at all"],
)
async def test_a_version_that_is_too_old_is_listed_anew(seen, end):
    """Everything there is is told once more."""
    server = Server([Listing([], 10), Listing([pod("a", 20)], 21)], [[end]])
    assert await seen(server) == ["saw a 20"]
    assert server.asked == ["list", "watch from 10", "list", "watch from 21"]


async def test_a_line_without_an_end_is_not_kept_for_ever(seen, monkeypatch):
    """A stream that is no watch is given up before it fills the memory."""
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 100)
    server = Server([Listing([], 10)], [[b"x" * 60, b"x" * 60]])
    assert await seen(server) == []
    assert server.asked == ["list", "watch from 10", "watch from 10"]
