"""Where every record went. What is read must be found again: written, filtered, a duplicate, or in the quarantine."""

from collections.abc import Iterable
from functools import reduce

from headrace.api.data_pipeline import Source
from headrace.api.run_report import Records
from headrace_workers.faults import RunFault


def total(parts: Iterable[Records]) -> Records:
    """The sum of several accounts."""
    return reduce(added, parts, Records())


def added(one: Records, other: Records) -> Records:
    """The sum of two accounts."""
    return Records(**{name: getattr(one, name) + getattr(other, name) for name in Records.model_fields})


def require_balanced(records: Records) -> None:
    """Raises RecordsLost unless read = written + filtered + duplicates + quarantined + late + held."""
    found = records.written + records.filtered + records.duplicates + records.quarantined + records.late + records.held
    if found != records.read:
        raise RunFault(
            "RecordsLost",
            f"{records.read} records were read but {found} were accounted for ({records.written} written, {records.filtered} filtered, "
            f"{records.duplicates} duplicates, {records.quarantined} quarantined, {records.late} late, {records.held} held); nothing was committed: please report this as a bug",
        )


def require_read(records: Records, source: Source) -> None:
    """Raises EmptyDataset when the source was read and gave nothing."""
    if records.read == 0:
        place = f"files.uri {source.files.uri}" if source.files else source.chosen_field
        raise RunFault(
            "EmptyDataset",
            f"source.{place} has no records, though it is there; a header alone is none: put records into it, or correct the address",
        )


def require_some(records: Records, rows: int) -> None:
    """Raises EmptyDataset when there is nothing to commit."""
    if rows == 0 and records.dropped_windows:
        raise RunFault(
            "EmptyDataset",
            f"none of the windows of {records.written} records is left: steps after window dropped all {records.dropped_windows}; loosen them",
        )
    if records.written == 0:
        raise RunFault(
            "EmptyDataset",
            f"none of the {records.read} records is left ({records.filtered} filtered, {records.duplicates} duplicates, "
            f"{records.quarantined} quarantined); loosen the steps that drop them",
        )
