"""What kopf is told to do, and what not."""

from headrace.handlers import settings


def test_kopf_watches_and_does_nothing_else():
    """No posting, no scanning, and nothing of what it keeps in annotations."""
    chosen = settings()
    assert (chosen.posting.enabled, chosen.scanning.disabled) == (False, True)
    assert chosen.persistence.progress_storage.fetch(key="any", body={}) is None
    assert chosen.persistence.diffbase_storage.build(body={}) == {}
