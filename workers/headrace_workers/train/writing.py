"""One rank's part of a checkpoint on its way to storage, while training goes on."""

import threading
from collections.abc import Mapping

import torch

from headrace_workers.train.checkpoints import Checkpoints, CheckpointState
from headrace_workers.train.own_copies import own_copies


class Writing:
    """Files that a thread writes. Their tensors are copied here and now: no later step reaches them."""

    def __init__(
        self,
        store: Checkpoints,
        step: int,
        files: Mapping[str, Mapping[str, torch.Tensor]],
        state: CheckpointState | None = None,
        before: "Writing | None" = None,
    ) -> None:
        """Starts to write. `state` is what the leader will commit; `before` ends first, since it may be of the same step."""
        self.state = state
        self._digests: dict[str, str] = {}
        self._error: Exception | None = None
        self._copies = {name: own_copies(tensors) for name, tensors in files.items()}
        self._thread = threading.Thread(
            target=self._write, args=(store, step, before), name=f"checkpoint-{step}", daemon=True
        )
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether `digests` answers at once."""
        return not self._thread.is_alive()

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file, once all are written; raises what kept one from being written."""
        self.wait()
        if self._error:
            raise self._error
        return self._digests

    def wait(self) -> None:
        """Returns when nothing is written any more."""
        self._thread.join()

    def _write(self, store: Checkpoints, step: int, before: "Writing | None") -> None:
        if before:
            before.wait()
        try:
            while self._copies:
                name, tensors = self._copies.popitem()
                self._digests[name] = store.write(step, name, tensors)
        except Exception as error:  # raised where training hears it  # noqa: BLE001
            self._error = error
