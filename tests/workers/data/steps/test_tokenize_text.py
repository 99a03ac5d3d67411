"""tokenize: fitted on the training split, the same bytes for the same texts, the same in the table and in serving."""

import pyarrow as pa
import pytest

from headrace.api.steps import Step, Tokenize, TokenizeMethod
from headrace_workers.data.steps import run_step, tokenize_text
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import FittedStep, Preprocessing
from headrace_workers.tokenizing import UNKNOWN

TEXTS = [
    "the cat sat on the mat",
    "the dog sat on the cat",
    "a dog and a cat; The end",
    "naïve café 中文 \U0001f600\n\ttabs",
] * 3
METHODS = pytest.mark.parametrize("method", list(TokenizeMethod))


def table(*texts: str, split: list[str] | None = None) -> pa.Table:
    """A table of texts."""
    columns = {"text": list(texts), **({"split": split} if split else {})}
    return pa.table(columns)


def words(**changes: object) -> Tokenize:
    """Settings of whole words, of which each is learnt."""
    return Tokenize.model_validate({"method": "Words", "minCount": 1, **changes})


def test_only_the_training_split_decides() -> None:
    """A word of the validation split alone is unknown there; the text stays."""
    made = run_step(table("old word", "new word", split=["train", "validation"]), Step(tokenize=words())).table
    assert made["tokens"].to_pylist()[1] == [UNKNOWN, made["tokens"].to_pylist()[0][1]]
    assert made["text"].to_pylist() == ["old word", "new word"]
    assert made["tokens"].type == pa.list_(pa.int32())


@METHODS
def test_the_same_texts_make_the_same_bytes_however_they_are_cut(method: TokenizeMethod) -> None:
    """Shards and batches are counted as the whole is, and many equal counts are no matter of chance."""
    settings = Tokenize(method=method, vocabulary=300, min_count=1)
    whole = tokenize_text.decide([tokenize_text.measure(table(*TEXTS), settings)], settings)
    parts = [tokenize_text.measure(table(*TEXTS[start : start + 5]), settings) for start in (0, 5, 10)]
    cut = tokenize_text.decide([pa.concat_tables(parts[:2]), parts[2]], settings)
    assert cut.by_shard == (whole.by_shard[0],) * 2
    assert whole.fitted == (FittedStep(tokenize=whole.by_shard[0]),)


@METHODS
def test_serving_tokenizes_as_the_pipeline_did(method: TokenizeMethod) -> None:
    """A raw text through Preprocessing equals its row in the table, padded."""
    settings = Tokenize(method=method, min_count=1, max_tokens=7, lowercase=True, boundaries=True)
    decision = tokenize_text.decide([tokenize_text.measure(table(*TEXTS), settings)], settings).by_shard[0]
    made = tokenize_text.apply(table(*TEXTS), settings, decision).table["tokens"].to_pylist()
    served = Preprocessing(features="tokens", shape=(7,), steps=(FittedStep(tokenize=decision),)).apply(TEXTS)
    assert served.dtype == "int64"
    assert served.tolist() == [[*row, *[0] * (7 - len(row))] for row in made]
    assert max(map(len, made)) == 7


def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a batch the most frequent pieces are kept, of all batches too; of equals the first by their letters."""
    monkeypatch.setattr(tokenize_text, "MOST_PIECES", 2)
    measured = tokenize_text.measure(table("c b b a"), words())
    assert measured.to_pydict() == {"piece": ["b", "a"], "count": [2, 1]}
    monkeypatch.setattr(tokenize_text, "MOST_COUNTED", 2)
    more = tokenize_text.measure(table("d d d"), words())
    known = tokenize_text.decide([measured, more, more], words()).by_shard[0]
    assert known.vocabulary == 4 + 1


def test_an_empty_batch_has_an_empty_column() -> None:
    """Whatever was filtered before, batches have one schema."""
    decision = tokenize_text.decide([tokenize_text.measure(table("a"), words())], words()).by_shard[0]
    empty = pa.table({"text": pa.array([], pa.string())})
    assert tokenize_text.apply(empty, words(), decision).table["tokens"].type == pa.list_(pa.int32())


@pytest.mark.parametrize(
    ("made", "settings", "reason"),
    [
        (table("a", split=["validation"]), words(), "EmptyDataset"),
        (pa.table({"text": ["a", None]}), words(), "MissingValues"),
        (pa.table({"text": [1]}), words(), "WrongColumnType"),
        (table("a"), words(column="body"), "ColumnNotFound"),
        (pa.table({"text": ["a"], "label": ["b"]}), words(into="label"), "ColumnExists"),
    ],
)
def test_what_cannot_be_tokenized_is_a_fault(made: pa.Table, settings: Tokenize, reason: str) -> None:
    """What is wrong with the column is the fault's reason."""
    with pytest.raises(RunFault) as caught:
        run_step(made, Step(tokenize=settings))
    assert caught.value.reason == reason
