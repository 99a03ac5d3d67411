"""Lightning's Trainer on a run, in a loop of the user's own.

def train(run: Run) -> None:
    module = Classifier(run.module)  # a LightningModule whose configure_optimizers returns RunOptimizer(run)
    fit(run, module)
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins import Precision

from headrace_workers.faults import RunFault
from headrace_workers.train.own_loop import Batch, Run

DECIDED: Mapping[str, Any] = {
    "accumulate_grad_batches": 1, "gradient_clip_val": None, "precision": None, "max_epochs": 1, "max_steps": -1, "devices": 1,
    "num_nodes": 1, "strategy": "auto", "enable_checkpointing": False, "logger": False, "limit_val_batches": 0,
}  # fmt: skip
"""What the manifest decides, or has no meaning where a run saves, evaluates and tells trackers itself."""
UNKNOWN_LENGTH = sys.maxsize // 2**20
"""More batches than any run has: Lightning would fetch one ahead of an iterable of no length."""


def fit(run: Run, module: lightning.LightningModule, **arguments: Any) -> None:
    """Trains a module whose training_step takes a `Batch` and returns its mean loss; `arguments` are the Trainer's.

    RunFault for an argument that is the manifest's to decide.
    """
    for name in sorted({*arguments} & {*DECIDED, "plugins", "accelerator"}):
        message = f"{name} of Lightning's Trainer is decided by the TrainJob, which exchanges gradients, saves and evaluates itself; set it there, or leave it out"
        raise RunFault("LoopFailed", message)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    accelerator = "gpu" if run.device.type == "cuda" else "cpu"
    trainer = lightning.Trainer(
        **{**quiet, **arguments, **DECIDED}, accelerator=accelerator, plugins=[RunPrecision(run)]
    )
    trainer.fit(module, train_dataloaders=_Batches(run))


class RunPrecision(Precision):
    """Has the forward pass computed in the manifest's precision, and the backward pass weighted and scaled as the run needs it."""

    def __init__(self, run: Run) -> None:
        """Of one run."""
        self._run = run

    def forward_context(self) -> AbstractContextManager[None]:
        """The manifest's precision."""
        return self._run.computing()

    def backward(self, tensor: torch.Tensor, model: Any, optimizer: Any, *arguments: Any, **named: Any) -> None:
        """The run's."""
        self._run.backward(tensor)


class _Batches:
    """What the Trainer goes through."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __len__(self) -> int:
        return UNKNOWN_LENGTH

    def __iter__(self) -> Iterator[Batch]:
        return self._run.batches()
