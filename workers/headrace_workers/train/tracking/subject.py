"""What a tracked run is called and described by: the fields of the spec that say how it learns, its identity, its lineage."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.api.artifacts import DatasetVersion, ModelVersion
from headrace.api.job import RunPolicy
from headrace.api.run_spec import RunSpec
from headrace.api.train_job import TrainJobSpec
from headrace_workers.train.publish import version_name
from headrace_workers.train.tracking.tracker import Subject

NO_PARAMETERS = frozenset(RunPolicy.model_fields) | {"tracking"}
"""How pods are made and runs are bounded is nothing that a model learns by; the pods' environment is nobody's business."""


def subject_of(run: RunSpec, spec: TrainJobSpec, dataset: DatasetVersion) -> Subject:
    """The run, the same for all its attempts."""
    who = run.identity
    facts = {
        "headrace.kind": str(who.kind), "headrace.namespace": who.namespace, "headrace.name": who.name,
        "headrace.uid": who.uid, "headrace.run": str(who.run), "headrace.attempt": str(who.attempt),
        "headrace.storage": run.storage, "headrace.dataset.uri": dataset.uri,
        "headrace.dataset.version": str(dataset.version), "headrace.dataset.digest": dataset.digest,
    }  # fmt: skip
    return Subject(f"{who.uid}-r{who.run}", version_name(who), parameters(spec), facts)


def parameters(spec: TrainJobSpec) -> dict[str, str]:
    """The spec as flat names and texts, such as optimizer.learningRate: 0.001."""
    written = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(NO_PARAMETERS))
    return dict(flattened(written))


def flattened(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf with its path; lists are leaves."""
    for name, child in value.items():
        path = f"{prefix}{spelled(name)}"
        if isinstance(child, Mapping) and child:
            yield from flattened(child, f"{path}.")
        else:
            yield path, child if isinstance(child, str) else json.dumps(child)


def spelled(name: str) -> str:
    """A name of a user's own, such as a model's parameter, in the letters that all trackers take."""
    return "".join(letter if (letter.isalnum() and letter.isascii()) or letter in "_-. /" else "_" for letter in name)


def model_facts(version: ModelVersion) -> dict[str, str]:
    """The model version that the run published."""
    return {
        "headrace.model.name": version.name, "headrace.model.uri": version.uri,
        "headrace.model.digest": version.digest, "headrace.model.codeDigest": version.code_digest,
    }  # fmt: skip
