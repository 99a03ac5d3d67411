"""Which log is meant, and how it is followed."""

from pathlib import Path

import pytest

from headrace.api.meta import Kind, ObjectKey
from headrace.cli.errors import Sentence
from headrace.cli.logs import choose, follow_logs, main_log

KEY = ObjectKey(kind=Kind.TRAIN_JOB, namespace="default", name="digits")
LOGS = [(name, Path(name)) for name in ("d-r1a1-head", "d-r1a1-worker-0", "d-r1a2-head", "d-r1a2-worker-0")]


def test_the_newest_head_is_meant():
    """Without a pod's name the head of the newest attempt is shown."""
    assert choose(LOGS, KEY, None) == {"d-r1a2-head": Path("d-r1a2-head")}
    assert main_log(LOGS) == Path("d-r1a2-head")


def test_a_pod_may_be_named_by_its_end():
    """worker-0 means that worker of the newest attempt; a full name means that pod."""
    assert list(choose(LOGS, KEY, "worker-0")) == ["d-r1a2-worker-0"]
    assert list(choose(LOGS, KEY, "d-r1a1-worker-0")) == ["d-r1a1-worker-0"]


def test_an_unknown_pod_is_answered_with_those_there_are():
    """A wrong pod name lists the right ones."""
    with pytest.raises(Sentence, match="trainjob/digits has no pod worker-9; there are: d-r1a1-head"):
        choose(LOGS, KEY, "worker-9")


def test_without_a_head_every_pod_is_meant():
    """An endpoint's pods are shown together."""
    logs = [("s-1", Path("s-1")), ("router-1", Path("router-1"))]
    assert choose(logs, KEY, None) == dict(logs)
    assert main_log(logs) == Path("router-1")


class Interruption(BaseException):
    """What ends a follower in a test."""


def test_a_followed_log_goes_on_with_the_next_attempt(tmp_path, capfdbinary):
    """Following prints what is appended, and the log of a new attempt when there is one."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("one\n")
    chosen, turns = {"first": first}, []

    def pause():
        turns.append(True)
        match len(turns):
            case 1:
                with first.open("a") as file:
                    file.write("two\n")
            case 2:
                second.write_text("three\n")
                chosen.clear()
                chosen["second"] = second
            case _:
                raise Interruption

    with pytest.raises(Interruption):
        follow_logs(lambda: chosen, pause)
    assert capfdbinary.readouterr().out == b"one\ntwo\nthree\n"


def test_logs_of_several_pods_are_told_apart(tmp_path, capfdbinary):
    """Each line of several logs begins with its pod; half a line waits for the rest."""
    left, right = tmp_path / "left", tmp_path / "right"
    left.write_text("one\nhal")
    right.write_text("two\n")
    turns = []

    def pause():
        turns.append(True)
        if len(turns) > 1:
            raise Interruption
        with left.open("a") as file:
            file.write("f\n")

    with pytest.raises(Interruption):
        follow_logs(lambda: {"left": left, "right": right}, pause)
    assert capfdbinary.readouterr().out == b"left: one\nright: two\nleft: half\n"
