"""Bad manifests: each fault is one line with file, line, object, field, fact and next step; exit code 2, nothing done."""

from pathlib import Path

import pytest

from tests.bad_input.command import Said, headrace

PIPELINE = """\
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {name: digits, namespace: HERE}
spec:
  source:
    sample: {name: Digits}
  sink:
    delta: {}
"""
JOB = """\
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {name: digits, namespace: HERE}
spec:
  dataset: {pipeline: digits}
  model: {builtin: Perceptron}
  epochs: 1
"""
BOTH = f"{JOB}---\n{PIPELINE}"
ALL_SOURCES = "files, sample, kafka, sql, http"

FAULTS = {
    "unknown-field": (
        f"{PIPELINE}  worker: {{max: 2}}\n",
        ":9: DataPipeline digits: spec.worker: unknown field; did you mean workers?",
    ),
    "wrong-number": (
        BOTH.replace("epochs: 1", "epochs: many"),
        ":7: TrainJob digits: spec.epochs: 'many' is written here; write a whole number",
    ),
    "text-for-a-mapping": (
        PIPELINE.replace("{name: Digits}", "Digits"),
        ":6: DataPipeline digits: spec.source.sample: 'Digits' is written here; write a mapping of fields",
    ),
    "mapping-for-a-list": (
        f"{PIPELINE}  steps: {{split: {{}}}}\n",
        ":9: DataPipeline digits: spec.steps: a mapping is written here; write a list",
    ),
    "nothing-for-a-mapping": (
        PIPELINE.replace("    sample: {name: Digits}\n", ""),
        ":5: DataPipeline digits: spec.source: nothing is written here; write a mapping of fields",
    ),
    "out-of-range": (
        BOTH.replace("epochs: 1", "epochs: 0"),
        ":7: TrainJob digits: spec.epochs: must be greater than or equal to 1, but 0 is written here",
    ),
    "no-address": (
        PIPELINE.replace("sample: {name: Digits}", "files: {uri: /data, format: Csv}"),
        ":6: DataPipeline digits: spec.source.files.uri: '/data' cannot stand here; "
        "write an address with its scheme, such as file:///data or s3://bucket/data",
    ),
    "two-of-one": (
        PIPELINE.replace("    sample:", "    kafka: {brokers: ['b:1'], topics: [t]}\n    sample:"),
        f":5: DataPipeline digits: spec.source: set exactly one of {ALL_SOURCES}; kafka and sample are written here",
    ),
    "none-of-one": (
        PIPELINE.replace("source:\n    sample: {name: Digits}", "source: {}"),
        f":5: DataPipeline digits: spec.source: set exactly one of {ALL_SOURCES}; none is written here",
    ),
    "no-such-pipeline": (
        BOTH.replace("{pipeline: digits}", "{pipeline: digit}"),
        ":5: TrainJob digits: spec.dataset.pipeline: there is no DataPipeline digit in these files or in the state folder; "
        "did you mean digits?",
    ),
    "no-such-base": (
        BOTH.replace("{builtin: Perceptron}", "{from: {job: digit}}"),
        ":6: TrainJob digits: spec.model.from.job: there is no TrainJob digit in these files or in the state folder; "
        "did you mean digits?",
    ),
    "from-itself": (
        BOTH.replace("{builtin: Perceptron}", "{from: {job: digits}}"),
        ":6: TrainJob digits: spec.model.from.job is the job itself, which would wait for its own end; "
        "name another, or the uri of a version that it made",
    ),
    "from-two": (
        BOTH.replace("{builtin: Perceptron}", "{from: {job: a, endpoint: b}}"),
        ":6: TrainJob digits: spec.model.from: set exactly one of uri, endpoint, job, tuneJob; job and endpoint are written here",
    ),
    "no-such-endpoint": (
        f"{JOB}  rollout: {{endpoint: digits}}\n---\n{PIPELINE}",
        ":8: TrainJob digits: spec.rollout.endpoint: there is no InferenceEndpoint digits in these files or in the state folder; "
        "add an InferenceEndpoint of that name",
    ),
    "not-yaml": (
        PIPELINE.replace("HERE}", "HERE"),
        ":4: YAML: expected ',' or '}', but got ':'; check the indentation and the quotes here",
    ),
    "control-character": (
        PIPELINE.replace("digits,", "dig\x07its,"),
        ":3: YAML: the character '\\x07' is not allowed; remove it",
    ),
    "unknown-tag": (
        PIPELINE.replace("{name: Digits}", "!sample Digits"),
        ":6: YAML: could not determine a constructor for the tag '!sample'; write plain values, and quotes around text",
    ),
    "no-such-day": (
        PIPELINE.replace("digits,", "2026-13-01,"),
        ":3: YAML: '2026-13-01' cannot be read: month must be in 1..12; write plain values, and quotes around text",
    ),
    "mapping-as-a-key": (
        f"{PIPELINE}  {{a: 1}}: 2\n",
        ":9: YAML: found unhashable key; write plain values, and quotes around text",
    ),
    "no-object": (
        "- digits\n",
        ":1: document: is not an object; write apiVersion, kind, metadata and spec",
    ),
    "no-kind": (
        PIPELINE.replace("kind: DataPipeline\n", ""),
        ":1: object digits: kind: is required; add one of DataPipeline, TrainJob, TuneJob, InferenceEndpoint",
    ),
    "twins": (
        f"{PIPELINE}---\n{PIPELINE}",
        ":10: DataPipeline digits: is written twice; the first is at FILE:1; keep one, or give one another name",
    ),
    "not-built-source": (
        PIPELINE.replace("sample: {name: Digits}", "kafka: {brokers: ['b:1'], topics: [t]}"),
        ":6: DataPipeline digits: spec.source.kafka is not built yet for mode Batch; use files, sample or sql",
    ),
    "not-built-strategy": (
        BOTH.replace("epochs: 1", "epochs: 1\n  parallelism: {strategy: Tensor}"),
        ":8: TrainJob digits: spec.parallelism.strategy Tensor is not built yet; use DataParallel",
    ),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What one `validate` of all files says; each file has a namespace of its own, so that no two names meet."""
    folder = tmp_path_factory.mktemp("manifests")
    for name, (text, _) in FAULTS.items():
        (folder / f"{name}.yaml").write_text(text.replace("HERE", name))
    said = headrace(folder, "validate", *(f"{name}.yaml" for name in FAULTS))
    assert (said.code, said.out) == (2, "")
    return said.err.splitlines()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_that_says_what_to_write(name: str, told: list[str]) -> None:
    """File, line, object, field, fact and next step; exit code 2."""
    file = f"{name}.yaml"
    assert [line for line in told if line.startswith(f"{file}:")] == [file + FAULTS[name][1].replace("FILE", file)]


def test_all_faults_of_all_files_are_told_at_once(told: list[str]) -> None:
    """One command lists every problem, a line each, and ends with their number."""
    assert told[-1] == f"headrace: {len(FAULTS)} problems; nothing was done"
    assert len(told) == len(FAULTS) + 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("nowhere.yaml", "there is no file nowhere.yaml; name a file or a folder of manifests"),
        ("empty.yaml", "empty.yaml holds no objects; write a DataPipeline, TrainJob, TuneJob or InferenceEndpoint"),
        ("comment.yaml", "comment.yaml holds no objects; write a DataPipeline, TrainJob, TuneJob or InferenceEndpoint"),
        ("empty", "the folder empty has no .yaml file; name a folder or a file with manifests"),
        ("binary.yaml", "binary.yaml is not text; name a YAML file"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(given: str, sentence: str, tmp_path: Path) -> None:
    """A file that is not there, or holds nothing, ends the command with exit code 2 and no state folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "comment.yaml").write_text("# later\n---\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert headrace(tmp_path, "run", given) == Said(2, "", f"headrace: {sentence}\n")
    assert not (tmp_path / "state").exists()
