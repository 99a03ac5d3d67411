"""The objects, as JSON files: one folder a kind and namespace, one file an object.

The files are the truth; what is held in memory only mirrors them, and only the holder of the folder's lock writes.
Metadata that an API server sets (uid, generation, resourceVersion, creationTimestamp) is set here and nowhere else.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from headrace.api.meta import Kind, format_time
from headrace.api.objects import HeadraceObject, parse_object
from headrace.cluster import Conflict
from headrace.local.files import TEMPORARY, remove_file, write_whole
from headrace.local.refusals import AlreadyExists, UnreadableState
from headrace.plan.values import Raw

NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
SERVER_SET = (
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
SECRET_MODE = 0o600

Key = tuple[str, str, str]
"""Kind, namespace, name."""

Listener = Callable[[Raw | None, Raw | None], None]
"""Called with an object before and after a change; None where there was or is none."""


def key_of(raw: Raw) -> Key:
    """The key of a raw object."""
    return str(raw["kind"]), str(raw["metadata"].get("namespace", "default")), str(raw["metadata"]["name"])


def version_of(raw: Raw) -> str:
    """The version that changes with every write."""
    return str(raw["metadata"]["resourceVersion"])


class Store:
    """Reads and writes the objects of one state folder."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        """Loads every object; UnreadableState names a file that cannot be read."""
        self._folder = folder
        self._clock = clock
        self._objects = {key_of(raw): raw for raw in _load(folder)}
        self._version = max((int(version_of(raw)) for raw in self._objects.values()), default=0)
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Has the listener called after every change."""
        self._listeners.append(listener)

    def get(self, kind: str, namespace: str, name: str) -> Raw | None:
        """The object, or None. Callers never change what they get."""
        return self._objects.get((kind, namespace, name))

    def list(self, kind: str | None = None) -> list[Raw]:
        """The objects of a kind, or all, in the order of their names."""
        return [raw for key, raw in sorted(self._objects.items()) if kind is None or key[0] == kind]

    def create(self, manifest: Raw, uid: str | None = None) -> Raw:
        """Adds an object as a POST would, with a new UID unless one is given; AlreadyExists if there is one."""
        key = key_of(manifest)
        if key in self._objects:
            raise AlreadyExists(f"{key[0]} {key[1]}/{key[2]} is there already")
        given = {name: value for name, value in manifest["metadata"].items() if name not in SERVER_SET}
        metadata = {
            **given, "namespace": key[1], "uid": uid or str(uuid.uuid4()), "generation": 1, "creationTimestamp": format_time(self._clock()),
        }  # fmt: skip
        return self._write({**manifest, "metadata": metadata})

    def replace(self, manifest: Raw) -> Raw:
        """Makes everything but the status and the server's metadata what the manifest says; writes nothing if it is that."""
        current = self._current(key_of(manifest))
        given = {name: value for name, value in manifest["metadata"].items() if name not in SERVER_SET}
        kept = {name: current["metadata"][name] for name in SERVER_SET if name in current["metadata"]}
        changed = {**manifest, "metadata": {**given, "namespace": key_of(manifest)[1], **kept}}
        changed.pop("status", None)
        if "status" in current:
            changed["status"] = current["status"]
        if changed == current:
            return current
        if changed.get("spec") != current.get("spec"):
            changed["metadata"]["generation"] = int(current["metadata"]["generation"]) + 1
        return self._write(changed)

    def save_status(self, key: Key, status: Raw, version: str | None = None) -> Raw:
        """Makes this the status; Conflict if the object is gone or `version` is not its version any more."""
        current = self._current(key)
        if version is not None and version != version_of(current):
            raise Conflict(f"{key[0]} {key[1]}/{key[2]} has changed since it was observed")
        return current if current.get("status") == status else self._write({**current, "status": status})

    def mark_deleting(self, key: Key, grace_seconds: float) -> Raw:
        """Records by when the object must be gone (deletionTimestamp); an earlier moment that is recorded stays."""
        current = self._current(key)
        deadline = self._clock() + timedelta(seconds=grace_seconds)
        recorded = current["metadata"].get("deletionTimestamp")
        if recorded is not None and datetime.fromisoformat(recorded) <= deadline:
            return current
        metadata = {
            **current["metadata"],
            "deletionTimestamp": format_time(deadline),
            "deletionGracePeriodSeconds": grace_seconds,
        }
        return self._write({**current, "metadata": metadata})

    def remove(self, key: Key) -> None:
        """Removes the object; none is fine."""
        if (current := self._objects.get(key)) is None:
            return
        remove_file(self._path(key))
        del self._objects[key]
        self._tell(current, None)

    def _current(self, key: Key) -> Raw:
        if (current := self._objects.get(key)) is None:
            raise Conflict(f"{key[0]} {key[1]}/{key[2]} is gone")
        return current

    def _write(self, raw: Raw) -> Raw:
        key = key_of(raw)
        self._version += 1
        written = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self._version)}}
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(written, indent=1).encode(), SECRET_MODE if key[0] == "Secret" else 0o644)
        before = self._objects.get(key)
        self._objects[key] = written
        self._tell(before, written)
        return written

    def _path(self, key: Key) -> Path:
        kind, namespace, name = key
        for part in (namespace, name):
            if not NAME.match(part):
                raise ValueError(
                    f"{kind} {namespace}/{name}: {part!r} is not a name; use lower-case letters, digits, - and ."
                )
        return self._folder / kind / namespace / f"{name}.json"

    def _tell(self, before: Raw | None, after: Raw | None) -> None:
        for listener in self._listeners:
            listener(before, after)


def clean(folder: Path) -> None:
    """Removes what writers that were killed left half done."""
    for path in folder.glob(f"*/*/.*{TEMPORARY}"):
        path.unlink(missing_ok=True)


def read_objects(state_dir: Path) -> list[HeadraceObject]:
    """The custom resources of a state folder, read without its lock; a moment later they may have changed."""
    return [parse_stored(raw) for kind in sorted(Kind) for raw in _load(state_dir / "objects", kind)]


def parse_stored(raw: Raw) -> HeadraceObject:
    """The typed object of a stored one; UnreadableState if another version of Headrace wrote it."""
    try:
        return parse_object(raw)
    except ValidationError as error:
        kind, namespace, name = key_of(raw)
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise UnreadableState(
            f"{kind} {namespace}/{name} in the state folder cannot be read ({place}: {fault['msg']}); "
            "use the version of Headrace that wrote it, or give --state-dir another folder"
        ) from error


def _load(folder: Path, kind: str = "*") -> Iterator[Raw]:
    for path in sorted(folder.glob(f"{kind}/*/*.json")):
        try:
            raw = json.loads(path.read_bytes())
        except FileNotFoundError:
            # A reader without the lock meets objects that are being removed.
            continue
        except ValueError as error:
            raise UnreadableState(
                f"{path} is not JSON ({error}); remove it, or give --state-dir another folder"
            ) from error
        yield raw
