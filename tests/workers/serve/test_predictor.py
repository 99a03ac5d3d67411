"""A model of sound answers files as they are."""

from datetime import UTC, datetime
from math import prod

import pytest

from headrace.api.artifacts import DatasetVersion, JobReference
from headrace.api.media import DecodeSound, SoundFeatures
from headrace.api.meta import Kind
from headrace.api.train_job import ModelSource
from headrace_workers.model_version import ModelDocument
from headrace_workers.preprocessing import FittedStep, Preprocessing
from headrace_workers.serve.instances import BadInstance
from headrace_workers.serve.predictor import Predictor
from tests.workers.sounds import RATE, encoded, tone

torch = pytest.importorskip("torch", reason="models are torch's")

SHAPE = (38, 40)


class Loudness(torch.nn.Module):
    """The first class is sound, the second is silence."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        assert inputs.shape[1:] == SHAPE
        means = inputs.reshape(-1, prod(SHAPE)).mean(dim=1)
        return torch.stack([means, -36.0 - means], dim=1)


@pytest.fixture
def predictor() -> Predictor:
    """One of sounds of 0.4 s, of which it hears bands."""
    document = ModelDocument(
        name="s-1a2b3-r1", uri="file:///models/s", digest="sha256:0", features="features", target="label", shape=SHAPE,
        dataset=DatasetVersion(uri="file:///lake/t", version=0, digest="sha256:0"), created_at=datetime(2026, 1, 1, tzinfo=UTC),
        job=JobReference(kind=Kind.TRAIN_JOB, name="s", uid="1a2b3", run=1), source=ModelSource(module="m:f"),
        classes=("sound", "silence"),
    )  # fmt: skip
    steps = (
        FittedStep(decode_sound=DecodeSound(sample_rate=RATE, seconds=0.4)),
        FittedStep(sound_features=SoundFeatures()),
    )
    return Predictor(document, Preprocessing(features="features", shape=SHAPE, steps=steps), Loudness())


def test_it_answers_sounds_and_silence(predictor: Predictor) -> None:
    """Before its first user it was asked about silence, which it answers like any other sound."""
    predictor.warm()
    assert (predictor.schema.features, predictor.schema.shape) == ("content", None)
    sent = predictor._preprocessing.sendable([encoded(tone()), encoded(0 * tone(), "FLAC")])
    assert [answer["label"] for answer in predictor.predict(sent)] == ["sound", "silence"]


def test_what_is_no_sound_is_the_users_mistake(predictor: Predictor) -> None:
    """And said in a sentence, like any other bad instance."""
    with pytest.raises(BadInstance, match="instance 1 does not begin as WAV, FLAC, OGG or MP3 does"):
        predictor.predict([*predictor._preprocessing.sendable([encoded(tone())]), "aGVsbG8="])
