"""split: stable by key, whatever else is in the table."""

import pyarrow as pa

from headrace.api.steps import Split
from headrace_workers.data.steps import split
from headrace_workers.data.steps.step import Context

KEYS = [f"k{n}" for n in range(2000)]


def splits(keys: list[str], seed: int = 0, key: str = "id") -> dict[str, str]:
    """The split of each key."""
    outcome = split.apply(pa.table({key: keys}), Split(train_fraction=0.8, key=key), Context("split", seed))
    return dict(zip(keys, outcome.table["split"].to_pylist(), strict=True))


def test_the_share_of_training_is_about_what_was_asked() -> None:
    """Of 2,000 keys about four fifths are for training."""
    share = sum(value == "train" for value in splits(KEYS).values()) / len(KEYS)
    assert 0.77 < share < 0.83


def test_records_do_not_move_when_others_come_or_go() -> None:
    """A key's split depends on nothing but the key and the seed."""
    assert splits(KEYS[::-3]).items() <= splits(KEYS).items()


def test_another_seed_splits_anew() -> None:
    """The seed decides."""
    assert splits(KEYS, seed=1) != splits(KEYS, seed=2)


def test_one_key_is_never_in_both_splits() -> None:
    """Records of one key stay together."""
    table = pa.table({"id": KEYS, "user": [f"u{n % 50}" for n in range(len(KEYS))]})
    outcome = split.apply(table, Split(train_fraction=0.5, key="user"))
    by_user = outcome.table.group_by("user").aggregate([("split", "count_distinct")])
    assert set(by_user["split_count_distinct"].to_pylist()) == {1}
