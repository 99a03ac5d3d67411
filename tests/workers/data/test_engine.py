"""The engine: every record is accounted for, and a run that was killed ends as if it had not been."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.api.run_report import Records
from headrace_workers.data import pieces
from headrace_workers.data.accounting import require_balanced
from headrace_workers.faults import RunFault
from tests.workers.data.builders import digits, files, pipeline, prepare, table_of

CSV = {
    "a.csv": "text,price\nA long enough text,1\nshort,2\nA long enough text,1\nbroken\n",
    "b.csv": "text,price\nAnother text of words,x\nYet another nice text,3\n",
}
CSV_STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "price", "min": 0}]}},
    {"filter": {"minWords": 3}},
    {"deduplicate": {"exact": {"columns": ["text"]}}},
    {"split": {"trainFraction": 0.5}},
]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two CSV files with every kind of record."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, content in CSV.items():
        (folder / name).write_text(content)
    return folder


def test_every_record_is_accounted_for(raw: Path, tmp_path: Path) -> None:
    """What was read was written, filtered, a duplicate or bad: exactly."""
    prepared = prepare(pipeline(files(raw, "Csv"), *CSV_STEPS, quarantine={"maxFraction": 0.5}), tmp_path)
    assert prepared.records == Records(read=6, written=2, filtered=1, duplicates=1, quarantined=2)
    table = table_of(prepared)
    assert table["id"].to_pylist() == ["a.csv:2", "b.csv:3"]
    assert table["price"].to_pylist() == [1.0, 3.0]
    assert sum(prepared.splits.values()) == 2


def test_bad_records_are_in_the_quarantine(raw: Path, tmp_path: Path) -> None:
    """Each bad record is a line with where it came from, what was wrong, and the record."""
    prepare(pipeline(files(raw, "Csv"), *CSV_STEPS, quarantine={"maxFraction": 0.5}), tmp_path)
    lines = [
        json.loads(line)
        for path in sorted((tmp_path / "quarantine").iterdir())
        for line in path.read_text().splitlines()
    ]
    assert [(line["stage"], line["code"], line["source"]) for line in lines] == [
        ("source", "WrongFieldCount", "file a.csv line 5"),
        ("steps[0].validate", "NotANumber", "record b.csv:2"),
    ]
    assert lines[0]["record"] == "broken"
    assert json.loads(lines[1]["record"])["price"] == "x"


def test_too_many_bad_records_stop_the_run(raw: Path, tmp_path: Path) -> None:
    """The fault says how many, how many are allowed, and shows the first."""
    with pytest.raises(RunFault) as caught:
        prepare(pipeline(files(raw, "Csv"), *CSV_STEPS, quarantine={"maxFraction": 0.1}), tmp_path)
    assert caught.value.reason == "TooManyBadRecords"
    assert caught.value.message == (
        "1 of 6 records (16.7 %) are bad, more than the 10 % allowed; first: file a.csv line 5: expected 2 fields, found 1; "
        "raise quarantine.maxFraction or repair the source"
    )


@pytest.mark.parametrize("content", ["", "text,price\n"])
def test_a_source_without_records_is_a_fault(content: str, tmp_path: Path) -> None:
    """Nothing read is not a dataset."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.csv").write_text(content)
    with pytest.raises(RunFault) as caught:
        prepare(pipeline(files(tmp_path / "raw", "Csv")), tmp_path)
    assert caught.value.reason == "EmptyDataset"


def test_a_pipeline_that_drops_everything_is_a_fault(raw: Path, tmp_path: Path) -> None:
    """Nothing left is not a dataset either."""
    spec = pipeline(
        files(raw, "Csv"), {"filter": {"minWords": 50}}, {"deduplicate": {"exact": {}}}, quarantine={"maxFraction": 1}
    )
    with pytest.raises(RunFault, match="no record is left before steps"):
        prepare(spec, tmp_path)


def test_a_missing_column_names_the_step(raw: Path, tmp_path: Path) -> None:
    """The fault names the step by its index and lists the columns."""
    with pytest.raises(
        RunFault, match=r"steps\[1\]\.filter names the column body, which is not there; name one of id, text, price"
    ):
        prepare(
            pipeline(files(raw, "Csv"), CSV_STEPS[0], {"filter": {"column": "body"}}, quarantine={"maxFraction": 1}),
            tmp_path,
        )


def test_json_lines_and_text_go_the_whole_way(tmp_path: Path) -> None:
    """Other formats end in a table with id and split first."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jsonl").write_text('{"text": "one", "label": "x"}\n{"text": "two", "label": "y"}\n')
    prepared = prepare(pipeline(files(tmp_path / "raw", "JsonLines")), tmp_path / "json")
    assert table_of(prepared).column_names == ["id", "split", "text", "label"]
    assert prepared.preprocessing.classes == ("x", "y")
    assert prepared.splits == {"train": 2}
    assert prepare(pipeline(files(tmp_path / "raw", "Text")), tmp_path / "text").records.written == 2


def test_a_file_may_bring_columns_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that only the second block of a file has is missing in the records of the first."""
    monkeypatch.setattr("headrace_workers.data.sources.lines.BLOCK_BYTES", 1)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jsonl").write_text('{"a": 1}\n{"a": 2, "b": 0.5}\n{"b": 1.5}\n')
    table = table_of(prepare(pipeline(files(tmp_path / "raw", "JsonLines")), tmp_path / "run"))
    assert table.select(["a", "b"]).to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": 0.5}, {"a": None, "b": 1.5}]


def test_digits_go_the_whole_way(tmp_path: Path) -> None:
    """Validated, split, scaled, deduplicated, augmented: the counts, the splits and the preprocessing agree."""
    prepared = prepare(digits(), tmp_path)
    table = table_of(prepared)
    copies = sum("#" in key for key in table["id"].to_pylist())
    assert prepared.records == Records(read=1797, written=1797, augmented=copies)
    assert prepared.splits == {split: table["split"].to_pylist().count(split) for split in ("train", "validation")}
    assert copies == prepared.splits["train"] / 2
    assert prepared.preprocessing.shape == (8, 8)
    assert prepared.preprocessing.classes == tuple(range(10))


def test_the_digest_depends_on_inputs_and_recipe_not_on_the_place(raw: Path, tmp_path: Path) -> None:
    """The same files elsewhere give the same digest and records; another seed or content gives another."""
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name, content in CSV.items():
        (other / name).write_text(content)
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "a.csv").write_text("text,price\nA text,1\n")
    allow: dict[str, Any] = {"quarantine": {"maxFraction": 1}}
    one = prepare(pipeline(files(raw, "Csv"), **allow), tmp_path / "1")
    two = prepare(pipeline(files(other, "Csv"), **allow), tmp_path / "2")
    assert (one.digest, table_of(one)) == (two.digest, table_of(two))
    assert prepare(pipeline(files(raw, "Csv"), seed=1, **allow), tmp_path / "3").digest != one.digest
    assert prepare(pipeline(files(changed, "Csv"), **allow), tmp_path / "4").digest != one.digest


class Killed(Exception):
    """Stands for kill -9."""


def killed_after(tasks: int) -> Callable[..., Iterator[tuple[int, Any]]]:
    """A spread that dies once it has done so many tasks."""
    left = [tasks]

    def spread(function: Callable[[Any], Any], arguments: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for index, argument in enumerate(arguments):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            yield index, function(argument)

    return spread


@pytest.mark.parametrize("tasks", range(6))
def test_a_killed_run_goes_on_where_it_was(tasks: int, raw: Path, tmp_path: Path) -> None:
    """Killed after any task and started again, the run has the records of one that was not, and does no task twice."""
    spec = pipeline(files(raw, "Csv"), *CSV_STEPS, quarantine={"maxFraction": 0.5})
    whole = prepare(spec, tmp_path / "whole")
    with pytest.raises(Killed):
        prepare(spec, tmp_path / "killed", killed_after(tasks))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("*.json")}
    again = prepare(spec, tmp_path / "killed")
    assert (again.records, again.digest, again.preprocessing, table_of(again)) == (
        whole.records,
        whole.digest,
        whole.preprocessing,
        table_of(whole),
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(before) == tasks


def test_the_size_of_parts_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records cut into many small parts are the same records."""
    whole = prepare(digits(), tmp_path / "whole")
    monkeypatch.setattr(pieces, "PART_BYTES", 1)
    assert table_of(prepare(digits(), tmp_path / "parts")) == table_of(whole)


def test_a_full_storage_is_a_fault_that_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left is said in words, and another attempt may succeed."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headrace_workers.storage.Folder.write", full)
    with pytest.raises(RunFault) as caught:
        prepare(digits(), tmp_path)
    assert (caught.value.reason, caught.value.retryable) == ("StorageFull", True)


def test_an_account_that_does_not_add_up_is_a_fault() -> None:
    """A lost record is never committed over."""
    with pytest.raises(RunFault) as caught:
        require_balanced(Records(read=3, written=1, filtered=1))
    assert caught.value.reason == "RecordsLost"
