"""Manifests that no schema leads to: metadata, patterns, words of YAML and JSON, free objects."""

from collections.abc import Iterator
from typing import Any

from headrace.api.meta import Kind
from tests.cluster.manifests.cases import Case
from tests.cluster.manifests.minimal import MINIMAL, TRAIN, manifest, spec_model

LONG = 52


def _train(**fields: Any) -> dict[str, Any]:
    return manifest(Kind.TRAIN_JOB, TRAIN | fields)


def _pipeline(**fields: Any) -> dict[str, Any]:
    return manifest(Kind.DATA_PIPELINE, MINIMAL[spec_model(Kind.DATA_PIPELINE)] | fields)


def _named(**metadata: Any) -> dict[str, Any]:
    return manifest(Kind.TRAIN_JOB, TRAIN, **metadata)


def odd_cases() -> Iterator[Case]:
    """The cases."""
    yield from _metadata()
    yield from _texts()
    yield from _values()


def _metadata() -> Iterator[Case]:
    for kind in Kind:
        spec = MINIMAL.get(spec_model(kind), {})
        yield Case.accepted(f"{kind}-minimal", manifest(kind, spec))
        yield Case.accepted(f"{kind}-longest-name", manifest(kind, spec, name="n" * LONG))
        for name in ("n" * (LONG + 1), "Upper", "-a", "a_b", "a.b"):
            yield Case.refused(f"{kind}-name-{name[:9]}", manifest(kind, spec, name=name), "metadata.name")
        yield Case.refused(f"{kind}-no-spec", {**manifest(kind, spec), "spec": None}, "spec")
        yield Case.refused(f"{kind}-field-beside-spec", {**manifest(kind, spec), "specs": {}}, "specs", "unknown field")
    yield Case.refused("no-name", {**_train(), "metadata": {}}, "name", "required")
    yield Case.refused("metadata-misspelt", _named(lables={"a": "b"}), "metadata.lables", "unknown field")
    yield Case.refused("label-key", _named(labels={"a b": "x"}), "metadata.labels")
    yield Case.refused("label-value", _named(labels={"a": "two words"}), "metadata.labels")
    yield Case.refused("label-number", _named(labels={"a": 1}), "labels")
    yield Case.refused("label-too-long", _named(labels={"a": "x" * 64}), "metadata.labels")
    yield Case.refused("annotation-key", _named(annotations={"a b": "x"}), "metadata.annotations")
    yield Case.refused("annotation-number", _named(annotations={"a": 1}), "annotations")
    yield Case.accepted(
        "labels", _named(labels={"app.kubernetes.io/name": "Digits_1.0", "empty": "", "x" * 63: "y" * 63})
    )
    yield Case.accepted("annotations", _named(annotations={"Example.com/note": "two words\n"}))
    yield Case.accepted("null-labels", _named(labels=None))
    yield Case.accepted("status", {**_train(), "status": {"phase": "Nonsense"}})


def _texts() -> Iterator[Case]:
    for uri in ("file:/data", "file:///data", "s3://b", "gs://b/x?y=1", "abfss://c@a/p", "hdfs://n:8020/p"):
        yield Case.accepted(f"uri-{uri}", _train(checkpoints={"uri": uri}))
    for uri in ("/data", "http://host/data", "S3://bucket", "s3:", " s3://b", "s3://a\nb"):
        yield Case.refused(f"uri-{uri!r}", _train(checkpoints={"uri": uri}), "spec.checkpoints.uri")
    for schedule in ("0 3 * * *", "*/5 0-6 1,15 JAN MON"):
        yield Case.accepted(f"schedule-{schedule}", _pipeline(schedule=schedule))
    for schedule in ("@daily", "0 3 * *", "0 3 * * * *", "0  3 * * *", "0 3 *\u00a0* * *", "0 3 * * \u00e9"):
        yield Case.refused(f"schedule-{schedule!r}", _pipeline(schedule=schedule), "spec.schedule")
    for module in ("m:f", "package.sub_1:Build"):
        yield Case.accepted(f"module-{module}", _train(model={"module": module}))
    for module in ("m", "m:", "1m:f", "m:f.g", "m\u00fc:f", "m:f\n"):
        yield Case.refused(f"module-{module!r}", _train(model={"module": module}), "spec.model.module")
        yield Case.refused(f"loop-{module!r}", _train(loop={"module": module}), "spec.loop.module")
    for version in ("Latest", "0", "123456789"):
        yield Case.accepted(f"version-{version}", _train(dataset={"pipeline": "d", "version": version}))
    for wrong in (7, "latest", "1234567890", "-1", "\u0661"):
        yield Case.refused(
            f"version-{wrong!r}", _train(dataset={"pipeline": "d", "version": wrong}), "spec.dataset.version"
        )
    for path in ("seed", "model.parameters.learning_rate"):
        yield Case.accepted(f"path-{path}", _searched(path))
    for path in ("", "a..b", ".a", "a[0]", "a b"):
        yield Case.refused(f"path-{path!r}", _searched(path), "spec.search[0].path")


def _searched(path: str) -> dict[str, Any]:
    dimension = {"path": path, "choice": {"values": [1]}}
    return manifest(Kind.TUNE_JOB, MINIMAL[spec_model(Kind.TUNE_JOB)] | {"search": [dimension]})


def _values() -> Iterator[Case]:
    yield Case.accepted("nothing-for-a-default", _train(batchSize=None, optimizer=None, workers={"max": None}))
    yield Case.accepted("nothing-beside-the-choice", _train(compression={"bf16": {}, "none": None}))
    yield Case.refused(
        "nothing-for-the-choice", _train(compression={"none": None}), "spec.compression", "set exactly one of none"
    )
    yield Case.accepted("nothing-in-a-map", _train(pods={"nodeSelector": {"a": None, "b": "c"}}))
    yield Case.refused("number-in-a-map", _train(pods={"nodeSelector": {"a": 1}}), "spec.pods.nodeSelector.a")
    yield Case.refused("yaml-for-norwegian", _pipeline(steps=[{"filter": {"languages": [False]}}]),
                       "spec.steps[0].filter.languages[0]")  # fmt: skip
    yield Case.refused("nothing-in-a-list", _pipeline(steps=[None]), "spec.steps[0]")
    yield Case.refused("number-in-a-list", _train(pods={"imagePullSecrets": [1]}), "spec.pods.imagePullSecrets[0]")
    yield Case.accepted("free-objects", _train(
        model={"builtin": "Perceptron", "parameters": {"layers": [1, 2.5, None], "name": None, "deep": {"er": None}}},
        podTemplate={"spec": {"hostname": None, "securityContext": {"fsGroup": 1}}, "metadata": {"labels": {"a": "b"}}},
        pods={"affinity": {"nodeAffinity": {"x": [None]}}, "topologySpreadConstraints": [{"maxSkew": 1, "x": None}]},
    ))  # fmt: skip
    yield Case.accepted("bare-pod-template", _train(podTemplate={"hostname": "h", "x": None}))
    yield Case.refused("pod-template-of-text", _train(podTemplate={"spec": "x"}), "spec.podTemplate")
    yield Case.accepted("whole-number-for-a-real", _train(optimizer={"learningRate": 1, "momentum": 0}))
    yield Case.accepted("largest-seed", _train(seed=2**31 - 1))
    for number in (2**31, 2**63, 2**64, -1):
        yield Case.refused(f"seed-{number}", _train(seed=number), "spec.seed")
    yield Case.refused("two-faults", _train(seed=-1, batchSize=0), "spec.batchSize")
    yield Case.refused("null-in-condition", manifest(Kind.TUNE_JOB, MINIMAL[spec_model(Kind.TUNE_JOB)] | {
        "search": [{"path": "seed", "choice": {"values": [1]}, "when": {"path": "x"}}]}), "spec.search[0].when.equals", "equired")  # fmt: skip
    yield Case.refused("faulty-item", _pipeline(steps=[{"validate": {"columns": [{"name": "a", "min": 2, "max": 1}]}}]),
                       "spec.steps[0].validate.columns[0]", "min must be at most max")  # fmt: skip
