"""Ray Train's trainer without the helper processes that a run does not use: each costs seconds before the first step.

Left out are the manager of Ray datasets (the ranks read their table themselves) and the cleaner that outlives the
controller (the head pod ends with its controller, and takes the cluster along). This relies on the names of Ray's
callbacks: where a release renames one, it runs as it would without this module.
"""

from typing import Any

from ray.train.torch import TorchTrainer

UNUSED = frozenset({"DatasetsCallback", "PlacementGroupCleanerCallback"})


class LeanTorchTrainer(TorchTrainer):  # type: ignore[misc]
    """TorchTrainer with fewer callbacks."""

    def _create_default_callbacks(self) -> list[Any]:
        return [callback for callback in super()._create_default_callbacks() if type(callback).__name__ not in UNUSED]
