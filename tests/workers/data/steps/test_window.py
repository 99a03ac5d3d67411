"""window and detect as steps of a Batch: over shards, in one account with what they were made of."""

import json
from pathlib import Path

import pytest

from headrace_workers.faults import RunFault
from tests.workers.data.builders import files, pipeline, prepare, table_of

WINDOW = {"window": {"seconds": 10, "by": ["k"], "measures": [{"into": "n", "measure": {"count": {}}}, {"into": "mean", "measure": {"mean": {"column": "v"}}}]}}  # fmt: skip
DETECT = {"detect": {"column": "mean", "by": ["k"], "gaussian": {"last": 8, "atLeast": 2}}}
TIMED = {"eventTime": {"column": "at"}, "quarantine": {"maxFraction": 1.0}}


def write(folder: Path, shards: int, records: int = 90) -> None:
    """Events of one a second, dealt out to files; each tenth without a time that can be read."""
    lines = [
        json.dumps({"at": second if second % 10 else "soon", "k": "ab"[second % 2], "v": second % 7})
        for second in range(records)
    ]
    for shard in range(shards):
        (folder / f"{shard}.jsonl").write_text("\n".join(lines[shard::shards]) + "\n")


def test_windows_are_the_same_however_the_source_is_cut(tmp_path: Path) -> None:
    """One file or four; the account says where each record went."""
    made = []
    for shards in (1, 4):
        folder = tmp_path / str(shards)
        folder.mkdir()
        write(folder, shards)
        prepared = prepare(pipeline(files(folder, "JsonLines"), WINDOW, DETECT, **TIMED), tmp_path / f"run-{shards}")
        records = prepared.records
        assert (records.read, records.written, records.quarantined) == (90, 81, 9)
        made.append(table_of(prepared))
    assert made[0].equals(made[1])
    rows = made[0].to_pylist()
    assert len(rows) == 18
    assert sum(row["n"] for row in rows) == 81
    assert [row["anomaly"] for row in rows][:4] == [0.0] * 4
    assert [row["id"] for row in rows][:3] == ["1970-01-01T00:00:00Z/a", "1970-01-01T00:00:00Z/b", "1970-01-01T00:00:10Z/a"]  # fmt: skip


def test_steps_after_a_window_see_windows(tmp_path: Path) -> None:
    """A filter there drops windows, a split deals them out."""
    write(tmp_path, 2)
    steps = (
        WINDOW,
        {"validate": {"columns": [{"name": "n", "min": 5}]}},
        {"split": {"trainFraction": 0.5, "key": "k"}},
    )
    prepared = prepare(pipeline(files(tmp_path, "JsonLines"), *steps, **TIMED), tmp_path / "run")
    rows = table_of(prepared).to_pylist()
    assert {row["k"] for row in rows} == {"b"}
    assert len({row["split"] for row in rows}) == 1
    records = prepared.records
    assert (records.quarantined, records.dropped_windows, records.written) == (9, 9, 81)


def test_a_filter_that_leaves_no_window_is_told(tmp_path: Path) -> None:
    """Not by a fault of the program."""
    write(tmp_path, 2)
    steps = (WINDOW, {"validate": {"columns": [{"name": "n", "min": 500}]}})
    with pytest.raises(RunFault, match="none of the windows of 81 records is left") as caught:
        prepare(pipeline(files(tmp_path, "JsonLines"), *steps, **TIMED), tmp_path / "run")
    assert caught.value.reason == "EmptyDataset"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (({"split": {}}, WINDOW), "steps[0].split comes before steps[1].window"),
        ((DETECT, WINDOW), "steps[0].detect comes before steps[1].window"),
        (({"normalizeText": {"column": "at", "stripPunctuation": True}}, WINDOW), "cannot read the times"),
    ],
)
def test_an_order_that_cannot_be(steps: tuple, words: str, tmp_path: Path) -> None:
    """The sentence names both, or what was rewritten."""
    (tmp_path / "a.jsonl").write_text('{"at": "2026-01-02T03:04:05Z", "k": "a", "v": 1}\n')
    with pytest.raises(RunFault) as caught:
        prepare(pipeline(files(tmp_path, "JsonLines"), *steps, **TIMED), tmp_path / "run")
    assert caught.value.reason == "StepOrder"
    assert words in caught.value.message
