"""The CustomResourceDefinitions, made from the models: schemas, rules, printer columns, names, scale."""

from typing import Any

from headrace.api.base import NAME_PATTERN, Model
from headrace.api.edits import transition_rules
from headrace.api.meta import GROUP, VERSION, Kind
from headrace.api.objects import MODELS
from headrace.api.schema import structural_schema

PLURALS = {
    Kind.DATA_PIPELINE: "datapipelines",
    Kind.TRAIN_JOB: "trainjobs",
    Kind.TUNE_JOB: "tunejobs",
    Kind.INFERENCE_ENDPOINT: "inferenceendpoints",
}
SHORT_NAMES = {Kind.DATA_PIPELINE: "dp", Kind.TRAIN_JOB: "tj", Kind.TUNE_JOB: "tune", Kind.INFERENCE_ENDPOINT: "ie"}


def _column(name: str, path: str, kind: str = "string", priority: int = 0) -> dict[str, Any]:
    return {"name": name, "jsonPath": path, "type": kind, **({"priority": priority} if priority else {})}


RUN_COLUMNS = [
    _column("State", ".status.phase"),
    _column("Workers", ".status.workers.ready", "integer"),
    _column("Progress", ".status.percent", "integer"),
    _column("Stage", ".status.stage", priority=1),
    _column("Restarts", ".status.restarts", "integer", 1),
]
COLUMNS = {
    Kind.DATA_PIPELINE: [*RUN_COLUMNS, _column("Version", ".status.dataset.version", "integer")],
    Kind.TRAIN_JOB: [*RUN_COLUMNS, _column("Model", ".status.model.name")],
    Kind.TUNE_JOB: [
        *RUN_COLUMNS,
        _column("Best", ".status.bestTrial.value", "number"),
        _column("Model", ".status.model.name"),
    ],
    Kind.INFERENCE_ENDPOINT: [
        _column("State", ".status.phase"),
        _column("Stable", ".status.stable.name"),
        _column("Candidate", ".status.rollout.candidate.name"),
        _column("Weight", ".status.rollout.weight", "integer"),
        _column("URL", ".status.url", priority=1),
    ],
}
AGE = _column("Age", ".metadata.creationTimestamp", "date")
SCALED = (Kind.DATA_PIPELINE, Kind.TRAIN_JOB)


def _listed_by_type(status: dict[str, Any]) -> dict[str, Any]:
    conditions = {
        **status["properties"]["conditions"],
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    return {**status, "properties": {**status["properties"], "conditions": conditions}}


def _part(kind: Kind, name: str) -> dict[str, Any]:
    model = MODELS[kind].model_fields[name].annotation
    assert isinstance(model, type) and issubclass(model, Model)
    return structural_schema(model)


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    schema: dict[str, Any] = {
        "type": "object",
        "description": " ".join((MODELS[kind].__doc__ or "").split()),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 52, "pattern": NAME_PATTERN}},
            },
            "spec": _part(kind, "spec"),
            "status": _listed_by_type(_part(kind, "status")),
        },
    }
    if rules := transition_rules(kind):
        schema["x-kubernetes-validations"] = rules
    subresources: dict[str, Any] = {"status": {}}
    if kind in SCALED:
        subresources["scale"] = {
            "specReplicasPath": ".spec.workers.desired",
            "statusReplicasPath": ".status.workers.ready",
            "labelSelectorPath": ".status.workers.selector",
        }
    definition: dict[str, Any] = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURALS[kind]}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": str(kind), "listKind": f"{kind}List", "plural": PLURALS[kind], "singular": str(kind).lower(),
                "shortNames": [SHORT_NAMES[kind]], "categories": ["headrace"],
            },
            "versions": [{
                "name": VERSION, "served": True, "storage": True,
                "schema": {"openAPIV3Schema": schema},
                "subresources": subresources,
                "additionalPrinterColumns": [*COLUMNS[kind], AGE],
            }],
        },
    }  # fmt: skip
    return definition
