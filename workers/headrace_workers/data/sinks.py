"""Which sink writes what a spec asks for."""

from headrace.api.data_pipeline import Sink
from headrace.api.run_spec import RunIdentity
from headrace_workers.data import parquet_sink, sink
from headrace_workers.data.engine import Prepared
from headrace_workers.data.sink import Committed
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder


def require_supported(chosen: Sink) -> None:
    """RunFault NotSupported for a sink that this version does not write."""
    if chosen.iceberg is not None:
        raise RunFault("NotSupported", "sink.iceberg is not available in this version; use sink.delta or sink.parquet")


def find_commit(chosen: Sink, uri: str, identity: RunIdentity, plan_key: str) -> Committed | None:
    """The version that this very run made of this very plan, if it did."""
    return (parquet_sink if chosen.parquet else sink).find_commit(uri, identity, plan_key)


def table_folder(chosen: Sink, uri: str, identity: RunIdentity, plan_key: str) -> Folder | None:
    """Where workers write the records as the table has them; None where the commit does."""
    return parquet_sink.data_folder(uri, identity, plan_key) if chosen.parquet else None


def commit(chosen: Sink, uri: str, identity: RunIdentity, plan_key: str, prepared: Prepared) -> Committed:
    """Makes the records the table's new version, unless this run has done so."""
    return (parquet_sink if chosen.parquet else sink).commit(uri, identity, plan_key, prepared)
