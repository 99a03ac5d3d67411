"""The type that a network computes in: mixed precision (Micikevicius et al., 2018).

Parameters, optimizer state and all gradients that leave a rank are float32. What float16 cannot hold of small gradients
is saved by a factor on the loss, the same on all ranks that take a step together.
"""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch

from headrace.api.train_job import Precision
from headrace_workers.faults import RunFault

TYPES = {Precision.BFLOAT16: torch.bfloat16, Precision.FLOAT16: torch.float16}
FIRST_SCALE = 2.0**16
SMALLEST_SCALE = 1.0
"""Where gradients overflow without any help, a smaller scale is none."""
LARGEST_SCALE = 2.0**24
GROWS_AFTER_STEPS = 2000
SCALE = "scale/loss"


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Within, the network's operations are done in that type where that is known to do no harm."""
    if precision == Precision.FLOAT32:
        return nullcontext()
    try:
        return torch.autocast(device.type, TYPES[precision])
    except RuntimeError as error:
        message = f"precision {precision} cannot be had on {device}: {error}; use another precision"
        raise RunFault("PrecisionNotSupported", message) from error


class LossScale:
    """The factor: a power of two, halved after a step whose gradients overflowed and doubled after many that did not."""

    def __init__(self) -> None:
        """Starts high: the first steps find where it belongs."""
        self.value = FIRST_SCALE
        self.skipped = 0
        """Steps that changed nothing."""
        self._good_steps = 0

    def took_step(self) -> None:
        """Counts a step whose gradients were finite."""
        self._good_steps += 1
        if self._good_steps >= GROWS_AFTER_STEPS:
            self.value, self._good_steps = min(2 * self.value, LARGEST_SCALE), 0

    def skip(self) -> bool:
        """Counts a step whose gradients were not; whether there is a smaller scale to try."""
        self.skipped += 1
        if self.value <= SMALLEST_SCALE:
            return False
        self.value, self._good_steps = self.value / 2, 0
        return True

    def restart(self) -> None:
        """Looks anew for where it belongs, as training goes another way."""
        self.value, self._good_steps = FIRST_SCALE, 0

    def state(self) -> dict[str, torch.Tensor]:
        """What `restore` takes."""
        return {SCALE: torch.tensor([self.value, self._good_steps, self.skipped], dtype=torch.float64)}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Goes on with another's scale, or where there is none with its own."""
        if SCALE in tensors:
            value, good, skipped = tensors[SCALE].tolist()
            # The mean of several ranks' is no power of two, by which alone nothing is rounded.
            self.value, self._good_steps, self.skipped = 2.0 ** math.floor(math.log2(value)), int(good), int(skipped)
