"""Delivery: whoever tells never waits, order and number of points are kept, and what is not delivered is counted."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest

from headrace_workers.train.tracking import delivery as module
from headrace_workers.train.tracking.delivery import Delivery
from headrace_workers.train.tracking.tracker import End, Point, TrackerDown, TrackerRefuses

SECONDS = 10.0


class Tool:
    """A tracker in memory that fails as it is told to."""

    tool = "tool"

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.holds = threading.Event()
        self.holds.set()
        self.opened = self.asked = 0
        self.points: list[Point] = []
        self.facts: dict[str, str] = {}
        self.end: End | None = None

    def _do(self) -> None:
        self.asked += 1
        self.holds.wait(SECONDS)
        if self.fails:
            raise self.fails

    def open(self) -> str:
        self._do()
        self.opened += 1
        return "http://tool/run"

    def send(self, points: Sequence[Point], facts: Mapping[str, str]) -> None:
        self._do()
        self.points += points
        self.facts |= facts

    def undo(self, step: int) -> None:
        self.points = [point for point in self.points if point.step <= step]

    def close(self, end: End) -> None:
        self._do()
        self.end = end

    @property
    def steps(self) -> list[int]:
        return [point.step for point in self.points]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds."""
    for name, seconds in {"GATHER_SECONDS": 0.01, "FIRST_PAUSE_SECONDS": 0.01, "LONGEST_PAUSE_SECONDS": 0.05}.items():
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def tool() -> Tool:
    return Tool()


def points(*steps: int) -> list[Point]:
    return [Point(step, {"loss": 1.0}, 0.0) for step in steps]


def close(delivery: Delivery, end: End = End.FINISHED) -> None:
    delivery.end(end)
    delivery.settle(2.0)


def wait_until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_all_is_told_in_order_and_the_end_last(tool: Tool) -> None:
    """More points than go into one batch, the newest fact of a name, how it ended."""
    delivery = Delivery(tool)
    delivery.tell(points(*range(100)), {"a": "1"})
    delivery.tell(points(100), {"a": "2"})
    close(delivery, End.FINISHED)
    assert (tool.steps, tool.facts, tool.end) == (list(range(101)), {"a": "2"}, End.FINISHED)
    state = delivery.state
    assert (state.delivered, state.undelivered, state.problem, state.address) == (101, 0, "", "http://tool/run")


def test_one_that_hangs_holds_up_nobody(tool: Tool, caplog: pytest.LogCaptureFixture) -> None:
    """Telling takes no time; the end waits for as long as it may, and says what is missing."""
    tool.holds.clear()
    delivery = Delivery(tool)
    began = time.monotonic()
    for step in range(1000):
        delivery.tell(points(step))
    assert time.monotonic() - began < 1.0
    close(delivery, End.FINISHED)
    assert 1.9 < time.monotonic() - began < 5.0
    tool.holds.set()
    assert delivery.state.undelivered == 1000 and "did not take the end" in delivery.state.problem
    assert "did not get 1000 points" in caplog.text


def test_one_that_comes_back_gets_everything(tool: Tool) -> None:
    """It is opened anew after each failure, so that it can say what it has."""
    delivery = Delivery(tool)
    delivery.tell(points(1))
    wait_until(lambda: tool.steps == [1])
    tool.fails = TrackerDown("tool is down")
    delivery.tell(points(2, 3))
    wait_until(lambda: "tool is down" in delivery.state.problem)
    assert delivery.state.undelivered == 2
    tool.fails = None
    wait_until(lambda: tool.steps == [1, 2, 3])
    wait_until(lambda: delivery.state.problem == "")
    assert tool.opened == 2
    close(delivery, End.FINISHED)


def test_one_that_is_down_to_the_end_is_given_up(tool: Tool, caplog: pytest.LogCaptureFixture) -> None:
    """It is asked once more at the end; the count and the sentence are in the report."""
    tool.fails = TrackerDown("tool is down")
    states: list[str] = []
    delivery = Delivery(tool, lambda: states.append("changed"))
    delivery.tell(points(1, 2))
    wait_until(lambda: tool.asked > 3)
    began = time.monotonic()
    close(delivery, End.FINISHED)
    assert time.monotonic() - began < 1.5
    assert (delivery.state.undelivered, delivery.state.delivered) == (2, 0)
    assert caplog.text.count("tool is down") == 1 and "did not get 2 points" in caplog.text
    assert states


def test_one_that_refuses_is_asked_once(tool: Tool, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong credential is said in one sentence, and what comes later is counted."""
    tool.fails = TrackerRefuses("tool refuses the credentials; look at the Secret")
    delivery = Delivery(tool)
    delivery.tell(points(1))
    wait_until(lambda: delivery.state.problem != "")
    delivery.tell(points(2, 3))
    close(delivery, End.FAILED)
    assert (tool.asked, delivery.state.undelivered) == (1, 3)
    assert caplog.text.count("refuses the credentials") == 1


def test_a_fault_of_the_tool_itself_is_said_and_may_pass(tool: Tool) -> None:
    """Whatever a library raises is treated as an outage."""
    tool.fails = KeyError("run")
    delivery = Delivery(tool)
    delivery.tell(points(1))
    wait_until(lambda: "KeyError: 'run'" in delivery.state.problem)
    tool.fails = None
    close(delivery)
    assert tool.steps == [1] and delivery.state.problem == ""


def test_nothing_is_opened_before_there_is_something_to_tell(tool: Tool) -> None:
    """Ray is being started then, and the environment is no place for two."""
    delivery = Delivery(tool)
    time.sleep(0.05)
    assert tool.asked == 0
    close(delivery)
    assert tool.end == End.FINISHED


def test_what_waits_is_bounded_and_what_goes_is_counted(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept."""
    monkeypatch.setattr(module, "MOST_POINTS", 10)
    tool.holds.clear()
    delivery = Delivery(tool)
    delivery.tell(points(*range(25)))
    tool.holds.set()
    close(delivery, End.FINISHED)
    assert (tool.steps, delivery.state.undelivered, delivery.state.delivered) == (list(range(15, 25)), 15, 10)


def test_what_is_done_again_is_told_as_it_was_done_again(tool: Tool) -> None:
    """Points after the step from which a group goes on are taken back, if they are not delivered yet."""
    tool.holds.clear()
    delivery = Delivery(tool)
    delivery.tell(points(10, 20, 30))
    delivery.take_back_after(20)
    delivery.tell([Point(30, {"loss": 2.0}, 0.0)])
    tool.holds.set()
    close(delivery, End.FINISHED)
    assert [(point.step, point.values["loss"]) for point in tool.points] == [(10, 1.0), (20, 1.0), (30, 2.0)]
    assert all(one < other for one, other in pairwise(tool.steps))


def test_success_is_quiet(tool: Tool, caplog: pytest.LogCaptureFixture) -> None:
    """No warning where nothing is wrong."""
    caplog.set_level(logging.WARNING)
    close(Delivery(tool))
    assert caplog.text == "" and tool.end == End.FINISHED


def test_what_is_undone_goes_before_what_is_told_anew(tool: Tool) -> None:
    """Also where it was not delivered yet, and where the tracker was down in between."""
    delivery = Delivery(tool)
    delivery.tell(points(1, 2, 3))
    wait_until(lambda: tool.steps == [1, 2, 3])
    tool.fails = TrackerDown("down")
    delivery.tell(points(4))
    wait_until(lambda: bool(delivery.state.problem))
    delivery.undo_after(2)
    delivery.undo_after(1)
    tool.fails = None
    delivery.tell(points(2))
    close(delivery)
    assert tool.steps == [1, 2]
