"""What the commands need of local mode beyond the port: objects put, looked up and deleted, and an orderly end."""

from collections.abc import Sequence
from typing import Protocol

from headrace.api.meta import ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.cluster import Cluster


class World(Cluster, Protocol):
    """A cluster that lives in a folder."""

    async def put(self, resource: HeadraceObject, /) -> str:
        """Creates or edits an object: created, configured or unchanged; raises Refused for an edit that may not be made."""
        ...

    async def delete(self, key: ObjectKey, /) -> None:
        """Deletes an object and its pods, never its data."""
        ...

    def objects(self) -> Sequence[HeadraceObject]:
        """Every object."""
        ...

    def get(self, key: ObjectKey, /) -> HeadraceObject | None:
        """One object."""
        ...

    async def shutdown(self, grace_seconds: float) -> None:
        """Has every pod checkpoint and end, those that do not end in time are killed."""
        ...
