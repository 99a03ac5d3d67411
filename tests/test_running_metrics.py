"""What a status says becomes gauges by namespace and name; what it does not say has no value."""

from prometheus_client import CollectorRegistry, generate_latest

from headrace.api.meta import Kind, ObjectKey
from headrace.running_metrics import gauges_of_running
from headrace.telemetry import Telemetry

STAGE = {
    "stage": "read",
    "records": 400,
    "seconds": 2.5,
    "rate": 200.0,
    "channels": 4,
    "ratePerChannel": 50.0,
    "queued": 7,
}


def told(*statuses: dict) -> list[str]:
    telemetry = Telemetry()
    telemetry.registry = CollectorRegistry()
    keyed = [(ObjectKey(Kind.DATA_PIPELINE, "demo", f"p{index}"), status) for index, status in enumerate(statuses)]
    telemetry.gauges(lambda: gauges_of_running(keyed))
    return [line for line in generate_latest(telemetry.registry).decode().splitlines() if not line.startswith("#")]


def test_a_stream_tells_volume_time_rate_channels_queue_lag_and_memory() -> None:
    """Each as one gauge, with the stage where there are several."""
    stream = {"lag": 9, "memoryBytes": 1024, "stages": [STAGE]}
    assert set(told({"stream": stream, "records": {"read": 400, "written": 390}})) == {
        'headrace_pipeline_records{name="p0",namespace="demo",outcome="read"} 400.0',
        'headrace_pipeline_records{name="p0",namespace="demo",outcome="written"} 390.0',
        'headrace_pipeline_memory_bytes{name="p0",namespace="demo"} 1024.0',
        'headrace_stream_lag_messages{name="p0",namespace="demo"} 9.0',
        'headrace_stage_records{name="p0",namespace="demo",stage="read"} 400.0',
        'headrace_stage_work_seconds{name="p0",namespace="demo",stage="read"} 2.5',
        'headrace_stage_rate{name="p0",namespace="demo",stage="read"} 200.0',
        'headrace_stage_channels{name="p0",namespace="demo",stage="read"} 4.0',
        'headrace_stage_rate_per_channel{name="p0",namespace="demo",stage="read"} 50.0',
        'headrace_stage_queued_records{name="p0",namespace="demo",stage="read"} 7.0',
    }


def test_a_batch_has_no_lag_and_a_job_has_stragglers() -> None:
    """One after the other."""
    batch, job = told({"batch": {"memoryBytes": 5, "stages": []}}), told({"stragglers": [{"pod": "w"}]})
    assert batch == ['headrace_pipeline_memory_bytes{name="p0",namespace="demo"} 5.0']
    assert job == ['headrace_straggling_workers{name="p0",namespace="demo"} 1.0']


def test_what_is_not_said_has_no_value() -> None:
    """An object that has just begun to run."""
    assert told({}, {"stream": {"lag": None}}) == []
