"""filter: what is dropped is counted."""

import pyarrow as pa
import pytest

from headrace.api.languages import Language
from headrace.api.steps import Filter
from headrace_workers.data.steps import filter_records
from headrace_workers.data.steps.filter_records import word_counts
from headrace_workers.faults import RunFault
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


GERMAN, ENGLISH = "Die neue Brücke wurde gestern eröffnet", "The new bridge was opened yesterday"


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (Filter(languages=(Language.DE,)), [GERMAN]),
        (Filter(languages=(Language.DE, Language.EN)), [GERMAN, ENGLISH, "The new bridge"]),
        (Filter(languages=(Language.DE, Language.EN), min_confidence=0.8), [GERMAN, ENGLISH]),
        (Filter(languages=(Language.EN,), max_words=3), ["The new bridge"]),
        (Filter(languages=(Language.JA,)), []),
    ],
)
def test_keeps_texts_in_the_right_languages(settings: Filter, kept: list[str]) -> None:
    """A missing text is in none, nor is one that is too short to tell."""
    texts = [GERMAN, None, "ok", ENGLISH, "The new bridge", ""]
    outcome = filter_records.apply(pa.table({"text": texts, "at": range(6)}), settings)
    assert outcome.table["text"].to_pylist() == kept
    assert outcome.table["at"].to_pylist() == [texts.index(text) for text in kept]
    assert outcome.filtered == 6 - len(kept)


def test_a_filter_that_asks_for_nothing_keeps_all() -> None:
    """But the column must be there, and of text."""
    assert filter_records.apply(TABLE, Filter()).table.equals(TABLE)
    with pytest.raises(RunFault, match="filter needs text in the column at, which holds int64"):
        filter_records.apply(pa.table({"at": [1]}), Filter(column="at", languages=(Language.DE,)))


@pytest.mark.parametrize("seed", range(5))
def test_words_are_what_python_splits(seed: int) -> None:
    """Whatever the white space is, and wherever a batch was cut."""
    text = texts(seed)
    expected = [len((value or "").split()) for value in text.to_pylist()]
    assert word_counts(text).to_pylist() == expected
    assert word_counts(text.slice(37, 90)).to_pylist() == expected[37:127]
