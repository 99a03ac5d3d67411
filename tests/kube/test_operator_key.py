"""The operator's key: made once, read by every replica, refused when it is none."""

import pytest

from headrace.kube.operator_key import NoKey, operator_key
from headrace.kube.resources import SECRET
from tests.kube.fake_api import FakeApi

NAME = "headrace-operator-key"


async def test_every_replica_has_the_same_key():
    """The first one makes it, and makes no second."""
    api = FakeApi()
    keys = {await operator_key(api, "system", NAME), await operator_key(api, "system", NAME)}
    assert len(keys) == 1 and len(keys.pop()) == 32
    assert [verb for verb, _ in api.writes()] == ["create", "update"]


async def test_the_charts_empty_secret_is_filled():
    """So that the operator needs no right to create Secrets in its own namespace, and Helm takes the key away again."""
    api = FakeApi()
    await api.create(SECRET.path("system"), {"metadata": {"name": NAME}})
    await operator_key(api, "system", NAME)
    assert [verb for verb, _ in api.writes()] == ["create", "update"]


@pytest.mark.parametrize("data", [{"key": "c2hvcnQ="}, {"key": "no base64"}])
async def test_what_is_no_key_is_refused(data):
    """The sentence names the Secret and what to do."""
    api = FakeApi()
    await api.create(SECRET.path("system"), {"metadata": {"name": NAME}, "data": data})
    with pytest.raises(NoKey, match="Secret system/headrace-operator-key has no key of 32 bytes; empty it"):
        await operator_key(api, "system", NAME)
