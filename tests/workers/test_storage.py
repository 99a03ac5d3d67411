"""Folders: whole files or none, on local disks and on a store that only puts."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace_workers.storage import Folder


@pytest.fixture(params=["file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder that does not exist yet."""
    if request.param == "file":
        return Folder(f"{tmp_path.as_uri()}/run")
    return Folder(f"memory://{tmp_path.name}")


def test_what_was_written_is_read(folder: Folder) -> None:
    """A file in a sub-folder comes back byte for byte, and its folders are made."""
    folder.sub("a").write("b/c", b"x")
    assert folder.read("a/b/c") == b"x"
    assert folder.exists("a/b/c")


def test_a_folder_that_is_not_there_is_empty(folder: Folder) -> None:
    """No folder has no names, and deleting in it is no error."""
    assert folder.names() == []
    folder.delete("nothing")


def test_names_are_sorted(folder: Folder) -> None:
    """Files and folders directly inside are listed in order."""
    for name in ("b", "a/x", "c"):
        folder.write(name, b"")
    assert folder.names() == ["a", "b", "c"]


def test_append_adds_at_the_end(folder: Folder) -> None:
    """Appending makes the file and then extends it."""
    folder.append("log", b"1\n")
    folder.append("log", b"2\n")
    assert folder.read("log") == b"1\n2\n"


def test_delete_removes_a_whole_folder(folder: Folder) -> None:
    """Deleting a folder takes what is in it."""
    folder.write("a/b", b"")
    folder.delete("a")
    assert not folder.exists("a/b")


def test_no_partial_file_is_left(tmp_path: Path) -> None:
    """After a write on a local disk only the file itself is there."""
    Folder(tmp_path.as_uri()).write("a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_of_several_who_create_a_file_one_succeeds(tmp_path: Path) -> None:
    """Whole, and the others are told; nothing of theirs is left."""
    folder = Folder(f"file:{tmp_path}")

    def attempt(number: int) -> bool:
        try:
            folder.create("a/one.json", f"{number}".encode() * 10_000)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, done in enumerate(pool.map(attempt, range(8))) if done]
    assert len(won) == 1
    assert folder.read("a/one.json") == f"{won[0]}".encode() * 10_000
    assert folder.sub("a").names() == ["one.json"]
