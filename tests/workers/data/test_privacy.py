"""What a pipeline hides, nobody finds: not in table, quarantine, pieces, messages or log, whatever went wrong on the way."""

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace_workers.data import privacy
from headrace_workers.data.privacy import Hiding
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.recipe import works
from headrace_workers.data.steps import MAPS
from headrace_workers.data.steps.encrypt_columns import decrypt
from headrace_workers.faults import RunFault
from tests.workers.data.builders import files, pipeline, prepare, table_of
from tests.workers.data.secrets import SECRET

pytestmark = pytest.mark.usefixtures("given_keys")

KEY = {"secret": "privacy", "id": "one"}
HIDING: list[dict[str, Any]] = [
    {"redact": {"column": "text", "entities": ["Email", "Phone", "CreditCard", "Iban", "IpAddress"]}},
    {"hash": {"columns": ["name", "id"], "key": KEY}},
    {"encrypt": {"columns": ["account"], "key": KEY}},
]
SECRETS = ["anna@example.com", "030 1234567", "4111 1111 1111 1111", "DE89370400440532013000", "192.0.2.7"]


def row(number: int, **more: Any) -> dict[str, Any]:
    """A record that holds every sort of secret, with its number in those that are hidden whole."""
    return {
        "id": f"person-{number}@id.example",
        "name": f"Name{number} Surname{number}",
        "account": f"account-{number}-x",
        "text": f"write to {', '.join(SECRETS)}",
        "age": 30,
        "label": number % 2,
        **more,
    }


def planted(number: int) -> list[str]:
    """The values of such a record that nobody may find."""
    return [f"person-{number}@", f"Name{number} ", f"Surname{number}", f"account-{number}-x", *SECRETS]


def hiding_of(*steps: dict[str, Any]) -> Hiding:
    """What hides the values of records that fail before the first of the steps."""
    found = [work for work in works(pipeline({"sample": {"name": "Wine"}}, *steps)) if work.rewrites]
    return Hiding.of(found, found)


def everything_in(folder: Path) -> str:
    """Every byte below a folder, and the names of its files."""
    return "".join(
        f"{path}\n{path.read_bytes().decode('latin-1')}\n" for path in sorted(folder.rglob("*")) if path.is_file()
    )


POISON = [
    {"age": "Name7 Surname7"},
    {"age": -1},
    {"name": None},
    {"account": "account-7-x and more than is allowed"},
]
RULES = {
    "validate": {
        "columns": [
            {"name": "age", "min": 0},
            {"name": "name", "allowed": ["Name1 Surname1", "Name2 Surname2"]},
            {"name": "account", "length": 11},
        ]
    }
}


@pytest.mark.parametrize("place", range(len(HIDING) + 1))
def test_no_secret_is_left_anywhere(place: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Records that break a rule before, between and after the steps that hide, and lines that are no records."""
    caplog.set_level(logging.DEBUG)
    lines = [json.dumps(row(number)) for number in range(10)]
    lines += [json.dumps(row(7, **poison)) for poison in POISON]
    lines += [json.dumps(row(8))[:cut] for cut in (60, 100, 140, 180)]
    lines += [json.dumps([row(9)]), json.dumps(row(9)).replace("30", "3e999")]
    (tmp_path / "source").mkdir()
    content = "\n".join(lines).encode() + b"\n" + json.dumps(row(6)).encode().replace(b"write", b"\xff")
    (tmp_path / "source" / "rows.jsonl").write_bytes(content)
    rules = {"validate": {"columns": RULES["validate"]["columns"][: 1 if place else 3]}}
    steps = [*HIDING[:place], rules, *HIDING[place:]]
    spec = pipeline(
        files(tmp_path / "source", "JsonLines"),
        {"fillMissing": {"column": "label", "value": "0"}},
        *steps,
        quarantine={"maxFraction": 1.0},
    )
    prepared = prepare(spec, tmp_path / "run")
    assert prepared.records.quarantined >= 8
    assert prepared.records.read == len(lines) + 1
    found = "\n".join(
        [str(table_of(prepared).to_pylist()), everything_in(tmp_path / "run" / "quarantine"), caplog.text]
    )
    for number in range(3, 10):  # the manifest itself names the first two
        assert [secret for secret in planted(number) if secret in found] == []


def test_a_quarantined_record_is_hidden_as_the_table_would_have_it(tmp_path: Path) -> None:
    """The same placeholder, pseudonym and ciphertext, whether it failed before the steps that hide or after them."""
    quarantined = []
    for steps in ([RULES, *HIDING], [*HIDING, {"validate": {"columns": [{"name": "age", "min": 31}]}}]):
        table = pa.Table.from_pylist([row(5)])
        done = 0
        hiding = hiding_of(*steps)
        for work in works(pipeline({"sample": {"name": "Wine"}}, *steps)):
            outcome = MAPS[work.name].apply(table, work.settings, work.context)
            quarantined += hiding.after(done).hidden(outcome.bad)
            table = outcome.table if outcome.table.num_rows else table
            done += work.rewrites
    early, late = quarantined
    assert early.record == {**late.record, "age": 30}
    assert late.record["age"] == "[withheld]"
    assert early.position == late.position == f"record {early.record['id']}"
    assert early.record["text"] == "write to [Email], [Phone], [CreditCard], [Iban], [IpAddress]"
    read = decrypt(pa.Table.from_pylist([dict(early.record)]), ["account"], SECRET)
    assert read["account"].to_pylist() == ["account-5-x"]
    assert early.message == "column name is [withheld], not one of Name1 Surname1, Name2 Surname2"
    assert late.message == "column age is [withheld], not within 31 to inf"


def wide_of(text: str) -> str:
    """The text in letters of full width, which NFKC makes plain ones."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in text)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_a_step_before_would_have_brought_to_light_is_hidden(place: int, tmp_path: Path) -> None:
    """Letters of full width become plain ones before they are redacted or hashed: in a record that never got there, too."""
    wide = {"text": f"to {wide_of('anna@example.com')}", "name": wide_of("Anna")}
    rules = {"validate": {"columns": [{"name": "age", "min": 0}]}}
    bring = [{"normalizeText": {"column": name}} for name in ("text", "name")]
    hide = [
        {"redact": {"column": "text", "entities": ["Email"]}},
        {"hash": {"columns": ["name"], "key": KEY}},
    ]
    steps = [*bring, *hide]
    (tmp_path / "source").mkdir()
    rows = [{"id": "good", "age": 1, **wide}, {"id": "bad", "age": -1, **wide}]
    (tmp_path / "source" / "rows.jsonl").write_text("\n".join(json.dumps(each) for each in rows))
    spec = pipeline(
        files(tmp_path / "source", "JsonLines"), *steps[:place], rules, *steps[place:], quarantine={"maxFraction": 1.0}
    )
    (written,) = table_of(prepare(spec, tmp_path / "run")).select(["text", "name"]).to_pylist()
    (path,) = (tmp_path / "run" / "quarantine").iterdir()
    quarantined = json.loads(json.loads(path.read_text())["record"])
    assert written["text"] == "to [Email]"
    assert {name: quarantined[name] for name in written} == written


def test_a_record_without_columns_is_withheld() -> None:
    """Half of a card's number has no check digit; the place where the source has it is told."""
    hiding = hiding_of(HIDING[0])
    bad = BadRecord("source", "BrokenJson", "broken JSON", "file a line 7", '{"text": "4111 1111 11')
    assert hiding.hidden([bad]) == (BadRecord("source", "BrokenJson", "broken JSON", "file a line 7", "[withheld]"),)
    assert Hiding().hidden([bad]) == (bad,)


def test_values_that_no_step_could_take_are_withheld() -> None:
    """A list in a column that is to be hashed."""
    hiding = hiding_of(HIDING[1])
    (found,) = hiding.hidden([BadRecord("s", "c", "m", "record 1", {"id": "1", "name": ["Anna"], "other": 2})])
    assert found.record["name"] == "[withheld]" and found.record["other"] == 2  # type: ignore[index]


def test_too_many_bad_records_are_told_without_their_values(tmp_path: Path) -> None:
    """The first of them stands in the report."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "rows.jsonl").write_text("\n".join(json.dumps(row(7, age=-1)) for _ in range(5)))
    with pytest.raises(RunFault) as caught:
        prepare(pipeline(files(tmp_path / "source", "JsonLines"), RULES, *HIDING), tmp_path / "run")
    assert caught.value.reason == "TooManyBadRecords"
    assert not [secret for secret in planted(7) if secret in caught.value.message]


def test_a_file_without_a_header_shows_no_value_as_a_column(tmp_path: Path) -> None:
    """What would be the columns' names is private."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "rows.csv").write_text("anna@example.com,4111111111111111\nb@example.com,5555555555554444\n")
    with pytest.raises(RunFault) as caught:
        prepare(pipeline(files(tmp_path / "source", "Csv"), HIDING[0]), tmp_path / "run")
    assert caught.value.reason == "ColumnNotFound"
    assert "anna" not in caught.value.message and "4111" not in caught.value.message


def test_a_missing_key_ends_the_run_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the step that needs it is the last."""
    monkeypatch.delenv("HEADRACE_KEY_PRIVACY__ONE")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "rows.jsonl").write_text(json.dumps(row(1)))
    with pytest.raises(RunFault, match=r"steps\[1\]\.hash\.key: the Secret privacy has no key one"):
        prepare(pipeline(files(tmp_path / "source", "JsonLines"), *HIDING), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_libraries_say_of_records_is_withheld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an error came up is told, what it says is not."""

    def choke(*_: object) -> None:
        raise ValueError("cannot parse anna@example.com")

    monkeypatch.setattr(MAPS["fill_missing"], "apply", choke)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "rows.jsonl").write_text(json.dumps(row(1)))
    source = files(tmp_path / "source", "JsonLines")
    steps = [{"fillMissing": {"column": "label", "value": "0"}}, *HIDING]
    with pytest.raises(RunFault, match=r"ValueError in test_privacy\.py line") as caught:
        prepare(pipeline(source, *steps), tmp_path / "run")
    assert "anna" not in caught.value.message and caught.value.retryable
    with pytest.raises(ValueError, match="anna"):
        prepare(pipeline(source, steps[0]), tmp_path / "run")


def test_messages_lose_what_has_the_form_of_private_data() -> None:
    """And nothing else."""
    assert privacy.quiet("name one of id, anna@example.com, +49 30 1234567") == "name one of id, [Email], [Phone]"
