"""The least that each model takes, and where in the four kinds each model stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from headrace.api import (
    data_pipeline,
    inference_endpoint,
    job,
    keys,
    loss,
    media,
    pods,
    recurrence,
    steps,
    tracking,
    train_job,
    tune_job,
    windows,
)
from headrace.api.base import Model, OneOf
from headrace.api.compression import Compression
from headrace.api.meta import API_VERSION, Kind
from headrace.api.objects import MODELS

Wire = dict[str, Any]
NAME = "case"

TRAIN: Wire = {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 1}

MINIMAL: dict[type[Model], Wire] = {
    data_pipeline.DataPipelineSpec: {"source": {"sample": {"name": "Digits"}}, "sink": {"delta": {}}},
    data_pipeline.Source: {"sample": {"name": "Digits"}},
    data_pipeline.Sink: {"delta": {}},
    data_pipeline.Files: {"uri": "s3://bucket/data", "format": "Csv"},
    data_pipeline.SampleSource: {"name": "Digits"},
    data_pipeline.Kafka: {"brokers": ["kafka:9092"], "topics": ["events"]},
    data_pipeline.Sql: {"url": {"name": "database", "key": "url"}, "query": "select * from t", "key": "id"},
    data_pipeline.Repaired: {"uri": "s3://bucket/repaired"},
    steps.Step: {"split": {}},
    steps.Validate: {"columns": [{"name": "age"}]},
    steps.ColumnRule: {"name": "age"},
    steps.FillMissing: {"column": "age", "value": "0"},
    steps.Deduplicate: {"exact": {}},
    steps.Redact: {"entities": ["Email"]},
    steps.Hash: {"columns": ["mail"], "key": {"secret": "privacy", "id": "2026-07"}},
    steps.Encrypt: {"columns": ["mail"], "key": {"secret": "privacy", "id": "2026-07"}},
    keys.Key: {"secret": "privacy", "id": "2026-07"},
    steps.Scale: {"column": "age"},
    steps.Augment: {"text": {}},
    media.DecodeImage: {"width": 64, "height": 64},
    data_pipeline.Alert: {"name": "hot", "column": "mean", "above": 30},
    data_pipeline.Webhook: {"uri": "https://alerts.example.com/hot"},
    windows.EventTime: {"column": "at"},
    windows.Window: {"seconds": 10, "measures": [{"into": "n", "measure": {"count": {}}}]},
    windows.NamedMeasure: {"into": "n", "measure": {"count": {}}},
    windows.Measure: {"rate": {}},
    windows.OfColumn: {"column": "age"},
    windows.Quantile: {"column": "age", "q": 0.5},
    windows.Detect: {"column": "n"},
    job.Gang: {"kubernetes": {}},
    pods.EnvironmentVariable: {"name": "MODE", "value": "fast"},
    pods.SecretKey: {"name": "database", "key": "password"},
    pods.Volume: {"name": "data", "mountPath": "/data", "source": {"emptyDir": {}}},
    train_job.TrainJobSpec: TRAIN,
    train_job.Dataset: {"pipeline": "digits"},
    train_job.DatasetTable: {"uri": "s3://bucket/table"},
    train_job.StartingModel: {"module": "package.model:build"},
    train_job.WeightsSource: {"job": "base"},
    train_job.OwnLoop: {"module": "package.loop:train"},
    train_job.ActivationCheckpointing: {"modules": ["blocks"]},
    train_job.OnDivergence: {"fail": {}},
    recurrence.Trigger: {"newVersion": {}},
    loss.Loss: {"crossEntropy": {}},
    train_job.Rollout: {"endpoint": "digits"},
    tracking.TrackerCredentials: {"secret": "login"},
    tracking.MLflow: {"uri": "https://mlflow.example.com", "experiment": "digits"},
    tracking.WeightsAndBiases: {"project": "digits", "secret": "wandb"},
    tracking.Tracking: {"mlflow": {"uri": "https://mlflow.example.com", "experiment": "digits"}},
    Compression: {"none": {}},
    tune_job.TuneJobSpec: {
        "objective": {"metric": "accuracy"},
        "search": [{"path": "batchSize", "choice": {"values": [16, 32]}}],
        "template": TRAIN,
    },
    tune_job.Objective: {"metric": "accuracy"},
    tune_job.Algorithm: {"tpe": {}},
    tune_job.EarlyStopping: {"median": {}},
    tune_job.Dimension: {"path": "batchSize", "choice": {"values": [16, 32]}},
    tune_job.Range: {"low": 0.0, "high": 1.5},
    tune_job.LogRange: {"low": 0.001, "high": 0.1},
    tune_job.IntegerRange: {"low": 1, "high": 9},
    tune_job.Choice: {"values": [1]},
    tune_job.Condition: {"path": "optimizer.name", "equals": "SGD"},
    inference_endpoint.CanaryStep: {"weight": 10},
}
"""What a model that is not named takes is {}."""

RIVALS: dict[type[Model], tuple[tuple[str, ...], ...]] = {
    pods.EnvironmentVariable: (("value", "secret"),),
    train_job.Dataset: (("pipeline", "table"),),
    train_job.StartingModel: (("builtin", "module"), ("lora", "freeze")),
    train_job.WeightsSource: (("uri", "endpoint", "job", "tuneJob"),),
    train_job.TrainJobSpec: (("epochs", "steps"),),
    tune_job.Dimension: (("uniform", "logUniform", "integer", "choice"),),
}
"""Fields of which a model that is no OneOf takes only one."""


@dataclass(frozen=True)
class Hop:
    """One field on the way from a spec to a model inside it."""

    owner: type[Model]
    field: str
    is_list: bool


@dataclass(frozen=True)
class Place:
    """Where a model stands in a kind."""

    kind: Kind
    hops: tuple[Hop, ...]
    model: type[Model]

    @property
    def path(self) -> str:
        """The place as the API server and `headrace validate` spell it, in the first item of each list."""
        return ".".join(["spec", *(f"{hop.field}[0]" if hop.is_list else hop.field for hop in self.hops)])

    def manifest(self, value: Any) -> Wire:
        """A manifest that is minimal but for this value in this place."""
        for hop in reversed(self.hops):
            value = with_field(hop.owner, hop.field, [value] if hop.is_list else value)
        return manifest(self.kind, completed(self.kind, value) if self.hops else value)


def completed(kind: Kind, spec: Wire) -> Wire:
    """A spec with what a field inside it asks for beside it: a model that writes and the loss that it is trained by, say."""
    if kind == Kind.DATA_PIPELINE:
        return _completed_pipeline(spec)
    if kind == Kind.TRAIN_JOB and (spec["model"] or {}).get("builtin") == "LanguageModel":
        return {"loss": {"nextToken": {}}} | spec
    if kind == Kind.TRAIN_JOB and (spec.get("loss") or {}).get("nextToken") is not None:
        return spec | {"model": {"builtin": "LanguageModel"}}
    return spec


def _completed_pipeline(spec: Wire) -> Wire:
    """With a Stream for alerts, a window for what is detected, the time of what falls into a window, sound for its features."""
    streaming = {"mode": "Stream", "source": {"http": {}}} if spec.get("alerts") else {}
    steps = [_fitting(step) for step in spec.get("steps") or ()]
    if any(step.get("detect") is not None for step in steps):
        steps.append({"window": MINIMAL[windows.Window]})
    if any(step.get("soundFeatures") is not None for step in steps):
        return spec | streaming | {"steps": [*steps, {"decodeSound": {}}]}
    if any(step.get("window") is not None for step in steps):
        return spec | streaming | {"steps": steps, "eventTime": MINIMAL[windows.EventTime]}
    return spec | streaming


def _fitting(step: Wire) -> Wire:
    """A window at least as long as its distance, and a score of enough values, where only one of the two is given."""
    gaussian = (step.get("detect") or {}).get("gaussian") or {}
    if gaussian.keys() in ({"atLeast"}, {"last"}):
        return {"detect": step["detect"] | {"gaussian": {"atLeast": 2, "last": 10_000} | gaussian}}
    window = step.get("window") or {}
    distance = window.get("everySeconds")
    longer = isinstance(distance, int) and window == MINIMAL[windows.Window] | {"everySeconds": distance}
    return {"window": window | {"seconds": min(distance, 2_592_000)}} if longer and distance > 11 else step


def manifest(kind: Kind, spec: Any, **metadata: Any) -> Wire:
    """A manifest of a kind."""
    return {"apiVersion": API_VERSION, "kind": str(kind), "metadata": {"name": NAME} | metadata, "spec": spec}


def with_field(owner: type[Model], field: str, value: Any) -> Wire:
    """The least that the model takes with this field, without the field's rivals."""
    rivals = {rival for group in RIVALS.get(owner, ()) if field in group for rival in group}
    base = {} if issubclass(owner, OneOf) else MINIMAL.get(owner, {})
    return {name: given for name, given in base.items() if name not in rivals} | {field: value}


def spec_model(kind: Kind) -> type[Model]:
    """The model of a kind's spec."""
    model = MODELS[kind].model_fields["spec"].annotation
    assert isinstance(model, type) and issubclass(model, Model)
    return model


def places() -> Iterator[Place]:
    """Every place of every model in the specs of the four kinds."""
    for kind in Kind:
        yield from _inside(Place(kind, (), spec_model(kind)))


def _inside(place: Place) -> Iterator[Place]:
    yield place
    for name, field in place.model.model_fields.items():
        for model, is_list in _models(field.annotation):
            hop = Hop(place.model, field.alias or name, is_list)
            yield from _inside(Place(place.kind, (*place.hops, hop), model))


def _models(annotation: Any, is_list: bool = False) -> Iterator[tuple[type[Model], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation, is_list
    for argument in get_args(annotation):
        yield from _models(argument, is_list or getattr(annotation, "__origin__", None) is tuple)
