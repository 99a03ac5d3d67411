"""The operator killed by SIGKILL before or after any of its writes: the same end, nothing doubled, orphaned or miscounted.

Some of the ends are reached after somebody's `kubectl replace` has taken every annotation from objects and children.

Every point takes seconds: here a spread of them, all of them by `make test-crash`.
"""

import asyncio
import os
from pathlib import Path

import pytest

from headrace.api.meta import Kind
from tests.cluster.conftest import Cluster
from tests.cluster.crash import Crash, End, Point
from tests.cluster.test_cluster_up import needs_node

AT_ONCE = 3
STRIDE = int(os.environ.get("HEADRACE_CRASH_STRIDE", "12"))
"""Every so many points one is tried; 1 tries all."""


@pytest.mark.parametrize("kind", list(Kind))
async def test_killed_at_any_write(
    defined: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """The end is that of a run in which nobody was killed; no pod was made twice and no restart counted twice."""
    needs_node(defined, "kwok")
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))
    crash = Crash(tmp_path)
    expected, writes = await crash.run(Point(kind))
    assert not expected.doubled and not expected.orphaned
    if kind != Kind.INFERENCE_ENDPOINT:
        assert (expected.status["phase"], expected.status["restarts"], expected.status["attempt"]) == ("Complete", 1, 2)
    points = [Point(kind, write, after) for write in range(1, len(writes) + 1) for after in (False, True)][::STRIDE]
    points += [Point(kind, write, after=True, strip=True) for write in range(1, len(writes) + 1)][::STRIDE]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(point: Point) -> str:
        async with gate:
            try:
                end, _ = await crash.run(point)
            except AssertionError as none:
                return f"{point}: {none}"
        return difference(point, expected, end)

    found = [each for each in await asyncio.gather(*map(one, points)) if each]
    print(f"{kind}: {len(points)} of {3 * len(writes)} points, {len(found)} with another end")
    assert not found, "\n".join(found)


def difference(point: Point, expected: End, end: End) -> str:
    """In what the end differs; empty if in nothing."""
    parts = [
        f"{name}: {getattr(end, name)!r} instead of {getattr(expected, name)!r}"
        for name in ("status", "children", "doubled", "orphaned")
        if getattr(end, name) != getattr(expected, name)
    ]
    return f"{point}: {'; '.join(parts)}" if parts else ""
