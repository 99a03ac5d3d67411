"""What stays of pods that are gone: logs, bounded."""

import os
from dataclasses import replace

from headrace.api.meta import Kind, ObjectKey
from headrace.local import logs

KEY = ObjectKey(kind=Kind.TRAIN_JOB, namespace="default", name="digits")


def attempt(state, number: int):
    """The folder of a pod of an attempt, with a log."""
    labels = {"headrace.dev/run": "1", "headrace.dev/attempt": str(number)}
    folder = state / logs.pod_folder(KEY, {"name": f"head-{number}", "labels": labels}, "0123456789")
    folder.mkdir(parents=True)
    (folder / "log").write_text(f"attempt {number}\n")
    os.utime(folder.parent, (number, number))
    return folder


def test_logs_are_found_by_object_oldest_attempt_first(tmp_path):
    """log_paths names the pods of an object, also when they are gone."""
    for number in (2, 1):
        attempt(tmp_path, number)
    assert [(name, path.read_text()) for name, path in logs.log_paths(tmp_path, KEY)] == [
        ("head-1", "attempt 1\n"),
        ("head-2", "attempt 2\n"),
    ]
    assert logs.log_paths(tmp_path, replace(KEY, name="other")) == []


def test_the_newest_attempts_are_kept_and_those_that_live(tmp_path):
    """Five ended attempts stay, and every attempt with a pod that is there."""
    folders = {number: attempt(tmp_path, number) for number in range(1, 9)}
    logs.prune(tmp_path, KEY, [folders[1]])
    assert [name for name, _ in logs.log_paths(tmp_path, KEY)] == [
        "head-1",
        "head-4",
        "head-5",
        "head-6",
        "head-7",
        "head-8",
    ]


def test_a_long_log_is_cut(tmp_path, monkeypatch):
    """A log beyond the bound starts anew, and its newest part is kept beside it."""
    monkeypatch.setattr(logs, "LOG_BYTES_MAX", 10)
    monkeypatch.setattr(logs, "LOG_BYTES_KEPT", 4)
    (tmp_path / "log").write_text("0123456789abcdef")
    logs.trim(tmp_path)
    assert ((tmp_path / "log").read_text(), (tmp_path / "log.old").read_text()) == ("", "cdef")
    logs.trim(tmp_path)
    assert (tmp_path / "log.old").read_text() == "cdef"


def test_the_last_line_explains_a_failure(tmp_path):
    """The last line that is not empty, shortened; empty without a log."""
    assert logs.last_line(tmp_path) == ""
    (tmp_path / "log").write_text("first\n" + "x" * 400 + "\n\n")
    assert logs.last_line(tmp_path) == "x" * 300
