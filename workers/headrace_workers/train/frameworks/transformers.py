"""The Trainer of transformers on a run, in a loop of the user's own.

def train(run: Run) -> None:
    RunTrainer(run, run.module, lambda batch: {"inputs": batch.inputs, "labels": batch.targets}).train()
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import transformers

from headrace_workers.faults import RunFault
from headrace_workers.train.frameworks.run_optimizer import RunOptimizer
from headrace_workers.train.own_loop import Batch, Run

DECIDED: Mapping[str, Any] = {
    "gradient_accumulation_steps": 1, "max_grad_norm": 0.0, "bf16": False, "fp16": False,
    "torch_compile": False, "max_steps": sys.maxsize // 2**20, "save_strategy": "no", "report_to": "none",
    "eval_strategy": "no", "lr_scheduler_type": "constant",
}  # fmt: skip
"""What the manifest decides, or has no meaning where a run saves, evaluates and tells trackers itself."""
DECIDED_TOO = ("activation_checkpointing", "gradient_checkpointing", "learning_rate", "per_device_train_batch_size")


class RunTrainer(transformers.Trainer):
    """A Trainer whose batches and steps are the run's. Its callbacks and its `compute_loss` are as ever."""

    def __init__(
        self, run: Run, model: torch.nn.Module, inputs_of: Callable[[Batch], dict[str, torch.Tensor]],
        arguments: Mapping[str, Any] | None = None, **named: Any,
    ) -> None:  # fmt: skip
        """`inputs_of` makes keyword arguments of `model`, which is the run's module or a part of it, of a batch; `arguments` are fields of TrainingArguments.

        RunFault for a field that is the manifest's to decide.
        """
        for name in sorted({*(arguments or {})} & {*DECIDED, *DECIDED_TOO}):
            message = f"{name} of TrainingArguments is decided by the TrainJob, which exchanges gradients, saves and evaluates itself; set it there, or leave it out"
            raise RunFault("LoopFailed", message)
        self._run, self._inputs_of = run, inputs_of
        fields = {"output_dir": tempfile.gettempdir(), "use_cpu": run.device.type == "cpu", "disable_tqdm": True, **(arguments or {}), **DECIDED}  # fmt: skip
        optimizer = RunOptimizer(run)
        constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
        super().__init__(model, transformers.TrainingArguments(**fields), optimizers=(optimizer, constant), **named)

    def get_train_dataloader(self) -> "_Batches":  # type: ignore[override]
        """The run's batches, none of them fetched ahead."""
        return _Batches(self._run, self._inputs_of)

    def get_batch_samples(self, *arguments: Any) -> Any:
        """A batch; when there is none left, training ends."""
        samples, _ = super().get_batch_samples(*arguments)
        if not samples:
            self.control.should_training_stop = True
        # The loss of a batch is the mean over it; what other ranks have is the run's business.
        return samples, None

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Makes the batch's gradient, in the manifest's precision."""
        model.train()
        with self._run.computing():
            loss = self.compute_loss(model, self._prepare_inputs(inputs), num_items_in_batch=num_items_in_batch)
        self._run.backward(loss)
        return loss.detach()


class _Batches:
    """What the Trainer goes through."""

    def __init__(self, run: Run, inputs_of: Callable[[Batch], dict[str, torch.Tensor]]) -> None:
        self._run, self._inputs_of = run, inputs_of

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return map(self._inputs_of, self._run.batches())
