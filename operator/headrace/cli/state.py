"""The state folder: opened to work in it, or only read; what it refuses becomes a sentence."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from headrace.api.meta import ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.cli.errors import Sentence
from headrace.cli.world import World
from headrace.plan.values import Settings

DEFAULT = Path(".headrace")
VARIABLE = "HEADRACE_STATE_DIR"


class InUse(Sentence):
    """Another command works on the folder."""


def settings(state_dir: Path) -> Settings:
    """The operator's settings in local mode: everything lives below the state folder."""
    return Settings(storage_root=f"file://{state_dir.absolute()}/storage", local=True, progress_seconds=1.0)


@asynccontextmanager
async def open_world(state_dir: Path, command: str) -> AsyncIterator[World]:
    """The cluster in the folder, locked for `command`; leaving it leaves its pods running."""
    from headrace.local import LocalCluster

    with _spoken():
        async with LocalCluster.open(state_dir, settings(state_dir), command=command) as cluster:
            yield cluster


def saved_objects(state_dir: Path) -> list[HeadraceObject]:
    """The objects of the folder as last saved; none if there is no folder."""
    from headrace.local import read_objects

    with _spoken():
        return list(read_objects(state_dir)) if state_dir.is_dir() else []


def is_worked_on(state_dir: Path) -> bool:
    """Whether a command holds the folder's lock now, so that what is saved is what is true."""
    from headrace.local import is_held

    try:
        return is_held(state_dir / "lock")
    except OSError:
        return False


def saved_logs(state_dir: Path, key: ObjectKey) -> list[tuple[str, Path]]:
    """(pod name, path) of the logs of an object's pods, the one written to last at the end.

    A pod that was stopped and made again has its old name, and so several logs: the time tells which is the newer.
    """
    from headrace.local import log_paths

    return sorted(log_paths(state_dir, key), key=lambda log: log[1].stat().st_mtime)


@contextmanager
def _spoken() -> Iterator[None]:
    from headrace.local import FolderLocked, UnreadableState

    try:
        yield
    except FolderLocked as error:
        raise InUse(str(error)) from error
    except UnreadableState as error:
        raise Sentence(str(error)) from error
