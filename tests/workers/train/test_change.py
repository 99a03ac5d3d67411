"""When a group saves and gives way to another."""

import pytest

from headrace_workers.departures import Departures
from headrace_workers.train import change
from headrace_workers.train.change import Change, is_worth_growing


@pytest.mark.parametrize(
    ("world_size", "joined", "eta_seconds", "worth"),
    [
        (2, 2, 1000.0, False),
        (3, 2, 1000.0, False),
        (2, 4, 1000.0, True),
        (2, 4, 81.0, True),
        (2, 4, 79.0, False),
        (9, 10, 390.0, False),
        (2, 3, None, True),
    ],
)
def test_a_group_grows_only_for_a_gain(world_size: int, joined: int, eta_seconds: float | None, worth: bool) -> None:
    """The time that more workers save must outweigh the pause: half of 79 s is less than 40 s."""
    assert is_worth_growing(world_size, joined, eta_seconds) is worth


class Clock:
    """Stands for time.monotonic, and for the workers that have joined."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.joined = 100.0, 2
        monkeypatch.setattr(change.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(change, "joined_workers", lambda: [f"w-{number}" for number in range(self.joined)])


def test_a_number_of_workers_must_stand_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods come one by one; a group is formed for all of them."""
    clock = Clock(monkeypatch)
    watch = Change(Departures(), 2)
    due = []
    for second in range(12):
        clock.now += 1.0
        clock.joined = 2 if second < 2 else 3 if second < 5 else 4
        due.append(watch.is_due(2, None))
    assert due.index(True) == 10


@pytest.mark.parametrize(
    ("sizes", "pause", "due"), [((2,), 1.0, False), ((3, 2), 1.0, True), ((2,), change.AGAIN_SECONDS / 8, True)]
)
def test_a_group_that_left_some_out_is_seldom_formed_again(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], pause: float, due: bool
) -> None:
    """Three joined and two of them were taken: the next one may be no larger. One that lost a worker grows again."""
    clock = Clock(monkeypatch)
    clock.joined = 3
    watch = Change(Departures(), 3)
    answers = []
    for size in sizes:
        for _ in range(10):
            clock.now += pause
            answers.append(watch.is_due(size, None))
    assert any(answers) is due


def test_a_worker_that_wants_to_go_is_saved_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once while a group trains; while one is being formed, it may simply go."""
    clock = Clock(monkeypatch)
    departures = Departures()
    watch = Change(departures, 2)
    assert not departures.ask("w-1", 0.0)
    departures._waiting.add("w-1")
    assert watch.is_due(2, 1.0)
    assert not watch.is_due(0, None)
    assert not departures.waiting
    departures._waiting.add("w-1")
    clock.joined = 1
    watch.finish()
    assert departures.ask("w-0", 0.0)
