"""augment: copies of training records only, the same every time."""

import pytest

from headrace_workers.data.images import shape_of
from headrace_workers.data.steps import augment
from headrace_workers.data.steps.step import Context
from headrace_workers.faults import RunFault
from tests.workers.data.pictures import BOTH, TABLE


def test_copies_follow_the_originals() -> None:
    """Every training record gets its copies, with its label, split and an id of its own."""
    outcome = augment.apply(TABLE, BOTH)
    assert outcome.augmented == 6
    assert outcome.table["id"].to_pylist() == ["a", "b", "c", "d", "a#1", "c#1", "d#1", "a#2", "c#2", "d#2"]
    assert outcome.table["label"].to_pylist() == [0, 1, 2, 3, 0, 2, 3, 0, 2, 3]
    assert set(outcome.table["split"].to_pylist()[4:]) == {"train"}
    assert outcome.table.slice(0, 4).equals(TABLE)
    assert shape_of(outcome.table.schema.field("image")) == (8, 8)


def test_a_copy_depends_on_its_own_id_alone() -> None:
    """The same record gets the same copies in another batch, and others under another seed."""
    alone = augment.apply(TABLE.slice(2, 1), BOTH).table["image"].to_pylist()[1]
    among = augment.apply(TABLE, BOTH).table["image"].to_pylist()[5]
    reseeded = augment.apply(TABLE, BOTH, Context("augment", 1)).table["image"].to_pylist()[5]
    assert alone == among != reseeded


def test_without_a_split_there_is_nothing_to_augment() -> None:
    """The fault says which step is missing."""
    with pytest.raises(RunFault, match="put a split step before it"):
        augment.apply(TABLE.drop_columns("split"), BOTH)
