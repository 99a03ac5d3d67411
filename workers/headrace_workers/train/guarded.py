"""The user's network with a guard around its forward pass, so that its own faults are told from those of the group.

An exception of the network's code passes through here, one of a lost peer does not.
"""

from contextlib import AbstractContextManager

import torch

from headrace.api.train_job import Precision
from headrace_workers.faults import RunFault
from headrace_workers.models.user_module import user_fault
from headrace_workers.train.compiled import faults_of_compiling
from headrace_workers.train.precision import computing_in


class Guarded(torch.nn.Module):
    """Calls the network; what that raises, or an answer of the wrong shape, becomes a RunFault that names the step."""

    def __init__(
        self, network: torch.nn.Module, name: str, outputs: int, precision: Precision = Precision.FLOAT32,
        positions: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        """Wraps `network`, which a spec calls `name` and which should answer (n, *positions, outputs), however precisely it computes."""
        super().__init__()
        self.network = network
        self.name = name
        self.outputs = outputs
        self.positions = positions
        self._precision = precision
        self.step = 0

    def computing(self, device: torch.device) -> AbstractContextManager[None]:
        """The precision of the forward pass."""
        return computing_in(self._precision, device)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, *shape) to (n, *positions, outputs), float32 unless the network itself has another type: losses are sums of many."""
        try:
            with self.computing(inputs.device), faults_of_compiling(self.name):
                answers = self.network(inputs)
        except RunFault:
            raise
        except Exception as error:
            raise user_fault("model", self.name, error, self.step) from error
        wanted = (len(inputs), *self.positions, self.outputs)
        if not isinstance(answers, torch.Tensor) or (
            answers.shape != wanted and (self.outputs > 1 or answers.shape != wanted[:1])
        ):
            found = f"shape {tuple(answers.shape)}" if isinstance(answers, torch.Tensor) else type(answers).__name__
            raise RunFault(
                "ModelFailed",
                f"{self.name} answered {found} for {len(inputs)} inputs where {wanted} was needed, step {self.step}; correct the model",
            )
        return (answers if self._precision == Precision.FLOAT32 else answers.float()).reshape(wanted)
