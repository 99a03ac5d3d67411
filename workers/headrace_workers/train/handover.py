"""What a rank hands to one that joins: the state that all have in common between two moves, as bytes that nobody unpickles.

Eight bytes with the length of a JSON document, the document, and tensors as safetensors.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from headrace.api.base import Model
from headrace.api.run_report import CheckpointReference, CurvePoint, RolledBack, Traffic
from headrace_workers.train.divergence import Diverged, LossHistory
from headrace_workers.train.own_copies import own_copies

if TYPE_CHECKING:
    import torch

LENGTH_BYTES = 8


class Common(Model):
    """What is not a tensor."""

    moves: Annotated[int, Field(ge=0, description="Moves done.")]
    pending: Annotated[tuple[str, ...], Field(description="The moves that come next.")]
    step: Annotated[int, Field(ge=0, description="Steps done.")]
    agreed_step: Annotated[int, Field(ge=0, description="The last step but one that ended a round.")]
    next_talk: Annotated[int, Field(ge=0, description="The step at which ranks talk next, at the latest.")]
    tells: Annotated[bool, Field(description="Whether the leader reports when what is pending is done.")]
    stopping: Annotated[bool, Field(description="Whether the run stops then.")]
    regroups: Annotated[bool, Field(description="Whether the group is formed anew then.")]
    resumed_from: Annotated[int | None, Field(description="The step that the run resumed from.")]
    metrics: Annotated[dict[str, float] | None, Field(description="The evaluation at this step.")]
    curve: Annotated[tuple[CurvePoint, ...], Field(description="The run's curve.")]
    point: Annotated[bool, Field(description="Whether this step is a point of the curve.")]
    saved: Annotated[CheckpointReference | None, Field(description="The checkpoint of this step.")]
    window_loss: Annotated[float, Field(description="The sum of training losses since the curve's last point.")]
    window_steps: Annotated[float, Field(description="The steps of that sum.")]
    rate: Annotated[float, Field(description="Steps a second.")]
    traffic: Annotated[Traffic, Field(description="What gradients cost a rank so far.")]
    roll_backs: Annotated[tuple[RolledBack, ...], Field(description="The roll-backs of the run.")] = ()
    diverged: Annotated[Diverged | None, Field(description="What the next roll-back undoes.")] = None
    history: Annotated[LossHistory, Field(description="What a spike of the loss is measured against.")] = LossHistory()
    saving: Annotated[int | None, Field(description="The step of the checkpoint that is being written.")] = None
    owes_save: Annotated[bool, Field(description="Whether the next step that ends a round is saved.")] = False
    waits: Annotated[bool, Field(description="Whether nothing is done before what is saved now exists.")] = False


def packed(common: Common, tensors: "Mapping[str, torch.Tensor]") -> bytes:
    """The bytes that travel."""
    import safetensors.torch

    # Not by pydantic, which has nulls for numbers that are not finite, as those of a training that has diverged.
    document = json.dumps(common.model_dump(mode="json", by_alias=True)).encode()
    return len(document).to_bytes(LENGTH_BYTES, "big") + document + safetensors.torch.save(own_copies(tensors))


def unpacked(data: bytes) -> "tuple[Common, dict[str, torch.Tensor]]":
    """What travelled; ValueError if it is not what `packed` makes."""
    import safetensors.torch

    length = int.from_bytes(data[:LENGTH_BYTES], "big")
    document, tensors = data[LENGTH_BYTES : LENGTH_BYTES + length], data[LENGTH_BYTES + length :]
    try:
        return Common.model_validate_json(document), safetensors.torch.load(tensors)
    except safetensors.SafetensorError as error:
        raise ValueError(f"what was handed over cannot be read: {error}") from error
