"""What the head of a Stream reports."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from headrace.api.run_report import RunReport
from headrace_workers.data.alerts.webhooks import Webhooks
from headrace_workers.data.stream.head import Told
from headrace_workers.head import Head
from headrace_workers.storage import Folder
from tests.workers.data.stream.fake_reader import FakeReader
from tests.workers.data.stream.streams import Place, spec_of, until

ALERTS = [{"name": "high", "column": "value", "above": 8}]


def test_a_report_has_all_that_is_known(tmp_path: Path) -> None:
    """The account, the version, how far it is, how fast, and what was raised."""
    spec = spec_of({"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}, alerts=ALERTS)
    stream = Place(tmp_path).stream(spec, reader=FakeReader(spec, {"t/0": [{"value": each} for each in range(10)]}))
    until(stream, lambda: stream.state.records.read >= 10)
    said: dict[str, Any] = {}
    head = SimpleNamespace(
        reporter=SimpleNamespace(update=said.update),
        spec=SimpleNamespace(publish=f"file:{tmp_path}/table"),
        storage=Folder(f"file:{tmp_path}/run-1"),
    )
    Told(cast("Head", head), Webhooks("default/s", {}))(stream)
    report = RunReport.model_validate({"time": "2026-01-02T00:00:00Z", **said})
    assert (report.records, report.dataset.records, report.dataset.version) == (stream.state.records, 10, stream.keeper.lake.version)  # fmt: skip
    assert (report.stream.lag, report.stream.commits) == (0, stream.state.commits)
    assert report.stream.memory_bytes > 0
    assert [stage.stage for stage in report.stream.stages] == ["read", "commit"]
    assert (report.alerts.count, [each.message for each in report.alerts.last]) == (1, ["value is 9, above 8, in the record t/0/9"])  # fmt: skip
