"""The judgement of a candidate as tables."""

import pytest

from headrace.api.inference_endpoint import Offline, Online
from headrace.api.run_report import VersionTraffic
from headrace.api.status import Baseline
from headrace.plan.rollout import Judgement, judge_offline, judge_online, percentile_milliseconds, restarted
from tests.gen import dataset, model


@pytest.mark.parametrize(
    ("offline", "accuracy", "judgement"),
    [
        (None, 0.1, Judgement.PASS),
        (Offline(), 0.90, Judgement.PASS),
        (Offline(), 0.89, Judgement.FAIL),
        (Offline(minimum_gain=0.02), 0.91, Judgement.FAIL),
        (Offline(metric="f1"), 0.99, Judgement.UNKNOWN),
    ],
)
def test_offline(offline: Offline | None, accuracy: float, judgement: Judgement) -> None:
    """The candidate must be better than the incumbent, 0.90, by the gain asked for; without a figure there is no verdict."""
    assert judge_offline(offline, model(accuracy=0.90), model("new", accuracy)).judgement == judgement


def test_offline_wants_the_same_validation_data() -> None:
    """Figures from two dataset versions are not compared."""
    opinion = judge_offline(Offline(), model(), model("new", 0.99, data=dataset(7)))
    assert opinion.judgement == Judgement.UNKNOWN


@pytest.mark.parametrize("metric", ["loss", "perplexity"])
def test_lower_loss_is_better(metric: str) -> None:
    """For loss, and for what rises with it, the gain is a decrease."""
    old, new = (
        model(name).model_copy(update={"metrics": {metric: value}}) for name, value in (("old", 1.5), ("new", 1.4))
    )
    assert judge_offline(Offline(metric=metric), old, new).judgement == Judgement.PASS
    assert judge_offline(Offline(metric=metric), new, old).judgement == Judgement.FAIL


@pytest.mark.parametrize(
    ("requests", "errors", "judgement"),
    [(0, 0, Judgement.UNKNOWN), (99, 0, Judgement.UNKNOWN), (100, 0, Judgement.PASS), (100, 1, Judgement.PASS), (100, 2, Judgement.FAIL), (5, 2, Judgement.FAIL)],
)  # fmt: skip
def test_online(requests: int, errors: int, judgement: Judgement) -> None:
    """Too few requests give no verdict, too many errors fail at once; what was before the baseline does not count."""
    baseline = Baseline(requests=1000, errors=50)
    seen = VersionTraffic(requests=1000 + requests, errors=50 + errors)
    assert judge_online(Online(), baseline, seen).judgement == judgement


def test_slow_answers_fail() -> None:
    """The 95th percentile since the baseline is held against the bound."""
    baseline = Baseline(latency_milliseconds={"10": 100, "500": 100, "+Inf": 100})
    seen = VersionTraffic(requests=100, latency_milliseconds={"10": 190, "500": 200, "+Inf": 200})
    online = Online(max_p95_milliseconds=100, min_requests=10)
    assert judge_online(online, baseline, seen).judgement == Judgement.FAIL
    assert (
        judge_online(online.model_copy(update={"max_p95_milliseconds": 500.0}), baseline, seen).judgement
        == Judgement.PASS
    )


@pytest.mark.parametrize(("share", "bound"), [(0.5, 10.0), (0.95, 50.0), (1.0, float("inf"))])
def test_percentile(share: float, bound: float) -> None:
    """A percentile is the upper bound of its bucket."""
    assert percentile_milliseconds({"10": 50, "50": 98, "+Inf": 100}, share) == bound


def test_percentile_of_nothing() -> None:
    """No requests have no latency."""
    assert percentile_milliseconds({}, 0.95) == 0.0


def test_a_router_that_forgot_is_noticed() -> None:
    """Counts below the baseline mean a restart."""
    assert restarted(Baseline(requests=5), VersionTraffic(requests=4))
    assert not restarted(Baseline(requests=5), VersionTraffic(requests=5))
