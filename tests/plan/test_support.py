"""What this version cannot do is told in one sentence, and not ignored."""

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
