"""What tests of this folder may ask for."""

import pytest

from tests.workers.data.secrets import SECRET


@pytest.fixture
def given_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has both keys of the Secret `privacy` in the environment, as the operator puts them there."""
    for name, text in SECRET.items():
        monkeypatch.setenv(f"HEADRACE_KEY_PRIVACY__{name.upper()}", text)
