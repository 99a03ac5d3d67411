"""What kopf is told to do, and what not."""

from headrace.handlers import settings


def test_kopf_watches_and_does_nothing_else():
    """No posting, no scanning; of other kinds than ours only what we made is watched."""
    chosen = settings()
    assert (chosen.posting.enabled, chosen.scanning.disabled) == (False, True)
    selectors = {str(selector): value for selector, value in chosen.watching.label_selectors.items()}
    assert set(selectors.values()) == {"app.kubernetes.io/managed-by=headrace"}
    assert len(selectors) == 1
