"""What a rank hands to one that joins."""

import math

import pytest
import torch

from headrace.api.run_report import CurvePoint, RolledBack, Traffic
from headrace_workers.train.divergence import Diverged
from headrace_workers.train.handover import Common, packed, unpacked

NAN = float("nan")
UNDONE = RolledBack(from_step=9, to_step=0, learning_rate=0.1, reason="LossNotFinite", message="the loss is nan")
COMMON = Common(
    moves=3, pending=("RollBack",), step=2, agreed_step=1, next_talk=3, tells=True, stopping=False, regroups=False,
    resumed_from=None, metrics={"loss": NAN}, curve=(CurvePoint(step=2, values={"loss": math.inf}),), point=True, saved=None,
    window_loss=1.0, window_steps=1.0, rate=2.0, traffic=Traffic(), roll_backs=(UNDONE,),
    diverged=Diverged(reason="WeightsNotFinite", message="they are not finite", good_until=1),
)  # fmt: skip


def test_what_is_not_finite_travels() -> None:
    """A rank may join when the others have diverged and have yet to go back."""
    common, tensors = unpacked(packed(COMMON, {"w": torch.tensor([1.0, NAN])}))
    assert common.metrics and math.isnan(common.metrics["loss"])
    assert common.curve == COMMON.curve
    assert (common.diverged, common.roll_backs) == (COMMON.diverged, COMMON.roll_backs)
    assert tensors["w"].isnan().tolist() == [False, True]


def test_garbage_is_no_handover() -> None:
    """ValueError, whatever it is."""
    data = packed(COMMON, {"w": torch.ones(3)})
    for wrong in (b"", data[:-4], data[: len(data) // 2]):
        with pytest.raises(ValueError, match=r"."):
            unpacked(wrong)
