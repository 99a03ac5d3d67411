"""Checkpoints: one folder a step, whose state.json is written last and names the digest of every file.

A checkpoint without a state.json, or with a file that is not what it promised, does not exist for a reader. Tensors are
safetensors: nothing is unpickled. Ranks may write files of their own before rank 0 commits.

Beside them rollbacks.json lists the roll-backs of the run. It is written before anything else is done about one, and a
checkpoint knows how many had been: what a roll-back undid is told from what was saved after it, also after a crash.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from headrace.api.base import Model
from headrace.api.run_report import CheckpointReference, CurvePoint, RolledBack, Traffic
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.divergence import LossHistory

# torch is imported where tensors are touched: a head that only publishes reads checkpoints without it.
if TYPE_CHECKING:
    import torch

STATE = "state.json"
ROLL_BACKS = "rollbacks.json"
WEIGHTS = "weights.safetensors"
MERGED = "merged.safetensors"
"""The weights with the adapters in them, for who has none; of the last step of a run that trains adapters."""
OPTIMIZER = "optimizer.safetensors"
SHARD = "shard/"
"""Starts the names of compression state that one rank keeps for all."""

logger = logging.getLogger(__name__)


def compression_file(rank: int) -> str:
    """The file with one rank's compression state."""
    return f"compression-{rank:05d}.safetensors"


class DataSchema(Model):
    """What the network was trained on: what serving must give it, and what its outputs mean."""

    features: Annotated[str, Field(description="The input column.")]
    target: Annotated[str, Field(description="The predicted column.")]
    shape: Annotated[tuple[int, ...], Field(description="The shape of one input.")]
    classes: Annotated[
        tuple[int | str, ...] | None, Field(description="The labels in the order of the outputs; none for a number.")
    ] = None


class CheckpointState(Model):
    """state.json: what is not a tensor, and the digests that make the checkpoint whole."""

    step: Annotated[int, Field(ge=0, description="Steps done.")]
    epoch: Annotated[int, Field(ge=0, description="Epochs done.")]
    seed: Annotated[int, Field(description="The run's seed.")]
    world_size: Annotated[int, Field(ge=1, description="Ranks that took part.")]
    data: Annotated[DataSchema, Field(description="What the network was trained on.")]
    metrics: Annotated[
        dict[str, float] | None, Field(description="The evaluation at this very step, if one was made.")
    ] = None
    curve: Annotated[tuple[CurvePoint, ...], Field(description="The run's curve so far.")] = ()
    window_loss: Annotated[float, Field(description="The sum of training losses since the curve's last point.")] = 0.0
    window_steps: Annotated[float, Field(ge=0, description="Steps since the curve's last point.")] = 0.0
    traffic: Annotated[Traffic, Field(description="What gradients cost so far.")] = Traffic()
    roll_backs: Annotated[int, Field(ge=0, description="Roll-backs of the run before this checkpoint.")] = 0
    history: Annotated[LossHistory, Field(description="What a spike of the loss is measured against.")] = LossHistory()
    files: Annotated[dict[str, str], Field(description="SHA-256 of each file.")] = {}


class RollBacks(Model):
    """rollbacks.json."""

    roll_backs: Annotated[tuple[RolledBack, ...], Field(description="In the order in which they were done.")] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint that was read back."""

    state: CheckpointState
    folder: Folder

    def tensors(self, name: str) -> "dict[str, torch.Tensor]":
        """The tensors of one of its files; none if it has no such file."""
        import safetensors.torch

        return safetensors.torch.load(self.folder.read(name)) if name in self.state.files else {}

    @property
    def reference(self) -> CheckpointReference:
        """How a report names it."""
        return CheckpointReference(step=self.state.step, uri=self.folder.uri)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run."""

    folder: Folder
    keep: int = 3

    def write(self, step: int, name: str, tensors: "Mapping[str, torch.Tensor]") -> str:
        """Writes one file of a checkpoint to come, of tensors that share no memory, and returns its SHA-256."""
        import safetensors.torch

        data = safetensors.torch.save(dict(tensors))
        self._at(step).write(name, data)
        return hashlib.sha256(data).hexdigest()

    def commit(self, state: CheckpointState) -> CheckpointReference:
        """Makes a checkpoint exist, and deletes all older ones but the newest `keep`, this one counted."""
        self._at(state.step).write(STATE, json.dumps(state.wire()).encode())
        older = [step for step in reversed(self._steps()) if step < state.step]
        kept = [step for step in older if self._at(step).exists(STATE)][: self.keep - 1]
        for step in sorted(set(older) - set(kept)):
            self.folder.delete(f"{step:08d}")
        return CheckpointReference(step=state.step, uri=self._at(state.step).uri)

    def newest(self, until: int | None = None) -> Checkpoint | None:
        """The newest whole checkpoint, of a step up to `until`; what is half or damaged is skipped with a line in the log."""
        steps = (step for step in reversed(self._steps()) if until is None or step <= until)
        return next((found for step in steps if (found := self.read(step))), None)

    def roll_backs(self) -> tuple[RolledBack, ...]:
        """The roll-backs of the run so far; RunFault if they cannot be read, for their bound would be forgotten."""
        if not self.folder.exists(ROLL_BACKS):
            return ()
        try:
            return RollBacks.model_validate_json(self.folder.read(ROLL_BACKS)).roll_backs
        except ValidationError as error:
            message = f"{self.folder.uri}/{ROLL_BACKS} cannot be read ({error.errors()[0]['msg']}); restore it, or delete it to have the run forget its roll-backs"
            raise RunFault("CheckpointDamaged", message) from error

    def roll_back(self, roll_backs: tuple[RolledBack, ...]) -> None:
        """Notes the roll-backs of the run, the last of which is about to be done, and deletes what that undoes."""
        self.folder.write(ROLL_BACKS, json.dumps(RollBacks(roll_backs=roll_backs).wire()).encode())
        self.delete_undone(roll_backs)

    def delete_undone(self, roll_backs: tuple[RolledBack, ...]) -> None:
        """Deletes the checkpoints that lie after the step which a later roll-back went back to."""
        for step in self._steps() if roll_backs else ():
            if any(step > later.to_step for later in roll_backs[self._roll_backs_before(step) :]):
                self.folder.delete(f"{step:08d}")

    def read(self, step: int) -> Checkpoint | None:
        """The checkpoint of a step, every file checked; none, with a line in the log, if it is not whole."""
        folder = self._at(step)
        try:
            state = CheckpointState.model_validate_json(folder.read(STATE))
            damaged = [
                name
                for name, digest in sorted(state.files.items())
                if hashlib.sha256(folder.read(name)).hexdigest() != digest
            ]
        except FileNotFoundError as error:
            logger.warning("checkpoint %s is skipped: it is not complete (%s)", folder.uri, error)
            return None
        except ValidationError as error:
            logger.warning(
                "checkpoint %s is skipped: its %s cannot be read (%s)", folder.uri, STATE, error.errors()[0]["msg"]
            )
            return None
        if damaged:
            logger.warning("checkpoint %s is skipped: %s is damaged", folder.uri, ", ".join(damaged))
            return None
        return Checkpoint(state, folder)

    def _roll_backs_before(self, step: int) -> int:
        """None, where the checkpoint is not whole."""
        try:
            return CheckpointState.model_validate_json(self._at(step).read(STATE)).roll_backs
        except (FileNotFoundError, ValidationError):
            return 0

    def _at(self, step: int) -> Folder:
        return self.folder.sub(f"{step:08d}")

    def _steps(self) -> list[int]:
        return [int(name) for name in self.folder.names() if name.isdecimal()]


def compression_state(checkpoint: Checkpoint, rank: int, world_size: int) -> "dict[str, torch.Tensor]":
    """The compression state for a rank: its own at the size it was saved at, everybody's at another.

    The mean over the saved ranks, and the sum of what one rank keeps for all, keep what all residuals together add to the
    next average, so nothing is lost when the group changes size.
    """
    saved = checkpoint.state.world_size
    if saved == world_size:
        return checkpoint.tensors(compression_file(rank))
    total: dict[str, torch.Tensor] = {}
    for number in range(saved):
        for key, tensor in checkpoint.tensors(compression_file(number)).items():
            total[key] = total[key] + tensor if key in total else tensor
    return {key: tensor if key.startswith(SHARD) else tensor / saved for key, tensor in total.items()}
