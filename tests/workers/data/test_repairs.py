"""Repaired records are looked at before anything is read: what cannot be right fails with its file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace_workers.data.repairs import Repairs, declared
from headrace_workers.faults import RunFault
from tests.workers.data.builders import files, pipeline, prepare, table_of
from tests.workers.data.quarantined import columns, lines_in, repaired, with_repairs, write

SAMPLE: dict[str, Any] = {"sample": {"name": "Wine"}}
LINE = {"source": "record a", "record": {"x": 1}}
KEY = {"secret": "privacy", "id": "one"}


def fault_of(path: Path) -> RunFault:
    with pytest.raises(RunFault) as caught:
        declared(pipeline(SAMPLE, quarantine=with_repairs(path)))
    return caught.value


def test_none_are_declared() -> None:
    """Nothing is read, and the run is the same as before there were any."""
    assert declared(pipeline(SAMPLE)) == Repairs()
    assert Repairs().digest == ""


def test_a_folder_of_files_says_each_place_once(tmp_path: Path) -> None:
    """The same line twice is one repair, however its record is written; order and version aside, so is the digest."""
    write(tmp_path / "a" / "1.jsonl", [LINE, LINE | {"record": json.dumps({"x": 1})}])
    write(tmp_path / "a" / "2.jsonl", [LINE, {"source": "file b line 7", "record": "1,2"}])
    found = declared(pipeline(SAMPLE, quarantine=with_repairs(tmp_path / "a")))
    assert list(found.lines) == ["record a", "file b line 7"]
    assert Repairs.from_bytes(found.to_bytes()) == found
    write(tmp_path / "b.jsonl", reversed([LINE, {"source": "file b line 7", "record": "1,2"}]))
    assert declared(pipeline(SAMPLE, quarantine=with_repairs(tmp_path / "b.jsonl"))).digest == found.digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[1]", "is no JSON object"),
        ('{"record": "x"}', "has a wrong field source"),
        ('{"source": "record a", "record": 5}', "has a wrong field record"),
        ('{"source": "record a", "record": NaN}', "is not JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"source": "record a", "record": {"x": "\\ud800"}}', "holds half of a character"),
    ],
)
def test_lines_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    """The fault names file and line."""
    (tmp_path / "a.jsonl").write_text(f"\n{text}\n")
    fault = fault_of(tmp_path / "a.jsonl")
    assert (fault.reason, fault.retryable) == ("RepairsMalformed", False)
    assert fault.message.startswith(f"quarantine.repaired file a.jsonl line 2 {words}")


def test_two_repairs_of_one_place(tmp_path: Path) -> None:
    """Which one was meant is not guessed."""
    write(tmp_path / "a.jsonl", [LINE, LINE | {"record": {"x": 2}}])
    fault = fault_of(tmp_path / "a.jsonl")
    assert fault.reason == "RepairsContradict"
    assert "file a.jsonl line 2 and file a.jsonl line 1 repair record a in different ways" in fault.message


def test_no_files(tmp_path: Path) -> None:
    """An address that holds nothing is a mistake."""
    assert fault_of(tmp_path / "missing").reason == "RepairsNotFound"


@pytest.mark.usefixtures("given_keys")
def test_what_is_hidden_never_lands(tmp_path: Path) -> None:
    """A repaired record gives each hidden value anew, or is refused; then the steps hide it as any other."""
    (tmp_path / "raw").mkdir()
    rows = [{"name": f"name {number}", "text": f"to u{number}@example.com", "age": number - 2} for number in range(5)]
    (tmp_path / "raw" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps: list[dict[str, Any]] = [
        {"hash": {"columns": ["name"], "key": KEY}},
        {"validate": {"columns": [{"name": "age", "min": 0}]}},
        {"redact": {"column": "text", "entities": ["Email"]}},
    ]
    source = files(tmp_path / "raw", "JsonLines")
    prepare(pipeline(source, *steps, quarantine={"maxFraction": 1}), tmp_path / "first")
    lines = lines_in(tmp_path / "first")
    assert [sorted(line["hidden"]) for line in lines] == [["age", "name", "text"]] * 2
    for given, hides in (({}, "age, name, text"), ({"age": 7}, "name, text"), ({"age": 7, "name": "x"}, "text")):
        path = write(tmp_path / "a.jsonl", repaired(lines, lambda line, given=given: columns(line) | given))
        assert f"does not have the value of {hides} but what hides it" in fault_of(path).message
    for unchanged in ("[withheld]", json.dumps({"name": "[withheld]"})):
        assert fault_of(write(tmp_path / "a.jsonl", [LINE | {"record": unchanged}])).reason == "RepairsHidden"
    new = {"age": 7, "name": "name 9", "text": "to v@example.com"}
    path = write(tmp_path / "b.jsonl", repaired(lines, lambda line: columns(line) | new))
    made = table_of(prepare(pipeline(source, *steps, quarantine=with_repairs(path)), tmp_path / "second"))
    assert made["text"].to_pylist() == ["to [Email]"] * 5
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "a.jsonl").write_text("".join(json.dumps(row | new) + "\n" for row in rows))
    whole = table_of(prepare(pipeline(files(tmp_path / "whole", "JsonLines"), *steps), tmp_path / "third"))
    assert set(whole["name"].to_pylist()) == set(made["name"].to_pylist()[3:])
