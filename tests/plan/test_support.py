"""What this version cannot do is told in one sentence, and not ignored."""

from typing import Any

import pytest

from headrace.api.objects import HeadraceObject
from headrace.plan.support import missing_support
from tests.gen import pipeline, train_job, tune_job


@pytest.mark.parametrize("make", [pipeline, train_job, tune_job])
def test_a_queue_is_refused(make: type[HeadraceObject]) -> None:
    """A run that its user takes for queued would start at once."""
    assert missing_support(make()) is None
    assert (missing_support(make(queueName="gpus")) or "").startswith("spec.queueName is not built yet")


def test_trials_are_not_tracked() -> None:
    """A search that named a tracker would tell it nothing."""
    tracking = {"mlflow": {"uri": "http://mlflow:5000", "experiment": "digits"}}
    template = {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 1}
    assert missing_support(train_job(tracking=tracking)) is None
    refused = missing_support(tune_job(template=template | {"tracking": tracking})) or ""
    assert refused.startswith("spec.template.tracking is not built yet")


def test_searches_do_not_recur_yet() -> None:
    """A trigger in a search's template would do nothing."""
    template = {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 1}
    trigger = {"newVersion": {}}
    assert missing_support(train_job(trigger=trigger)) is None
    refused = missing_support(tune_job(template=template | {"trigger": trigger})) or ""
    assert refused.startswith("spec.template.trigger is not built yet")


def test_names_cannot_be_redacted_yet() -> None:
    """A pipeline that its user takes for private would let them through."""
    step = {"redact": {"entities": ["Email"]}}
    assert missing_support(pipeline(steps=[step])) is None
    refused = missing_support(pipeline(steps=[step, {"redact": {"entities": ["Email", "Person"]}}])) or ""
    assert refused.startswith("spec.steps[1].redact.entities Person is not built yet")


def test_synonyms_are_not_known_yet() -> None:
    """A pipeline would make copies that are none."""
    split, alter = {"split": {}}, {"dropWords": 0.1, "swapWords": 0.1, "typingErrors": 0.01}
    assert missing_support(pipeline(steps=[split, {"augment": {"text": alter}}])) is None
    refused = missing_support(pipeline(steps=[split, {"augment": {"text": alter | {"synonyms": 0.1}}}])) or ""
    assert refused.startswith("spec.steps[1].augment.text.synonyms is not built yet")


KAFKA = {"kafka": {"brokers": ["kafka:9092"], "topics": ["events"]}}


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"source": KAFKA}, None),
        ({"source": KAFKA, "steps": [{"deduplicate": {"exact": {}}}, {"redact": {"entities": ["Email"]}}]}, None),
        ({"source": KAFKA, "steps": [{"filter": {"languages": ["en"]}}]}, None),
        ({"source": {"http": {}}}, "spec.source.http is not built yet for mode Stream"),
        ({"source": KAFKA, "sink": {"parquet": {}}}, "spec.sink.parquet is not built yet for mode Stream"),
        (
            {"source": KAFKA, "steps": [{"deduplicate": {"near": {}}}]},
            "spec.steps[0].deduplicate.near is not built yet",
        ),
        (
            {
                "source": KAFKA,
                "steps": [{"deduplicate": {"exact": {}}}, {"deduplicate": {"exact": {"columns": ["a"]}}}],
            },
            "spec.steps[1] is the second deduplicate",
        ),
        (
            {"source": KAFKA, "steps": [{"split": {}}, {"augment": {"image": {"copies": 1}}}]},
            "spec.steps[1].augment is not built yet for mode Stream",
        ),
        *(
            ({"source": KAFKA, "steps": [{step: settings}]}, f"spec.steps[0].{step} is not built yet for mode Stream")
            for step, settings in (
                ("decodeSound", {}),
                ("decodeImage", {"width": 8, "height": 8}),
            )
        ),
    ],
)
def test_what_a_stream_cannot_do(spec: dict[str, Any], refused: str | None) -> None:
    """The sentence names the field."""
    said = missing_support(pipeline(mode="Stream", **spec))
    assert (said or "").startswith(refused or "")
    assert (said is None) == (refused is None)


def test_a_batch_reads_no_topic_yet() -> None:
    """Kafka is a Stream's."""
    assert (missing_support(pipeline(source=KAFKA)) or "").startswith(
        "spec.source.kafka is not built yet for mode Batch"
    )
