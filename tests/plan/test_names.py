"""Names: deterministic, short enough for a label, and different where owners, runs or places differ."""

from headrace.api.meta import ObjectMeta
from headrace.plan.names import attempt_name, child_name, worker_place


def test_names_fit_into_a_label() -> None:
    """The longest owner's name still gives a name of at most 63 characters."""
    owner = ObjectMeta(name="a" * 52, uid="u")
    assert len(attempt_name(owner, 9999, 99999, worker_place(9999))) <= 63


def test_names_differ_by_uid() -> None:
    """An object created anew under the same name has other children."""
    assert child_name(ObjectMeta(name="a", uid="1"), "x") != child_name(ObjectMeta(name="a", uid="2"), "x")


def test_cut_names_end_well() -> None:
    """A name that is cut at a hyphen has no hyphen doubled."""
    assert "--" not in child_name(ObjectMeta(name="a" * 29 + "-bb", uid="1"), "x")
