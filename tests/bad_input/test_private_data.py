"""Broken rows of private data: one command runs two pipelines, and no value is in any file that they leave."""

import json
from pathlib import Path

import pytest

from tests.bad_input.command import Said, headrace
from tests.bad_input.manifests import csv_pipeline

pytestmark = [pytest.mark.ray, pytest.mark.workers]

ROWS = 60
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
HIDING = (
    "{validate: {columns: [{name: rating, max: 5}]}}, {redact: {entities: [Email, CreditCard]}}, "
    "{hash: {columns: [customer], key: {secret: privacy, id: a}}}, {encrypt: {columns: [name], key: {secret: privacy, id: a}}}"
)
PRIVATE = ("example.com", "4111 1111", "customer-", "Anna", KEY)


def rows(every: int) -> str:
    """A CSV file of 60 rows: of every so many one has a name for its rating, and one a field too many."""
    lines = ["customer,name,text,rating"]
    for row in range(ROWS):
        rating = "Anna Schmidt" if row % every == 1 else "3,Anna Schmidt" if row % every == 2 else "3"
        lines.append(f"customer-{row},Anna {row},write to a{row}@example.com or charge 4111 1111 1111 1111,{rating}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def said(shared_folder: Path) -> Said:
    """What the command said."""
    for name, every in (("few", 30), ("many", 3)):
        (shared_folder / f"{name}.csv").write_text(rows(every))
    pipelines = [csv_pipeline(name, shared_folder / f"{name}.csv", HIDING) for name in ("few", "many")]
    pipelines[0] += "  quarantine: {maxFraction: 0.2}\n"
    (shared_folder / "all.yaml").write_text("---\n".join(pipelines))
    return headrace(shared_folder, "run", "--until-ready", "all.yaml", seconds=200, HEADRACE_KEY_PRIVACY__A=KEY)


def test_the_bad_are_told_and_the_good_land(said: Said, shared_folder: Path) -> None:
    """One pipeline has few bad rows, the other too many; neither says what was in them."""
    assert "DataPipeline few: Complete: run 1 is complete (56 records (56 train), 4 quarantined)" in said.text
    assert "DataPipeline many: Failed: TooManyBadRecords: " in said.text
    quarantined = [
        json.loads(line)
        for file in sorted((shared_folder / "state" / "storage").glob("**/few-*/**/quarantine/*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    assert [(each["code"], each["message"]) for each in quarantined] == [
        *[("WrongFieldCount", "expected 4 fields, found 5")] * 2,
        *[("NotANumber", "column rating is [withheld], not a number")] * 2,
    ]


def test_no_private_value_is_left_in_any_file(said: Said, shared_folder: Path) -> None:
    """Neither in the lake, quarantine, reports, logs, objects and pieces, nor in what the command says."""
    from deltalake import DeltaTable

    state = shared_folder / "state"
    table = DeltaTable(str(state / "storage" / "default" / "datasets" / "few")).to_pyarrow_table()
    assert table.num_rows == 56
    assert all(text == "write to [Email] or charge [CreditCard]" for text in table["text"].to_pylist())
    left = {str(path): path.read_bytes().decode("latin-1") for path in state.rglob("*") if path.is_file()}
    assert any("quarantine" in name for name in left) and any(name.endswith("/log") for name in left)
    found = {"the table": str(table.to_pylist()), "the command": said.text, **left}
    assert [(name, value) for name, text in found.items() for value in PRIVATE if value in text] == []
