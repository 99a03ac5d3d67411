"""What of a Stream's steps is done where."""

from typing import Any

import pytest

from headrace_workers.data.stream.plan import StreamPlan, planned
from headrace_workers.faults import RunFault
from tests.workers.data.stream.streams import spec_of

SOURCE = {"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}
RULE = {"validate": {"columns": [{"name": "value"}]}}
EQUAL = {"deduplicate": {"exact": {"columns": ["key"]}}}
HIDE = {"redact": {"entities": ["Email"]}}
WINDOW = {
    "window": {"seconds": 10, "by": ["host"], "measures": [{"into": "n", "measure": {"mean": {"column": "value"}}}]}
}
DETECT = {"detect": {"column": "n"}}
SPLIT = {"split": {}}


def plan(*steps: dict[str, Any], **more: Any) -> StreamPlan:
    """The plan of such steps."""
    return planned(spec_of(SOURCE, *steps, **more))


def names(works: Any) -> list[str]:
    """The names of works."""
    return [work.name for work in works]


def test_without_deduplicate_all_is_done_at_once() -> None:
    """By the reader, before the head sees a record."""
    made = plan(RULE, HIDE, SPLIT)
    assert (names(made.before), made.deduplicate, made.groups) == (["validate_", "redact", "split"], None, ((), (), ()))


def test_steps_that_drop_records_wait_for_deduplicate() -> None:
    """Those before the first of them are done beside it."""
    made = plan(RULE, EQUAL, HIDE, SPLIT, RULE, HIDE)
    assert names(made.before) == ["validate_"]
    assert names(made.beside) == ["redact", "split"]
    assert [names(group) for group in made.groups] == [["validate_", "redact"], [], []]


def test_steps_after_a_window_see_windows() -> None:
    """Before detect, and after it."""
    made = plan(HIDE, WINDOW, RULE, DETECT, SPLIT, eventTime={"column": "at"})
    assert made.timing is not None
    assert names(made.before) == ["redact"]
    assert [names(group) for group in made.groups] == [[], ["validate_"], ["split"]]


def test_needed_columns_are_those_of_records() -> None:
    """What steps after a window name is no column of records."""
    made = plan(RULE, EQUAL, WINDOW, DETECT, eventTime={"column": "at"})
    assert set(made.needed) == {"value", "key", "host", "at"}


@pytest.mark.parametrize(
    ("steps", "more", "said"),
    [
        ([{"deduplicate": {"near": {}}}], {}, r"steps\[0\].deduplicate.near is not available in a Stream"),
        ([EQUAL, {"deduplicate": {"exact": {}}}], {}, "two deduplicates"),
        ([{"augment": {"image": {"copies": 1}}}], {}, r"steps\[0\].augment is not available in a Stream"),
        ([{"decodeSound": {}}], {}, r"steps\[0\].decodeSound is not available in a Stream"),
        ([{"decodeImage": {"width": 8, "height": 8}}], {}, r"steps\[0\].decodeImage is not available in a Stream"),
        ([], {"sink": {"parquet": {}}}, "sink.parquet is not available in a Stream"),
    ],
)
def test_what_cannot_be_done_is_refused(steps: list[dict[str, Any]], more: dict[str, Any], said: str) -> None:
    """With the step's place."""
    with pytest.raises(RunFault, match=said) as fault:
        plan(*steps, **more)
    assert fault.value.reason == "NotSupported"
