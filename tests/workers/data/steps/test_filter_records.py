"""filter: what is dropped is counted."""

import pyarrow as pa
import pytest

from headrace.api.steps import Filter
from headrace_workers.data.steps import filter_records
from headrace_workers.data.steps.filter_records import word_counts
from tests.workers.test_normalizing import texts

TABLE = pa.table({"text": pa.array(["", "one", " two words ", "now three words", None], pa.string())})


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (Filter(min_words=2), [" two words ", "now three words"]),
        (Filter(max_words=1), ["", "one", None]),
        (Filter(min_words=1, max_words=2), ["one", " two words "]),
    ],
)
def test_keeps_texts_of_the_right_length(settings: Filter, kept: list[str | None]) -> None:
    """Texts with too few or too many words are dropped and counted."""
    outcome = filter_records.apply(TABLE, settings)
    assert outcome.table["text"].to_pylist() == kept
    assert outcome.filtered == 5 - len(kept)


@pytest.mark.parametrize("seed", range(5))
def test_words_are_what_python_splits(seed: int) -> None:
    """Whatever the white space is, and wherever a batch was cut."""
    text = texts(seed)
    expected = [len((value or "").split()) for value in text.to_pylist()]
    assert word_counts(text).to_pylist() == expected
    assert word_counts(text.slice(37, 90)).to_pylist() == expected[37:127]
