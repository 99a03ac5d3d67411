"""What a trainer of another library takes for its optimizer: its step is the run's."""

from collections.abc import Callable
from typing import Any

import torch

from headrace_workers.faults import RunFault
from headrace_workers.train.own_loop import Run


class RunOptimizer(torch.optim.Optimizer):
    """The manifest's optimizer on the run's parameters. The gradients that it steps by are those of all ranks."""

    def __init__(self, run: Run) -> None:
        """RunFault where the run may go back: the network would then be another one, which the library does not know."""
        if run.rolls_back:
            message = "recovery.onDivergence.rollBack makes a new network, which the trainer of another library cannot take; use fail, or a loop with run.network"
            raise RunFault("NotSupported", message)
        self._run, self._rate = run, run.learning_rate
        super().__init__([each for each in run.module.parameters() if each.requires_grad], {"lr": self._rate})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Ends the batch; `closure` makes its gradient, and is called once. RunFault if somebody changed the learning rate."""
        with torch.enable_grad():
            loss = closure() if closure else None
        if any(group["lr"] != self._rate for group in self.param_groups):
            message = "a scheduler changed the learning rate, which is the manifest's (optimizer.schedule); leave the scheduler out"
            raise RunFault("LoopFailed", message)
        self._run.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Does nothing: gradients are zeroed when a step begins."""
