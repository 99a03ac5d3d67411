"""The judgement of a candidate: offline against the incumbent, online at every step. Values in, a verdict out.

Where there is too little to judge by there is no verdict; a rollout without one ends Inconclusive, never promoted.
"""

from dataclasses import dataclass
from enum import StrEnum

from headrace.api.artifacts import ModelVersion
from headrace.api.inference_endpoint import Offline, Online
from headrace.api.run_report import VersionTraffic
from headrace.api.status import Baseline
from headrace.api.train_job import Metric

LOWER_IS_BETTER = frozenset({Metric.LOSS, Metric.PERPLEXITY})


class Judgement(StrEnum):
    """What the evidence says."""

    PASS = "Pass"  # noqa: S105
    FAIL = "Fail"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Opinion:
    """A judgement and its sentence."""

    judgement: Judgement
    message: str


def judge_offline(offline: Offline | None, incumbent: ModelVersion, candidate: ModelVersion) -> Opinion:
    """Whether the candidate's metric on the same validation data is good enough."""
    if offline is None:
        return Opinion(Judgement.PASS, "no offline comparison is asked for")
    name = offline.metric
    missing = [version.name for version in (incumbent, candidate) if name not in version.metrics]
    if missing:
        return Opinion(
            Judgement.UNKNOWN,
            f"{' and '.join(missing)} has no metric {name}; add it to spec.evaluation.metrics of the job",
        )
    same = (incumbent.dataset.uri, incumbent.dataset.version, incumbent.split) == (
        candidate.dataset.uri,
        candidate.dataset.version,
        candidate.split,
    )
    if not same:
        return Opinion(
            Judgement.UNKNOWN,
            f"{candidate.name} and {incumbent.name} were not measured on the same validation data; train both on one dataset version",
        )
    gain = candidate.metrics[name] - incumbent.metrics[name]
    if name in LOWER_IS_BETTER:
        gain = -gain
    words = f"{name} {candidate.metrics[name]:.4f} against the incumbent's {incumbent.metrics[name]:.4f}"
    if gain >= offline.minimum_gain:
        return Opinion(Judgement.PASS, words)
    return Opinion(Judgement.FAIL, f"{words}: a gain of at least {offline.minimum_gain:g} is asked for")


def judge_online(online: Online, baseline: Baseline, now: VersionTraffic) -> Opinion:
    """Whether the answers since the baseline are good enough; Fail as soon as the error budget of minRequests is spent."""
    requests, errors = now.requests - baseline.requests, now.errors - baseline.errors
    allowed = online.max_error_rate * max(requests, online.min_requests)
    if errors > allowed:
        return Opinion(
            Judgement.FAIL, f"{errors} of {requests} requests failed; maxErrorRate is {online.max_error_rate:g}"
        )
    if requests < online.min_requests:
        return Opinion(Judgement.UNKNOWN, f"{requests} of at least {online.min_requests} requests were seen")
    slowest = percentile_milliseconds(latency_since(baseline, now), 0.95)
    if online.max_p95_milliseconds is not None and slowest > online.max_p95_milliseconds:
        return Opinion(
            Judgement.FAIL,
            f"the 95th percentile of latency is up to {slowest:g} ms; maxP95Milliseconds is {online.max_p95_milliseconds:g}",
        )
    return Opinion(Judgement.PASS, f"{requests} requests, {errors} failed, 95 % within {slowest:g} ms")


def latency_since(baseline: Baseline, now: VersionTraffic) -> dict[str, int]:
    """The cumulative histogram of what came since the baseline."""
    return {
        bound: count - baseline.latency_milliseconds.get(bound, 0) for bound, count in now.latency_milliseconds.items()
    }


def percentile_milliseconds(histogram: dict[str, int], share: float) -> float:
    """The upper bound of the bucket that the percentile falls into; 0 for an empty histogram."""
    if not histogram:
        return 0.0
    bounds = sorted((float("inf") if bound == "+Inf" else float(bound), count) for bound, count in histogram.items())
    total = bounds[-1][1]
    return next((bound for bound, count in bounds if total and count >= share * total), 0.0)


def restarted(baseline: Baseline, now: VersionTraffic) -> bool:
    """Whether the router has forgotten what the baseline counted."""
    return now.requests < baseline.requests or now.errors < baseline.errors
