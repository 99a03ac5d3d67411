"""Bad data: one command runs six pipelines, of which only the one with few broken rows may land anything."""

import json
from pathlib import Path

import pytest

from tests.bad_input.command import Said, headrace
from tests.bad_input.manifests import csv_pipeline

pytestmark = [pytest.mark.ray, pytest.mark.workers]

ROWS = 60
BROKEN = "one,two,three\n"


def rows(is_broken: "set[int] | range") -> str:
    """A CSV file of 60 rows, some of which have a field too many."""
    return "text,label\n" + "".join(BROKEN if row in is_broken else f"word {row},{row % 2}\n" for row in range(ROWS))


@pytest.fixture(scope="module")
def said(shared_folder: Path) -> Said:
    """What the command said."""
    contents = {
        "header": rows(range(ROWS))[:11],
        "good": rows(set()),
        "few": rows({30}),
        "many": rows(range(0, ROWS, 3)),
    }
    for name, text in contents.items():
        (shared_folder / f"{name}.csv").write_text(text)
    pipelines = [
        csv_pipeline("header", shared_folder / "header.csv"),
        csv_pipeline("few", shared_folder / "few.csv"),
        csv_pipeline("many", shared_folder / "many.csv"),
        csv_pipeline("filtered", shared_folder / "good.csv", "{filter: {minWords: 9}}"),
        csv_pipeline("no-folder", shared_folder / "nowhere"),
        csv_pipeline("no-column", shared_folder / "good.csv", "{scale: {column: height}}"),
    ]
    (shared_folder / "all.yaml").write_text("---\n".join(pipelines))
    return headrace(shared_folder, "run", "--until-ready", "all.yaml", seconds=200)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "header",
            "EmptyDataset: source.files.uri file://HERE/header.csv has no records, though it is there; a header alone is none: "
            "put records into it, or correct the address",
        ),
        (
            "filtered",
            "EmptyDataset: none of the 60 records is left (60 filtered, 0 duplicates, 0 quarantined); loosen the steps that drop them",
        ),
        (
            "many",
            "TooManyBadRecords: 20 of 60 records (33.3 %) are bad, more than the 5 % allowed; first: file many.csv line 2: "
            "expected 2 fields, found 3; raise quarantine.maxFraction or repair the source",
        ),
        (
            "no-folder",
            "SourceNotFound: source.files.uri file://HERE/nowhere has no files; check the address and that the run may read it",
        ),
        (
            "no-column",
            "ColumnNotFound: steps[0].scale names the column height, which is not there; name one of id, text, label",
        ),
    ],
)
def test_a_run_that_cannot_succeed_fails_once_with_its_sentence(
    name: str, sentence: str, said: Said, shared_folder: Path
) -> None:
    """The object, the fact and the next step stand on one line; exit code 1; no table appears, and nothing is tried again."""
    assert said.code == 1
    assert said.lines(f"DataPipeline {name}: Failed") == [
        f"DataPipeline {name}: Failed: {sentence}".replace("HERE", str(shared_folder))
    ]
    assert not (shared_folder / "state" / "storage" / "default" / "datasets" / name).exists()
    pods = shared_folder / "state" / "pods" / "DataPipeline" / "default" / name
    assert [attempt.name for attempt in pods.iterdir()] == ["run-1-attempt-1"]


def test_a_few_broken_rows_lose_none_of_the_good_ones(said: Said, shared_folder: Path) -> None:
    """The good records land; the quarantine names file, its version, line and code of the bad one, and holds it."""
    from deltalake import DeltaTable

    assert "DataPipeline few: Complete: run 1 is complete (59 records (59 train), 1 quarantined)" in said.text
    storage = shared_folder / "state" / "storage"
    assert DeltaTable(str(storage / "default" / "datasets" / "few")).count() == ROWS - 1
    found = [
        json.loads(line)
        for file in sorted(storage.glob("**/quarantine/*.jsonl"))
        for line in file.read_text().splitlines()
        if "few.csv" in line
    ]
    assert [line.pop("version") != "" for line in found] == [True]
    assert found == [
        {
            "stage": "source",
            "code": "WrongFieldCount",
            "message": "expected 2 fields, found 3",
            "source": "file few.csv line 32",
            "record": BROKEN.strip(),
        }
    ]
