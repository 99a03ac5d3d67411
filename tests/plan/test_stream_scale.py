"""How a Stream's workers follow its lag, as a table: what was reported, how many are wanted."""

from datetime import timedelta
from typing import Any

import pytest

from headrace.api.objects import DataPipeline
from headrace.api.run_report import StageRate, StreamProgress
from headrace.api.status import Phase, StreamScale
from headrace.plan import labels
from headrace.plan.plan import plan
from headrace.plan.values import Pod
from tests.gen import NOW, pipeline, pod, report
from tests.plan.test_run import head, observed, with_status

LATER = NOW + timedelta(seconds=1000)
BOUNDS = {"min": 2, "max": 8}


def stream(**spec: Any) -> DataPipeline:
    base = {"mode": "Stream", "source": {"kafka": {"brokers": ["k:9092"], "topics": ["t"]}}, "workers": BOUNDS}
    return pipeline(**(base | spec))


def told(workers: int, lag: int | None, rate: float = 1000.0, busy: float = 0.9, age: float = 0.0) -> Pod:
    """A head whose workers were busy for this share of the time that a thousand records took each."""
    stage = StageRate(stage="read", records=10_000, seconds=10 * busy * workers, rate=rate, channels=workers)
    live = report(time=LATER - timedelta(seconds=age), workers=workers, stream=StreamProgress(lag=lag, stages=(stage,)))
    return head(live=live)


def wanted(resource: DataPipeline, told_by: Pod, chosen: int | None = 4, chosen_ago: float = 900.0) -> int:
    scale = StreamScale(workers=chosen, time=LATER - timedelta(seconds=chosen_ago)) if chosen else None
    status = with_status(resource, input=None, scale=scale)
    pods = [pod(labels.WORKER, index) for index in range(chosen or 2)]
    return plan(observed(status, told_by, *pods), LATER).status.workers.desired


@pytest.mark.parametrize(
    ("told_by", "count"),
    [
        (told(4, lag=20_000), 6),
        (told(4, lag=9_000), 4),
        (told(4, lag=500, busy=0.9), 4),
        (told(4, lag=500, busy=0.3), 3),
        (told(4, lag=5_000, busy=0.3), 4),
        (told(4, lag=None, busy=0.1), 4),
        (told(4, lag=20_000, age=60), 4),
        (told(3, lag=20_000), 4),
        (told(4, lag=5, rate=0.0), 6),
        (told(4, lag=0, rate=0.0), 4),
        (head(live=report(time=LATER, workers=4)), 4),
        (head(), 4),
    ],
    ids=["behind", "a little behind", "keeps up", "idle", "idle with a queue", "lag unknown", "old report",
         "workers on their way", "stands still", "nothing comes", "no stream told", "no report"],
)  # fmt: skip
def test_workers_follow_the_lag(told_by: Pod, count: int) -> None:
    """Only what is known and fresh changes how many there are."""
    assert wanted(stream(), told_by) == count


def test_bounds_pauses_and_a_given_number() -> None:
    """Never beyond the bounds, not twice within the pause, and never where the spec says how many."""
    behind = told(8, lag=10**9)
    assert wanted(stream(), behind, chosen=8) == 8
    assert wanted(stream(), told(2, lag=0, busy=0.01), chosen=2) == 2
    assert wanted(stream(), told(4, lag=10**9), chosen_ago=29) == 4
    assert wanted(stream(), told(4, lag=0, busy=0.1), chosen_ago=299) == 4
    assert wanted(stream(workers=BOUNDS | {"desired": 5}), told(5, lag=10**9)) == 5
    assert wanted(stream(workers={"min": 2, "max": 3}), told(3, lag=0), chosen=8) == 3
    assert wanted(stream(), told(2, lag=10**9), chosen=None) == 3


def test_the_number_is_saved_before_pods_are_made() -> None:
    """The pass that chooses acts on nothing; the next has the pods made."""
    resource = with_status(stream(), input=None, scale=StreamScale(workers=2, time=NOW))
    workers = [pod(labels.WORKER, index) for index in range(2)]
    first = plan(observed(resource, told(2, lag=10**9), *workers), LATER)
    assert (first.actions, first.status.scale.workers) == ((), 3)
    saved = resource.model_copy(update={"status": first.status})
    second = plan(observed(saved, told(2, lag=10**9), *workers), LATER)
    made = [each.manifest["metadata"]["labels"].get(labels.INDEX) for each in second.actions if hasattr(each, "manifest") and each.manifest["kind"] == "Pod"]  # fmt: skip
    assert made == [None, "0", "1", "2"]
    assert second.status.phase == Phase.RUNNING
