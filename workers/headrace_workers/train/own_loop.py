"""A user's own training loop, imported as `package.file:function`, and the three calls by which it gets all that is around it.

    def train(run: Run) -> None:
        for batch in run.batches():
            loss = torch.nn.functional.cross_entropy(run.network(batch.inputs), batch.targets)
            run.backward(loss)
            run.step()

Between two batches ranks come and go, checkpoints are written, the evaluation split is measured. The loop begins where the
newest checkpoint, or a peer, left off: it keeps nothing that would have to be restored.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from headrace.api.train_job import OwnLoop
from headrace_workers.faults import RunFault
from headrace_workers.models.user_module import user_fault, user_function
from headrace_workers.train.guarded import Guarded

if TYPE_CHECKING:
    from headrace_workers.train.loop import Loop


# Not frozen: Lightning copies what a training_step is given, and refuses dataclasses that are.
@dataclass
class Batch:
    """Records of this rank that go through the network at once, on its device: inputs (n, *shape), targets (n,)."""

    inputs: torch.Tensor
    targets: torch.Tensor
    weight: float
    """Its share of the records of the step, over all ranks: 0 for the one record of a rank that has none."""
    step: int
    """The step that it is of, from 1 on."""
    ends_step: bool
    """Whether `Run.step` takes the step after it: with microBatchSize a step has several batches."""


class Run:
    """What a loop is given: the network, and its three calls batches, backward and step."""

    def __init__(self, loop: "Loop") -> None:
        """Nothing is done yet."""
        self._loop = loop
        self._batch: Batch | None = None
        self._has_gradient = False
        self.raised: Exception | None = None
        """What one of the calls raised: it goes through the loop to those who know what to do."""

    @property
    def network(self) -> Guarded:
        """The network, computing in the spec's precision: ask for it in each step, for a roll-back makes another one."""
        return self._loop.training.learner.network

    @property
    def module(self) -> torch.nn.Module:
        """The network as `model` builds it."""
        return self.network.network

    @property
    def device(self) -> torch.device:
        """Of the network and of batches."""
        return torch.device(self._loop.training.learner.device)

    @property
    def learning_rate(self) -> float:
        """The manifest's, or what roll-backs left of it."""
        return self._loop.training.learner.learning_rate

    @property
    def rolls_back(self) -> bool:
        """Whether a loss that diverges has training go back, to a network of its own."""
        return self._loop.training.rolls_back

    def computing(self) -> AbstractContextManager[None]:
        """The manifest's precision, for a network that is not called by `network`."""
        return self.network.computing(self.device)

    @property
    def total(self) -> int:
        """How many steps the run has."""
        return self._loop.training.total

    def batches(self) -> Iterator[Batch]:
        """Batches until training is done. Those of a step that failed for want of a peer come again, shared out anew."""
        while self._goes_on():
            training = self._loop.training
            share, learner = training.begin_step(), training.learner
            step, records = training.step + 1, len(share.batch)
            for part in share.parts:
                self._batch = Batch(
                    learner.inputs(part), learner.targets(part), share.counts * len(part) / records, step,
                    part is share.parts[-1],
                )  # fmt: skip
                self._has_gradient = False
                yield self._batch
                self._require_step()

    def backward(self, loss: torch.Tensor) -> None:
        """Adds the gradient of the batch's mean loss; a second call for the same batch adds another loss to it."""
        with self._passes():
            if self._batch is None:
                raise RunFault(
                    "LoopFailed", "run.backward was called without a batch; call it once for each of run.batches()"
                )
            self._loop.training.learner.backward(loss * self._batch.weight)
            self._has_gradient = True

    def step(self) -> None:
        """Has the optimizer step taken, with the gradients of all ranks, once all batches of the step have theirs."""
        with self._passes():
            if self._batch is None or not self._has_gradient:
                raise RunFault(
                    "LoopFailed", "run.step was called before run.backward; call both for each of run.batches()"
                )
            batch, self._batch = self._batch, None
            if batch.ends_step:
                self._loop.make_move()

    def _goes_on(self) -> bool:
        with self._passes():
            return self._loop.until_step()

    def _require_step(self) -> None:
        if self._batch is not None:
            with self._passes():
                message = f"the loop went on to the next batch in step {self._batch.step} without run.step(); call it after run.backward for each of run.batches()"
                raise RunFault("LoopFailed", message)

    @contextmanager
    def _passes(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.raised = error
            raise


def run_own_loop(own: OwnLoop, loop: "Loop") -> None:
    """Trains to the end; RunFault if the loop raises or leaves off before, and whatever its calls raised."""
    function, run = user_function(own.module, "loop"), Run(loop)
    try:
        function(run, **own.parameters)
    except Exception as error:
        if isinstance(error, RunFault) or run.raised:
            raise (run.raised or error) from None
        raise user_fault("loop", own.module, error, loop.training.step + 1) from error
    if run.raised:
        raise run.raised
    if loop.until_step():
        message = f"{own.module} returned in step {loop.training.step + 1} of {loop.training.total}; have it go through run.batches() to the end"
        raise RunFault("LoopFailed", message)
