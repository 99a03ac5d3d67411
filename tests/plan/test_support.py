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
