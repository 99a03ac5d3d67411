"""What the head tells the members of an elastic group; the actors are put down on paper here, test_training_run.py has real ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.api.artifacts import DatasetVersion
from headrace_workers.train import members as module
from headrace_workers.train.meeting import Pulse
from headrace_workers.train.members import Entry, Members
from headrace_workers.train.rank import RankWork
from tests.workers.train.pods import run_spec


class Paper:
    """An actor that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.tell = self
        self.ended = False

    def remote(self, word: str) -> None:
        self.told.append(word)


class Scene:
    """Members whose clock is set by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, fewest: int) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(Members, "_end", lambda _, entry, why: setattr(entry.actor, "ended", True))
        version = DatasetVersion(uri="file:///d", version=0, digest="sha256:d", records=1)
        run = run_spec(folder, version, workers={"min": fewest, "max": 4}, stallSeconds=60)
        self.members = Members(run, RankWork("", "", "", ""), "127.0.0.1")

    def add(self, *pods: str) -> list[Paper]:
        papers = [Paper() for _ in pods]
        for pod, paper in zip(pods, papers, strict=True):
            self.members._entries[pod] = Entry(pod, paper, work=object(), since=self.now)
        return papers

    def entry(self, pod: str) -> Entry:
        return self.members._entries[pod]


@pytest.fixture
def open_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    opened: list[Scene] = []

    def start(fewest: int = 1) -> Scene:
        opened.append(Scene(tmp_path, monkeypatch, fewest))
        return opened[-1]

    yield start
    for scene in opened:
        scene.members._lighthouse.shutdown()


def test_all_begin_together(open_scene: Any) -> None:
    """Nobody begins before the last of those that have joined is ready."""
    scene = open_scene()
    first, second = scene.add("a", "b")
    scene.members.is_ready("a")
    assert first.told == []
    scene.members.is_ready("b")
    assert first.told == second.told == ["begin"]


def test_one_that_does_not_get_ready_is_not_waited_for_forever(open_scene: Any) -> None:
    """After half a minute the others begin, if they are enough."""
    scene = open_scene(fewest=1)
    first, _ = scene.add("a", "b")
    scene.members.is_ready("a")
    scene.now += module.GATHER_SECONDS + 1
    scene.members._invite()
    assert first.told == ["begin"]


def test_too_few_do_not_begin(open_scene: Any) -> None:
    """One of at least two waits."""
    scene = open_scene(fewest=2)
    (first,) = scene.add("a")
    scene.members.is_ready("a")
    assert first.told == []


def test_those_that_join_come_in_together(open_scene: Any) -> None:
    """The others pause once for both; but nobody waits long for one that is late."""
    scene = open_scene()
    (first,) = scene.add("a")
    scene.members.trains("a")
    second, third = scene.add("b", "c")
    scene.members.is_ready("b")
    assert (first.told, second.told) == ([], [])
    scene.members.is_ready("c")
    assert (first.told, second.told, third.told) == (["let_in"], ["join"], ["join"])
    (fourth, _) = scene.add("d", "e")
    scene.members.is_ready("d")
    scene.now += module.TOGETHER_SECONDS + 1
    scene.members._invite()
    assert (first.told, fourth.told) == (["let_in", "let_in"], ["join"])


def test_one_that_still_waits_is_let_in(open_scene: Any) -> None:
    """A rank that lost the others, or was not heard, says so again."""
    scene = open_scene()
    first, second = scene.add("a", "b")
    scene.members.is_ready("a")
    scene.members.is_ready("b")
    for pod in ("a", "b"):
        scene.members.trains(pod)
    scene.members.is_ready("b")
    assert (first.told, second.told) == (["begin", "let_in"], ["begin"])


def test_one_that_has_not_trained_may_go_at_once(open_scene: Any) -> None:
    """It has nothing to hand over; one that trains is asked to leave, and goes when it has."""
    scene = open_scene()
    first, second = scene.add("a", "b")
    scene.members.trains("a")
    for pod in ("a", "b", "stranger"):
        scene.members.let_go(pod)
        scene.members.let_go(pod)
    assert (first.told, first.ended, second.ended) == (["leave"], False, True)
    assert scene.members.left == {"b", "stranger"}


@pytest.mark.parametrize(("still", "ended"), [(53.0, False), (55.0, True)])
def test_one_that_all_others_wait_for_is_ended(open_scene: Any, still: float, ended: bool) -> None:
    """Before the run has stalled for a minute and the operator starts it again, and only that one."""
    scene = open_scene()
    first, second = scene.add("a", "b")
    for pod, waits in (("a", True), ("b", False)):
        scene.members.trains(pod)
        scene.entry(pod).last = Pulse(still, waits)
    scene.members._end_who_hangs()
    assert (first.ended, second.ended) == (False, ended)


def test_one_that_hung_is_told_once_it_has_ended(open_scene: Any) -> None:
    """With how that was seen; one that is lost otherwise did not hang, and neither did one that was to leave."""
    scene = open_scene()
    for number, pod in enumerate(("a", "b", "c", "d")):
        scene.add(pod)
        scene.members.trains(pod)
        scene.entry(pod).last = Pulse(61.0, waits=number < 2)
    scene.entry("d").leaves = True
    scene.members._end_who_hangs()
    scene.members._end_who_hangs()
    assert scene.members.hung == []
    for pod in ("a", "c", "d"):
        scene.members._lost(scene.entry(pod), "The actor died")
    assert scene.members.hung == [("c", "the others have waited for it for 54 s")]


def test_ranks_that_all_wait_are_let_be(open_scene: Any) -> None:
    """Below workers.min all wait for others, however long; the operator judges that."""
    scene = open_scene()
    first, second = scene.add("a", "b")
    for pod in ("a", "b"):
        scene.members.trains(pod)
        scene.entry(pod).last = Pulse(1000.0, waits=True)
    scene.members._end_who_hangs()
    assert not first.ended and not second.ended
