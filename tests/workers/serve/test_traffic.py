"""The counts by version: cumulative bounds, and a limit on how many versions are remembered."""

from headrace_workers.serve.traffic import VERSIONS_MAX, VersionCounts


def test_latencies_are_cumulative_by_upper_bound() -> None:
    """A bound counts every request that took that long or less; +Inf counts all."""
    counts = VersionCounts()
    for milliseconds in (1, 5, 7, 2500, 9000):
        counts.count("v", failed=milliseconds == 9000, milliseconds=milliseconds)
    seen = counts.wire()["v"]
    assert (seen.requests, seen.errors) == (5, 1)
    assert seen.latency_milliseconds == {
        "5": 2,
        "10": 3,
        "25": 3,
        "50": 3,
        "100": 3,
        "250": 3,
        "500": 3,
        "1000": 3,
        "2500": 4,
        "+Inf": 5,
    }


def test_only_so_many_versions_are_remembered() -> None:
    """A router that lives long does not grow with every version it ever had."""
    counts = VersionCounts()
    for n in range(VERSIONS_MAX + 5):
        counts.count(f"v{n}", failed=False, milliseconds=1)
    assert len(counts.wire()) == VERSIONS_MAX
