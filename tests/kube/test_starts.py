"""Objects whose pods begin to run: looked at once, and patiently."""

import asyncio

import pytest

from headrace.api.meta import Kind, ObjectKey
from headrace.kube.starts import PATIENCE_SECONDS, Starts

KEY = ObjectKey(kind=Kind.TRAIN_JOB, namespace="default", name="a")


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr("headrace.kube.starts.FOLLOWED_SECONDS", 0.02)
    return []


async def test_pods_that_begin_one_after_the_other_are_one_reason(told):
    """Two that others follow have the object looked at once, in a moment; the last one at once."""
    starts = Starts(told.append)
    starts.began(KEY, others_wait=True)
    starts.began(KEY, others_wait=True)
    assert told == []
    await asyncio.sleep(0.05)
    assert told == [KEY]
    starts.began(KEY, others_wait=False)
    assert told == [KEY, KEY]


async def test_only_what_begins_is_patient(told):
    """Until somebody looks, or there is another reason."""
    starts = Starts(told.append)
    assert starts.patience(KEY) == 0.0
    starts.began(KEY, others_wait=False)
    assert starts.patience(KEY) == PATIENCE_SECONDS
    starts.forget(KEY)
    assert starts.patience(KEY) == 0.0
