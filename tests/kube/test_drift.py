"""Who changed a child is told by the owners of its fields alone."""

import pytest

from headrace.kube.drift import field_owners, is_touched_later
from tests.kube.fake_api import written

OURS = written("headrace", {"f:ports": {}})
LATER = "2026-01-01T12:00:01Z"
STATUS = written("kube-controller-manager", {"f:status": {}}, LATER, subresource="status")


def child(*entries):
    return {"metadata": {"managedFields": list(entries)}}


@pytest.mark.parametrize(
    ("entries", "same"),
    [
        pytest.param([{**OURS, "time": LATER}], True, id="the time alone"),
        pytest.param([OURS, STATUS], True, id="a status beside it"),
        pytest.param([OURS, written("kubectl-edit", {"f:type": {}})], False, id="a field of somebody else's"),
        pytest.param([written("headrace", {})], False, id="a field that is removed"),
    ],
)
def test_what_is_a_change(entries, same):
    """See the row."""
    assert (field_owners(child(*entries)) == field_owners(child(OURS))) == same


@pytest.mark.parametrize(
    ("entries", "touched"),
    [
        pytest.param([], False, id="nothing is known"),
        pytest.param([OURS], False, id="the operator alone"),
        pytest.param([OURS, STATUS], False, id="a later status"),
        pytest.param([OURS, written("kubectl-edit", {}, LATER)], True, id="a later edit"),
        pytest.param([{**OURS, "time": LATER}, written("kubectl-edit", {})], False, id="an edit that was put right"),
    ],
)
def test_what_is_known_at_first_sight(entries, touched):
    """See the row."""
    assert is_touched_later(child(*entries)) == touched
