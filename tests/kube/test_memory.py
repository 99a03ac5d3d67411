"""What is remembered is the newest, and what is gone stays gone."""

import pytest

from headrace.kube import memory
from headrace.kube.memory import Memory


def seen(uid: str, version: int) -> dict:
    return {
        "kind": "ConfigMap",
        "metadata": {"namespace": "demo", "name": "one", "uid": uid, "resourceVersion": str(version)},
    }


def test_what_is_older_changes_nothing() -> None:
    """Whichever way it comes."""
    known = Memory()
    assert known.put(seen("a", 2)) is not None
    assert known.put(seen("a", 1)) is None
    assert known.put(seen("a", 2)) is None


def test_what_is_buried_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another of the same name does; so many are remembered."""
    monkeypatch.setattr(memory, "BURIED", 2)
    known = Memory()
    for uid in ("a", "b", "c"):
        known.bury(uid)
    assert known.put(seen("c", 9)) is None
    assert known.put(seen("b", 9)) is None
    assert known.put(seen("a", 9)) is not None
    assert known.put(seen("d", 10)) is not None
