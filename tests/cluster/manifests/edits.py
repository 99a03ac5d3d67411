"""For each field of each spec an edit of it, and the states in which objects are edited."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.api.meta import Kind
from headrace.api.status import ACTIVE, Phase
from tests.cluster.manifests.minimal import MINIMAL, TRAIN, Wire, spec_model

SPREAD = [{"maxSkew": 1}]
PODS = {"affinity": {"podAffinity": {}}, "topologySpreadConstraints": [{"maxSkew": 2}],
        "volumes": [{"name": "v", "mountPath": "/v", "source": {"emptyDir": {}}}]}  # fmt: skip
RUN = {
    "gang": {"kubernetes": {}},
    "queueName": "gpus",
    "podTemplate": {"spec": {"hostname": "a"}},
    "activeDeadlineSeconds": 100,
    "scheduleTimeoutSeconds": 100,
    "ttlSecondsAfterFinished": 100,
    "pods": PODS,
}
FULL: dict[Kind, Wire] = {
    Kind.DATA_PIPELINE: MINIMAL[spec_model(Kind.DATA_PIPELINE)] | RUN | {"schedule": "0 3 * * *", "steps": [{"scale": {"column": "x"}}]},
    Kind.TRAIN_JOB: TRAIN | RUN | {"rollout": {"endpoint": "a"}, "tracking": {"weightsAndBiases": {"project": "a", "secret": "b"}}, "trigger": {"newVersion": {"pauseSeconds": 5}}, "model": {"builtin": "Perceptron", "parameters": {"width": 8}},
        "microBatchSize": 8, "gradientClipping": {}, "activationCheckpointing": {"modules": ["a"]},
        "loop": {"module": "package.loop:train"}},
    Kind.TUNE_JOB: MINIMAL[spec_model(Kind.TUNE_JOB)] | RUN | {"rollout": {"endpoint": "a"}, "earlyStopping": {"median": {}}},
}  # fmt: skip
"""Specs with every optional field, so that each can be changed and taken away."""

RUN_EDITS: list[Wire] = [
    {"recovery": {"maxRestarts": 9}},
    {"activeDeadlineSeconds": 200},
    {"activeDeadlineSeconds": None},
    {"scheduleTimeoutSeconds": 200},
    {"ttlSecondsAfterFinished": None},
    {"gang": {"coscheduling": {}}},
    {"gang": None},
    {"queueName": "cpus"},
    {"queueName": None},
    {"podTemplate": None},
    {"podTemplate": {"spec": {"hostname": "b"}}},
    {"podTemplate": {"spec": {"subdomain": "a"}}},
    {"pods": {}},
    {"pods": PODS | {"image": "other:2"}},
    {"pods": PODS | {"affinity": {"podAntiAffinity": {}}}},
    {"pods": PODS | {"topologySpreadConstraints": [{"minDomains": 2}]}},
    {"pods": PODS | {"volumes": [{"name": "v", "mountPath": "/v", "source": {"hostPath": {}}}]}},
    {"seed": 5},
]
EDITS: dict[Kind, list[Wire]] = {
    Kind.DATA_PIPELINE: [
        *RUN_EDITS,
        {"mode": "Stream", "source": {"http": {}}, "steps": [], "schedule": None},
        {"source": {"sample": {"name": "Wine"}}},
        {"source": {"sample": {"name": "PythonSource"}}},
        {"steps": []},
        {"steps": [{"scale": {"column": "y"}}]},
        {"steps": [{"filter": {"languages": ["de", "no"], "minConfidence": 0.8}}]},
        {"steps": [{"augment": {"text": {"dropWords": 0.1, "swapWords": 0.1, "typingErrors": 0.01, "copies": 2}}}]},
        {"steps": [{"tokenize": {"vocabulary": 300, "boundaries": True}}]},
        {"steps": [{"decodeSound": {"sampleRate": 8000, "seconds": 1.5}}, {"soundFeatures": {"method": "Mfcc"}}]},
        {"steps": [{"decodeImage": {"width": 32, "height": 32, "color": "Gray"}}]},
        {"source": {"files": {"uri": "s3://bucket/sounds", "format": "Audio", "naming": "{label}/{voice}.wav"}}},
        {"steps": [{"redact": {"entities": ["Email"], "bareNumbers": True}}]},
        {"steps": [{"encrypt": {"columns": ["y"], "key": {"secret": "privacy", "id": "2026-07"}}}]},
        {"sink": {"delta": {"uri": "s3://lake/t"}}},
        {"sink": {"parquet": {}}},
        {"workers": {"max": 8}},
        {"quarantine": {"maxFraction": 1}},
        {"quarantine": {"repaired": {"uri": "s3://lake/repaired.jsonl"}}},
        {"eventTime": {"column": "at"}},
        {"streaming": {"commitMilliseconds": 1000}},
        {"alerts": []},
        {"schedule": None},
        {"schedule": "0 4 * * *"},
    ],
    Kind.TRAIN_JOB: [
        *RUN_EDITS,
        {"dataset": {"pipeline": "other"}},
        {"trigger": {"newVersion": {}}},
        {"trigger": None},
        {"model": {"builtin": "ImageClassifier", "parameters": {"width": 8}}},
        {"model": {"builtin": "Perceptron", "parameters": {"depth": 8}}},
        {"loop": {"module": "package.other:train"}},
        {"loop": None},
        {"optimizer": {"learningRate": 1}},
        {"optimizer": {"schedule": {"warmupSteps": 5, "decay": "Linear", "finalFraction": 0.1}}},
        {"loss": {"meanSquaredError": {}}},
        {"model": {"builtin": "LanguageModel", "parameters": {"width": 8}}, "loss": {"nextToken": {}}},
        {"epochs": 2},
        {"epochs": None, "steps": 7},
        {"batchSize": 32},
        {"microBatchSize": 4},
        {"microBatchSize": None},
        {"precision": "BFloat16"},
        {"compile": True},
        {"gradientClipping": {"maxNorm": 2}},
        {"gradientClipping": None},
        {"activationCheckpointing": {"modules": ["b"]}},
        {"activationCheckpointing": None},
        {"stragglers": {"factor": 2}},
        {"evaluation": {"everySteps": 1}},
        {"parallelism": {"strategy": "FullySharded"}},
        {"compression": {"bf16": {}}},
        {"workers": {"min": 2, "max": 4, "desired": 3}},
        {"checkpoints": {"keep": 9}},
        {"rollout": None},
        {"rollout": {"endpoint": "b"}},
        {"tracking": None},
        {"tracking": {"weightsAndBiases": {"project": "c", "secret": "b"}}},
        {"stallSeconds": 1},
    ],
    Kind.TUNE_JOB: [
        *RUN_EDITS,
        {"objective": {"metric": "loss", "goal": "Minimize"}},
        {"algorithm": {"random": {}}},
        {"earlyStopping": None},
        {"earlyStopping": {"asha": {}}},
        {"search": [{"path": "batchSize", "choice": {"values": [16, 64]}}]},
        {"search": [{"path": "batchSize", "choice": {"values": [{"a": 1}]}}]},
        {"budget": {"trials": 3}},
        {"template": TRAIN | {"seed": 9}},
        {"template": TRAIN | {"podTemplate": {"spec": {}}}},
        {"rollout": None},
        {"stallSeconds": 1},
    ],
}
ENDPOINT_EDITS: list[Wire] = [
    {"replicas": {"max": 3}},
    {"rollout": {"canary": {}}},
    {"resources": {"cpu": "2"}},
    {"port": 8080},
    {"localPort": 9000},
    {"suspend": True},
    {"pods": {"image": "other:2"}},
    {"podTemplate": {"spec": {"hostname": "b"}}},
]


@dataclass(frozen=True)
class State:
    """A state of a run in which its object is edited."""

    phase: Phase | None
    suspend: bool

    @property
    def name(self) -> str:
        """The name of an object in this state."""
        return f"{self.phase or 'new'}-{'suspended' if self.suspend else 'open'}".lower()

    @property
    def is_guarded(self) -> bool:
        """Whether what changes the result may not be edited now."""
        return self.phase in ACTIVE and not self.suspend

    def status(self) -> dict[str, Any]:
        """The status of an object in this state."""
        return {"phase": str(self.phase)} if self.phase else {}

    @property
    def is_thorough(self) -> bool:
        """Whether every field is edited in this state, or one of each sort."""
        return self.phase in (Phase.RUNNING, Phase.COMPLETE)


ONE_OF_EACH_SORT = ("recovery", "queueName", "seed")


def editing() -> Iterator[tuple[Kind, State, int]]:
    """The kind, the state and the number of each edit."""
    for kind, edits in EDITS.items():
        for state in states():
            for number, edit in enumerate(edits):
                if state.is_thorough or any(name in ONE_OF_EACH_SORT for name in edit):
                    yield kind, state, number


def states() -> Iterator[State]:
    """Every phase and none; what is active also with suspend written."""
    yield State(None, suspend=False)
    for phase in Phase:
        yield State(phase, suspend=phase == Phase.SUSPENDED)
        if phase in ACTIVE:
            yield State(phase, suspend=True)
