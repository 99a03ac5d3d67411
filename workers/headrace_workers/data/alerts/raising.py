"""Records beyond a bound. Pure: the same records raise the same alerts, under the same ids, however often they are asked after."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from headrace.api.data_pipeline import Alert
from headrace.api.run_report import RaisedAlert
from headrace_workers.data.steps.numbers import is_number
from headrace_workers.data.steps.step import column_of
from headrace_workers.faults import RunFault

ID_CHARACTERS = 16
RECORD_CHARACTERS = 200
"""So much of a record's id is told."""


@dataclass(frozen=True)
class Raised:
    """An alert that was raised, by its place in the spec, and the value that raised it."""

    place: int
    value: float
    told: RaisedAlert


def raised(table: pa.Table, alerts: Sequence[Alert], now: datetime) -> list[Raised]:
    """The alerts that these records raise, in the records' order; a missing value and NaN raise none.

    RunFault if a column is not there, or holds no numbers.
    """
    found = [(row, one) for place, alert in enumerate(alerts) for row, one in _of(table, alert, place, now)]
    return [one for _, one in sorted(found, key=lambda each: (each[0], each[1].place))]


def _of(table: pa.Table, alert: Alert, place: int, now: datetime) -> list[tuple[int, Raised]]:
    where = f"alerts[{place}].column"
    column = column_of(table, alert.column, where)
    if not is_number(column.type):
        raise RunFault(
            "WrongColumnType", f"{where} needs numbers in the column {alert.column}, which holds {column.type}"
        )
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    low = -np.inf if alert.below is None else alert.below
    high = np.inf if alert.above is None else alert.above
    rows = np.flatnonzero((values < low) | (values > high))
    ids = column_of(table, "id", where).take(rows).to_pylist()
    return [
        (int(row), Raised(place, value, _told(alert, str(key), value, now)))
        for row, key, value in zip(rows, ids, values[rows].tolist(), strict=True)
    ]


def _told(alert: Alert, record: str, value: float, now: datetime) -> RaisedAlert:
    beyond = f"above {alert.above:g}" if alert.above is not None and value > alert.above else f"below {alert.below:g}"
    return RaisedAlert(
        alert=alert.name,
        id=hashlib.sha256(f"{alert.name}\0{record}".encode()).hexdigest()[:ID_CHARACTERS],
        time=now,
        message=f"{alert.column} is {value:g}, {beyond}, in the record {record[:RECORD_CHARACTERS]}",
    )
