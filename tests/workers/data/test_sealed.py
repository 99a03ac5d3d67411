"""Sealed files are read by their own run alone."""

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from headrace_workers.data import engine
from headrace_workers.data.sealed import SealedFolder, folder_name, seal_of
from headrace_workers.data.spread import in_process
from headrace_workers.storage import Folder
from tests.workers.data.builders import DIGITS_STEPS, files, pipeline, table_of

SEAL = seal_of("0123456789abcdef")


def test_what_is_sealed_comes_back_and_is_noise_to_others(tmp_path: Path) -> None:
    """Neither a changed file nor one under another's name is taken."""
    folder = SealedFolder(f"file:{tmp_path}", SEAL)
    folder.write("a", b"anna@example.com")
    assert folder.read("a") == b"anna@example.com"
    assert b"anna" not in (tmp_path / "a").read_bytes()
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(InvalidTag):
        folder.read("b")
    assert SEAL.hex() not in repr(folder) and str(SEAL) not in repr(folder)


def test_without_a_token_nothing_is_sealed(tmp_path: Path) -> None:
    """As in a notebook."""
    SealedFolder(f"file:{tmp_path}", seal_of("")).write("a", b"plain")
    assert (tmp_path / "a").read_bytes() == b"plain"


def test_another_token_begins_another_folder() -> None:
    """So that what cannot be read is never met."""
    names = {folder_name("stages/1", seal) for seal in (b"", SEAL, seal_of("another"))}
    assert len(names) == 3 and "stages/1" in names


def test_records_on_their_way_lie_sealed(tmp_path: Path) -> None:
    """Through barriers, and read again by a second try."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("text,n\n" + "".join(f"write to a{n}@example.com,{n}\n" for n in range(50)))
    steps = [{"deduplicate": {"exact": {}}}, {"redact": {"entities": ["Email"]}}]
    plan = engine.planned(pipeline(files(tmp_path / "in", "Csv"), *steps))
    assert plan.is_private
    tables = [
        table_of(engine.prepare(plan, Folder(f"file:{tmp_path}/run"), in_process, lambda *_: None, SEAL))
        for _ in range(2)
    ]
    assert tables[0] == tables[1] and tables[0].num_rows == 50
    written = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(written) >= 6
    assert not [data for data in written if b"example" in data or b"ARROW" in data or b"rows" in data]


def test_pipelines_that_hide_nothing_have_nothing_to_seal() -> None:
    """Their pieces stay readable."""
    assert not engine.planned(pipeline({"sample": {"name": "Digits"}}, *DIGITS_STEPS)).is_private
