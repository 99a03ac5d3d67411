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
        (HEAD + SPEC + "  steps:\n  - split: {}\n    scale: {column: x}\n", "f.yaml:8: DataPipeline d: spec.steps[0]: set exactly one of validate, fillMissing, normalizeText, filter, deduplicate, redact, embed, scale, split, augment; split and scale are written here"),
        (HEAD + "spec: {sink: {delta: {}}}\n", "f.yaml:4: DataPipeline d: spec.source: is required; add it"),
        (HEAD.replace("Pipeline", "Pipelin") + SPEC, "f.yaml:2: DataPipelin d: kind 'DataPipelin' does not exist; did you mean DataPipeline?"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n", "f.yaml:1: Pod p: apiVersion is 'v1'; write apiVersion: headrace.dev/v1alpha1"),
        ("a: [1\n", "f.yaml:2: YAML: expected ',' or ']', but got '<stream end>'; check the indentation and the quotes here"),
        ("- 1\n", "f.yaml:1: document: is not an object; write apiVersion, kind, metadata and spec"),
        (HEAD + SPEC + "  seed: 1\n  seed: 2\n", "f.yaml:8: YAML: the key 'seed' is written twice in one mapping; keep one"),
        (HEAD + SPEC + "---\n" + HEAD + SPEC, "f.yaml:8: DataPipeline d: is written twice; the first is at f.yaml:1; keep one, or give one another name"),
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
