"""Who is slow, told from what ranks say of their steps."""

from collections.abc import Mapping

import pytest

from headrace_workers.train.stragglers import (
    CALM_WINDOWS,
    FEWEST_TALKS,
    MOST_TOLD,
    WINDOW_SECONDS,
    Stragglers,
    slow_pods,
)

ALIKE = {"a": 1.0, "b": 1.0, "c": 1.0}
SLOW_C = {**ALIKE, "c": 2.0}


@pytest.mark.parametrize(
    ("busy", "slow"),
    [
        pytest.param({"a": 1.0, "b": 1.1, "c": 1.4}, "", id="none is slow by less than the factor"),
        pytest.param({"a": 1.0, "b": 1.1, "c": 1.7}, "c", id="one of three is"),
        pytest.param({"a": 1.0, "b": 1.6}, "b", id="of two the faster is the measure"),
        pytest.param({"a": 1.0, "b": 1.0, "c": 2.0, "d": 2.0}, "cd", id="half of four may be slow"),
        pytest.param({"a": 1.0, "b": 2.0, "c": 2.0}, "", id="one that is fast makes nobody slow"),
        pytest.param({"a": 1.0}, "", id="one alone keeps nobody waiting"),
    ],
)
def test_who_is_slow(busy: Mapping[str, float], slow: str) -> None:
    """See the row."""
    assert slow_pods(busy, 2.0, 1.5) == set(slow)


def test_one_that_costs_nothing_is_not_named() -> None:
    """Where a step takes a second in the network, two milliseconds of computing instead of one are nobody's business."""
    busy = {"a": 0.001, "b": 0.001, "c": 0.002}
    assert slow_pods(busy, 1.0, 1.5) == set()
    assert slow_pods(busy, 0.005, 1.5) == {"c"}


def test_one_that_is_known_comes_half_way_back() -> None:
    """What was slow still is at 1.4 times the median, and no longer at 1.2 times."""
    assert slow_pods({**ALIKE, "c": 1.4}, 2.0, 1.5, {"c"}) == {"c"}
    assert slow_pods({**ALIKE, "c": 1.2}, 2.0, 1.5, {"c"}) == set()


class Scene:
    """A judge and its clock: a talk a second."""

    def __init__(self, batch_size: int = 64) -> None:
        self.judge, self.now = Stragglers(1.5, batch_size), 100.0

    def windows(self, busy: Mapping[str, float], count: float = 1) -> str:
        """Whoever straggles after so many windows in which ranks said this."""
        for _ in range(round(count * (WINDOW_SECONDS + 1))):
            self.judge.hear(busy, 2.0, self.now)
            self.now += 1.0
        return self.found

    @property
    def found(self) -> str:
        return "".join(each.pod for each in self.judge.found)


def test_nobody_is_blamed_for_a_moment() -> None:
    """Half a window of slowness is none; a whole one is, with the figures of both."""
    scene = Scene()
    assert scene.windows(SLOW_C, 0.4) == ""
    assert scene.windows(ALIKE) == ""
    assert scene.windows(SLOW_C, 2) == "c"
    (straggler,) = scene.judge.found
    assert (straggler.step_seconds, straggler.median_step_seconds) == (2.0, 1.0)


def test_a_pause_is_not_slowness() -> None:
    """One step of a minute among others does not make a worker slow."""
    scene = Scene()
    scene.windows(ALIKE, 0.5)
    scene.windows({**ALIKE, "c": 60.0}, 0.1)
    assert scene.windows(ALIKE, 0.5) == ""


def test_few_talks_are_not_enough() -> None:
    """Where a step takes a minute, so many of them are waited for."""
    scene = Scene()
    for talk in range(FEWEST_TALKS + 1):
        assert scene.found == ("" if talk < FEWEST_TALKS else "c")
        scene.judge.hear({"a": 30.0, "b": 30.0, "c": 60.0}, 60.0, scene.now)
        scene.now += 60.0


def test_one_that_keeps_up_again_is_forgiven_after_a_while() -> None:
    """Not in its first good window, and not while good windows and bad ones take turns."""
    scene = Scene()
    scene.windows(SLOW_C)
    for _ in range(4):
        assert scene.windows(ALIKE, CALM_WINDOWS - 1) == "c"
        assert scene.windows(SLOW_C) == "c"
    assert scene.windows(ALIKE, CALM_WINDOWS) == ""


def test_one_that_is_gone_is_no_straggler() -> None:
    """At once; those that stay are judged by a window of their own group."""
    scene = Scene()
    scene.windows({**SLOW_C, "d": 2.0})
    assert scene.found == "cd"
    scene.judge.hear(SLOW_C, 2.0, scene.now)
    assert scene.found == "c"
    scene.judge.hear({"c": 2.0}, 2.0, scene.now)
    assert scene.found == ""


def test_one_that_has_just_come_has_nothing_to_tell() -> None:
    """A rank that has taken no step yet makes nobody slow."""
    scene = Scene()
    assert scene.windows({**SLOW_C, "d": 0.0}, 3) == ""


def test_unequal_shares_of_a_small_batch_are_not_slowness() -> None:
    """Three records for two ranks: one has twice as many."""
    assert Scene(batch_size=3).windows({"a": 2.0, "b": 1.0}, 2) == ""
    assert Scene(batch_size=4).windows({"a": 2.0, "b": 1.0}, 2) == "a"


def test_nothing_is_told_of_ranks_that_say_nothing() -> None:
    """A group of Ray Train's does not know its pods."""
    assert Scene().windows({}, 3) == ""


def test_of_many_the_slowest_are_told() -> None:
    """A status has an end."""
    busy = {**{f"f{number}": 1.0 for number in range(50)}, **{f"s{number}": 2.0 + number for number in range(40)}}
    scene = Scene(batch_size=9000)
    scene.windows(busy)
    assert len(scene.judge.found) == MOST_TOLD and scene.judge.found[0].pod == "s39"
