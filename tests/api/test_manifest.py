"""Manifests: objects with their lines, and for each fault the file, the line, the field and the remedy."""

import pytest

from headrace.api.manifest import load_manifests

HEAD = "apiVersion: headrace.dev/v1alpha1\nkind: DataPipeline\nmetadata: {name: d}\n"
SPEC = "spec:\n  source: {sample: {name: Digits}}\n  sink: {delta: {}}\n"


def faults(text: str) -> list[str]:
    return [str(problem) for problem in load_manifests([("f.yaml", text)])[1]]


def test_a_good_manifest_has_its_line() -> None:
    """Each object knows where it was written."""
    manifests, problems = load_manifests(
        [("f.yaml", f"---\n{HEAD}{SPEC}---\n{HEAD.replace('name: d', 'name: e')}{SPEC}")]
    )
    assert problems == []
    assert [(manifest.object.metadata.name, manifest.line) for manifest in manifests] == [("d", 2), ("e", 9)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (HEAD + SPEC + "  step: []\n", "f.yaml:7: DataPipeline d: spec.step: unknown field; did you mean steps?"),
        (HEAD + SPEC + "  steps:\n  - split: {trainFraction: 2}\n", "f.yaml:8: DataPipeline d: spec.steps[0].split.trainFraction: must be less than 1, but 2 is written here"),
        (HEAD + SPEC + "  steps:\n  - split: {}\n    scale: {column: x}\n", "f.yaml:8: DataPipeline d: spec.steps[0]: set exactly one of validate, fillMissing, normalizeText, filter, deduplicate, redact, hash, encrypt, embed, scale, tokenize, decodeSound, soundFeatures, decodeImage, split, augment, window, detect; split and scale are written here"),
        (HEAD + "spec: {sink: {delta: {}}}\n", "f.yaml:4: DataPipeline d: spec.source: is required; add it"),
        (HEAD.replace("Pipeline", "Pipelin") + SPEC, "f.yaml:2: DataPipelin d: kind 'DataPipelin' does not exist; did you mean DataPipeline?"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n", "f.yaml:1: Pod p: apiVersion is 'v1'; write apiVersion: headrace.dev/v1alpha1"),
        ("a: [1\n", "f.yaml:2: YAML: expected ',' or ']', but got '<stream end>'; check the indentation and the quotes here"),
        ("- 1\n", "f.yaml:1: document: is not an object; write apiVersion, kind, metadata and spec"),
        (HEAD + SPEC + "  seed: 1\n  seed: 2\n", "f.yaml:8: YAML: the key 'seed' is written twice in one mapping; keep one"),
        (HEAD + SPEC + "---\n" + HEAD + SPEC, "f.yaml:8: DataPipeline d: is written twice; the first is at f.yaml:1; keep one, or give one another name"),
        (HEAD + SPEC + "  seed: '5'\n", "f.yaml:7: DataPipeline d: spec.seed: '5' is written here; write a whole number"),
        (HEAD + SPEC + "  seed: true\n", "f.yaml:7: DataPipeline d: spec.seed: True is written here; write a whole number"),
        (HEAD + SPEC + "  suspend: 1\n", "f.yaml:7: DataPipeline d: spec.suspend: 1 is written here; write true or false"),
        (HEAD + SPEC + "  seed: .inf\n", "f.yaml:7: DataPipeline d: spec.seed: '.inf' is written here; write a whole number"),
        (HEAD + SPEC + "  schedule: 2026-01-02\n", "f.yaml:7: YAML: '2026-01-02' cannot be read: JSON has no date; write plain values, and quotes around text"),
        (HEAD + SPEC + "  steps:\n  - validate:\n      columns:\n      - {name: a, min: 2, max: 1}\n", "f.yaml:10: DataPipeline d: spec.steps[0].validate.columns[0]: min must be at most max"),
        (HEAD + SPEC + "  podTemplate: {spec: x}\n", "f.yaml:7: DataPipeline d: spec.podTemplate: spec must be a mapping of a pod's fields"),
        (HEAD.replace("name: d", "name: d, lables: {}") + SPEC, "f.yaml:3: DataPipeline d: metadata.lables: unknown field; did you mean labels?"),
        (HEAD.replace("name: d", "name: d, labels: {a b: c}") + SPEC, "f.yaml:3: DataPipeline d: metadata.labels.a b: 'a b' is no key; write letters, digits, - _ and . between them, at most 63, with a domain and / before them if need be"),
        (HEAD.replace("name: d", "name: d, labels: {a: b c}") + SPEC, "f.yaml:3: DataPipeline d: metadata.labels.a: 'b c' cannot be a label's value; write letters, digits, - _ and . between them, at most 63; a longer text fits an annotation"),
        (HEAD + SPEC + "  workers: {resources: {cpu: 0.5}}\n", "f.yaml:7: DataPipeline d: spec.workers.resources.cpu: write a quantity as an integer or a string, such as 2, '500m' or 8Gi"),
    ],
)  # fmt: skip
def test_faults(text: str, fault: str) -> None:
    """A fault is one line: file, line, object, field, fact, remedy."""
    assert faults(text) == [fault]


def test_all_faults_are_told_at_once() -> None:
    """A reader mends a file in one go."""
    assert len(faults(HEAD + SPEC + "  a: 1\n  b: 2\n")) == 2


def test_a_status_in_a_manifest_is_ignored() -> None:
    """What was read back with `-o yaml` can be given again."""
    assert faults(HEAD + SPEC + "status: {phase: Nonsense}\n") == []


JOB = HEAD.replace("DataPipeline", "TrainJob") + "spec:\n  dataset: {pipeline: d}\n  model: {builtin: Perceptron}\n"


def test_a_one_of_counts_its_own_fields() -> None:
    """Of a spec's fields only those that the rule is about are named as written."""
    message = "f.yaml:4: TrainJob d: spec: set exactly one of epochs, steps; "
    assert faults(JOB) == [f"{message}none is written here"]
    assert faults(JOB + "  epochs: 1\n  steps: 1\n") == [f"{message}epochs and steps are written here"]


def test_a_field_that_is_null_is_not_written() -> None:
    """As the API server takes it, but inside a free object."""
    (manifest,), problems = load_manifests(
        [("f.yaml", JOB + "  epochs: 1\n  batchSize:\n  podTemplate: {spec: {hostname: }}\n")]
    )
    assert problems == []
    assert (manifest.object.spec.batch_size, manifest.object.spec.pod_template) == (64, {"spec": {"hostname": None}})


def test_numbers_are_read_as_kubectl_reads_them() -> None:
    """An exponent makes a number without a point too, and a whole number with a point is an integer."""
    (manifest,), problems = load_manifests(
        [("f.yaml", JOB + "  epochs: 1.0\n  batchSize: 1e2\n  optimizer: {learningRate: 1e-3}\n")]
    )
    assert problems == []
    spec = manifest.object.spec
    assert (spec.epochs, spec.batch_size, spec.optimizer.learning_rate) == (1, 100, 0.001)


@pytest.mark.parametrize("text", ["a: &x {b: *x}\n", "[" * 5000], ids=["alias-in-its-anchor", "deep"])
def test_what_nests_without_end_is_one_fault(text: str) -> None:
    """No text takes the command down."""
    assert faults(text) == [
        "f.yaml:1: YAML: nests too deeply, or an alias stands inside its own anchor; write plain values"
    ]
