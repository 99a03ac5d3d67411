"""Keys: read from the environment, refused without a word of what they are."""

import base64

import pytest

from headrace.api.keys import Key
from headrace_workers.data import keys
from headrace_workers.faults import RunFault

KEY = Key(secret="privacy", id="2026-07")
BYTES = bytes(range(32))


def test_a_key_is_32_bytes_in_base64() -> None:
    """As a line of a file, too."""
    environ = {"HEADRACE_KEY_PRIVACY__2026_07": base64.b64encode(BYTES).decode() + "\n"}
    assert keys.read(KEY, "steps[0].hash", environ) == BYTES


def test_a_missing_key_says_where_it_belongs() -> None:
    """In a cluster and in local mode."""
    with pytest.raises(
        RunFault, match=r"steps\[0\]\.hash\.key: the Secret privacy has no key 2026-07.*HEADRACE_KEY_PRIVACY__2026_07"
    ) as caught:
        keys.read(KEY, "steps[0].hash", {})
    assert (caught.value.reason, caught.value.retryable) == ("KeyMissing", False)


@pytest.mark.parametrize("text", ["s3cr3t!", base64.b64encode(BYTES[:31]).decode(), "%" * 44, "ä"])
def test_what_is_no_key_is_refused_and_not_quoted(text: str) -> None:
    """Too short, no base64, no ASCII."""
    with pytest.raises(RunFault) as caught:
        keys.read(KEY, "steps[0].hash", {KEY.variable: text})
    assert caught.value.reason == "KeyMalformed"
    assert text not in caught.value.message


def test_each_purpose_has_a_key_of_its_own() -> None:
    """Neither is the key itself."""
    assert len({BYTES, keys.derived(BYTES, "hash"), keys.derived(BYTES, "encrypt")}) == 3
