"""InferenceEndpoint: a stable name, which model versions may take its traffic, and on what evidence."""

from typing import Annotated

from pydantic import Field

from headrace.api.base import Edit, Model, PodTemplate, Rule, Seconds, setting
from headrace.api.pods import PodSettings, Resources


class Replicas(Model):
    """How many servers each version has."""

    min: Annotated[int, Field(ge=1, le=1000, description="The fewest servers.")] = 1
    max: Annotated[int, Field(ge=1, le=1000, description="The most servers.")] = 1
    target_concurrency: Annotated[
        int, Field(ge=1, le=10_000, description="Requests in flight that one server should have.")
    ] = 8
    rules = (Rule("self.min <= self.max", "replicas.min must be at most replicas.max", lambda r: r.min <= r.max),)


class CanaryStep(Model):
    """One share of the traffic, held for a while."""

    weight: Annotated[int, Field(ge=1, le=99, description="The candidate's share of the traffic, in percent.")]
    hold_seconds: Annotated[Seconds, Field(description="How long the share is held before it is judged.")] = 60


def _rising(canary: "Canary") -> bool:
    weights = [step.weight for step in canary.steps]
    return weights == sorted(set(weights))


class Canary(Model):
    """The candidate takes over step by step."""

    steps: Annotated[tuple[CanaryStep, ...], Field(min_length=1, max_length=20, description="The shares, rising.")] = (
        CanaryStep(weight=10), CanaryStep(weight=50),
    )  # fmt: skip
    rules = (
        Rule(
            "self.steps.all(s, self.steps.filter(t, t.weight == s.weight).size() == 1) && self.steps.map(s, s.weight).isSorted()",
            "canary weights must rise from step to step",
            _rising,
        ),
    )


class Offline(Model):
    """The candidate must do at least as well as the incumbent on the same validation data."""

    metric: Annotated[str, Field(min_length=1, max_length=64, description="The metric compared.")] = "accuracy"
    minimum_gain: Annotated[float, Field(ge=-1e9, le=1e9, description="By how much the candidate must be better.")] = (
        0.0
    )


class Online(Model):
    """What the candidate's answers must look like at every step."""

    max_error_rate: Annotated[float, Field(ge=0.0, le=1.0, description="The largest share of failed requests.")] = 0.01
    max_p95_milliseconds: Annotated[
        float | None, Field(gt=0.0, le=3_600_000.0, description="The largest 95th percentile of latency.")
    ] = None
    min_requests: Annotated[
        int, Field(ge=1, le=10_000_000, description="Requests without which there is no verdict.")
    ] = 100


class Probe(Model):
    """Held-out requests that the endpoint sends to itself where users send too few."""

    split: Annotated[
        str, Field(pattern="^(train|validation)$", description="The split of the dataset that requests are taken from.")
    ] = "validation"
    requests_per_second: Annotated[float, Field(gt=0.0, le=10_000.0, description="How many.")] = 20.0


class RolloutPolicy(Model):
    """How a candidate becomes the stable version."""

    canary: Annotated[
        Canary | None, Field(description="Step by step; absent, the candidate takes over as soon as it is ready.")
    ] = None
    offline: Annotated[Offline | None, Field(description="The comparison before any traffic.")] = None
    online: Annotated[Online, Field(description="The judgement at every step.")] = Online()
    probe: Annotated[
        Probe | None, Field(description="Requests that the endpoint sends to itself during a rollout.")
    ] = None
    deadline_seconds: Annotated[
        Seconds, Field(ge=1, description="A rollout without a verdict after this long is rolled back.")
    ] = 1800


class InferenceEndpointSpec(Model):
    """What an InferenceEndpoint serves, and when it changes."""

    replicas: Replicas = setting("How many servers.", edit=Edit.IN_PLACE, default=Replicas())
    rollout: RolloutPolicy = setting(
        "How a candidate becomes the stable version.", edit=Edit.IN_PLACE, default=RolloutPolicy()
    )
    resources: Resources = setting("What one server asks for.", edit=Edit.IN_PLACE, default=Resources())
    port: int = setting("The port of the endpoint's Service.", edit=Edit.IN_PLACE, default=80, ge=1, le=65_535)
    local_port: int | None = setting(
        "The port on 127.0.0.1 in local mode; absent, any free one.",
        edit=Edit.IN_PLACE,
        default=None,
        ge=1024,
        le=65_535,
    )
    suspend: bool = setting("Stops all servers while true.", edit=Edit.IN_PLACE, default=False)
    pods: PodSettings = setting(
        "How the pods are made and where they may run.", edit=Edit.IN_PLACE, default=PodSettings()
    )
    pod_template: PodTemplate | None = setting(
        "Fields merged over every pod of the endpoint.", edit=Edit.IN_PLACE, default=None
    )
