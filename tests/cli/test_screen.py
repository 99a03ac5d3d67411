"""What a pipe gets: lines at once, and never a long silence."""

import itertools

from headrace.cli.screen import PlainScreen
from headrace.cli.view import Row


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _screen() -> tuple[PlainScreen, Clock, list[str]]:
    clock, lines = Clock(), []
    return PlainScreen(lines.append, clock), clock, lines


def test_a_sentence_is_written_at_once_with_its_second():
    """What happens is told when it happens."""
    screen, clock, lines = _screen()
    clock.now = 12.34
    screen.say("TrainJob digits: Running")
    assert lines == ["   12.3s  TrainJob digits: Running"]


def test_a_pipe_is_never_silent_for_five_seconds():
    """Progress is told once nothing else has been said for a while, and not more often."""
    screen, clock, lines = _screen()
    for tick in range(200):
        clock.now = tick * 0.2
        screen.show([Row("TrainJob", "digits", "Running", moving=True)])
    times = [0.0, *(float(text.split("s")[0]) for text in lines)]
    assert all(4.0 < later - earlier <= 5.0 for earlier, later in itertools.pairwise(times))


def test_only_what_moves_is_repeated():
    """What is finished is not told again while something moves."""
    screen, clock, lines = _screen()
    clock.now = 5.0
    screen.show([Row("DataPipeline", "digits", "Complete"), Row("TrainJob", "digits", "Running", moving=True)])
    assert lines == ["    5.0s  TrainJob digits: Running"]


def test_what_only_serves_still_shows_life():
    """Where nothing moves any more, all rows are repeated."""
    screen, clock, lines = _screen()
    clock.now = 5.0
    screen.show([Row("InferenceEndpoint", "digits", "Ready")])
    assert lines == ["    5.0s  InferenceEndpoint digits: Ready"]
