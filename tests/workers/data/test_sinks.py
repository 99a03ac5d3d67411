"""Which sinks there are."""

import pytest

from headrace.api.data_pipeline import Sink, Table
from headrace_workers.data import sinks
from headrace_workers.faults import RunFault


def test_other_sinks_are_refused() -> None:
    """A sink that this version does not write is named."""
    with pytest.raises(
        RunFault, match=r"sink\.iceberg is not available in this version; use sink\.delta or sink\.parquet"
    ):
        sinks.require_supported(Sink(iceberg=Table()))
    for given in (Sink(delta=Table()), Sink(parquet=Table())):
        sinks.require_supported(given)
