"""A table of Parquet files in versions. A version is a manifest that names its files, and exists once that does.

    <table>/data/<who wrote it>/<part>.parquet    <table>/_versions/<number>.json

Readers open the files that a manifest names and see no other. Whoever writes makes its files first, and the manifest last,
under the next free number, which only one can take.
"""

from headrace.api.base import Model
from headrace.api.run_report import Records
from headrace_workers.storage import Folder

DATA = "data"
VERSIONS = "_versions"


class VersionFile(Model):
    """One file of a version, relative to the table."""

    name: str
    rows: int
    size_bytes: int


class VersionManifest(Model):
    """One version: who made it of what, and where its records are."""

    version: int
    uid: str
    run: int
    plan: str
    pipeline: str
    digest: str
    records: Records
    splits: dict[str, int] = {}
    files: tuple[VersionFile, ...]


def numbers(table: Folder) -> list[int]:
    """The versions that there are, the oldest first."""
    names = (name.partition(".") for name in table.sub(VERSIONS).names())
    return sorted(int(number) for number, _, rest in names if rest == "json")


def load(table: Folder, version: int) -> VersionManifest:
    """A version; FileNotFoundError if there is none of that number."""
    return VersionManifest.model_validate_json(table.sub(VERSIONS).read(_name(version)))


def publish(table: Folder, manifest: VersionManifest) -> None:
    """Makes the version exist; FileExistsError if another one of its number does."""
    table.sub(VERSIONS).create(_name(manifest.version), manifest.model_dump_json(by_alias=True).encode())


def _name(version: int) -> str:
    return f"{version:09d}.json"
