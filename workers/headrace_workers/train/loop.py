"""One rank's training loop: the same for a run over many workers and for a single-process trial.

Everything random is a function of (seed, epoch) or (seed, step, rank), so a run that resumes from a checkpoint at the
same world size ends with the same bits. It never talks to Ray, to the report or to the operator: callbacks do.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext

import torch

from headrace.api.run_report import CheckpointReference, CurvePoint, Traffic
from headrace.api.train_job import OptimizerName, TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.models import build_network
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import (
    OPTIMIZER,
    WEIGHTS,
    Checkpoints,
    CheckpointState,
    DataSchema,
    compression_file,
    compression_state,
)
from headrace_workers.train.compression import attach, local_steps
from headrace_workers.train.dataset import TRAIN, LoadedDataset, load_dataset
from headrace_workers.train.group import Group
from headrace_workers.train.guarded import Guarded
from headrace_workers.train.losses import criterion_of
from headrace_workers.train.metrics import evaluate, require_defined
from headrace_workers.train.optimizers import optimizer_of, optimizer_tensors, restore_optimizer
from headrace_workers.train.order import Order, seed_everything, share
from headrace_workers.train.progress import FitResult, Snapshot
from headrace_workers.train.window import Window

__all__ = ["FitResult", "Group", "Snapshot", "fit", "load_dataset"]

INNER = "inner/"
"""Starts the names of a rank's own optimizer's state, where optimizers differ."""
CURVE_POINTS = 100
MOST_CURVE_POINTS = 1000
"""Points kept of a curve whose every step is evaluated: then every second is dropped."""


def fit(
    spec: TrainJobSpec,
    data: LoadedDataset,
    storage: Folder,
    *,
    group: Group,
    on_progress: Callable[[Snapshot], None],
    should_stop: Callable[[], bool],
    checkpoints: Folder | None = None,
    on_start: Callable[[int | None], None] = lambda resumed_from: None,
) -> FitResult:
    """Trains to the end and leaves a checkpoint of the last step in `checkpoints` (absent: checkpoints/ of `storage`).

    `on_start` hears the step that the loop resumes from, or none. `on_progress` is called on rank 0, several times a
    second at most, at every evaluation and at every checkpoint; what it raises ends the loop. When `should_stop` is true
    on any rank, all ranks save a checkpoint and raise Interrupted.
    """
    store = Checkpoints(checkpoints or storage.sub("checkpoints"), spec.checkpoints.keep)
    training = Training(spec, data, store, group)
    resumed_from = training.resume()
    on_start(resumed_from)
    while training.step < training.total:
        training.advance()
        if not training.talks:
            continue
        stopping = training.talk(should_stop())
        if training.evaluates:
            training.evaluate()
        if training.marks:
            training.mark()
        saved = training.save() if training.saves or stopping else None
        if group.leads:
            on_progress(training.snapshot(saved))
        if stopping and training.step < training.total:
            raise Interrupted
    return FitResult(dict(training.metrics or {}), training.step, resumed_from, training.traffic)


class Training:
    """The state of one rank's training between two steps, and the ways it moves on."""

    def __init__(self, spec: TrainJobSpec, data: LoadedDataset, store: Checkpoints, group: Group) -> None:
        """Builds network, optimizer and gradient exchange; RunFault says what of the spec or the data does not fit."""
        for split in (TRAIN, spec.evaluation.split):
            if not len(data.splits.get(split, ())):
                raise RunFault(
                    "SplitMissing",
                    f"the dataset has no records in split {split}, only in {', '.join(sorted(data.splits)) or 'none'}; add a split step",
                )
        self._spec, self._data, self._store, self._group = spec, data, store, group
        self._train = data.splits[TRAIN]
        self._order = Order(spec.seed, len(self._train), spec.batch_size)
        self._criterion = criterion_of(spec.loss, data)
        require_defined(spec.evaluation.metrics, self._criterion, data)
        seed_everything(spec.seed)
        name = str(spec.model.builtin or spec.model.module)
        self._network = Guarded(
            build_network(spec.model, data.shape, self._criterion.outputs), name, self._criterion.outputs
        )
        trainable = {
            name: parameter for name, parameter in self._network.network.named_parameters() if parameter.requires_grad
        }
        if not trainable:
            raise RunFault("ModelFailed", f"{name} has no parameters to train; return a network that has")
        self._model = group.prepare(self._network)
        self._device = next(iter(trainable.values())).device
        # With topK it is the exchange that has the momentum: what is not sent has none.
        momentum = (
            spec.optimizer.momentum if spec.compression.top_k and spec.optimizer.name == OptimizerName.SGD else 0.0
        )
        self._exchange = attach(spec.compression, self._model, trainable, spec.seed, momentum)
        inner = spec.optimizer.model_copy(update={"momentum": 0.0}) if momentum and self._exchange else spec.optimizer
        self._optimizer = optimizer_of(inner, self._network.network)
        self._rounds = local_steps(spec.compression, self._network.network, trainable, self._exchange)
        self._agreed_step = 0
        """The last step before this one after which all ranks had the same parameters."""
        self._window = Window()
        self._curve: tuple[CurvePoint, ...] = ()
        self._earlier_traffic = Traffic()
        self._next_talk = 1
        self._point, self._mean = False, 0.0
        self.step = 0
        self.total = spec.steps if spec.steps is not None else self._order.steps_per_epoch * (spec.epochs or 1)
        self.metrics: dict[str, float] | None = None

    def resume(self) -> int | None:
        """Goes back to the newest whole checkpoint, which all ranks agree on, and returns its step; none if there is none."""
        newest = self._store.newest() if self._group.leads else None
        step = self._group.from_leader(newest.state.step if newest else -1)
        if step < 0:
            return None
        checkpoint = newest or self._store.read(step)
        if checkpoint is None:
            raise OSError(
                f"rank {self._group.rank} cannot read checkpoint {step} of {self._store.folder.uri}, which rank 0 can; use storage that all pods share"
            )
        state = checkpoint.state
        try:
            self._network.network.load_state_dict(checkpoint.tensors(WEIGHTS))
            restore_optimizer(self._optimizer, self._network.network, checkpoint.tensors(OPTIMIZER))
        except (RuntimeError, KeyError) as error:
            message = f"checkpoint {checkpoint.folder.uri} does not fit the model: {error}; did the code change? Delete the checkpoints to start anew"
            raise RunFault("CheckpointMismatch", message) from error
        if self._exchange:
            kept = compression_state(checkpoint, self._group.rank, self._group.world_size)
            self._exchange.restore({name: each for name, each in kept.items() if not name.startswith(INNER)})
            if self._rounds:
                self._rounds.restore(kept)
                inner = {name.removeprefix(INNER): each for name, each in kept.items() if name.startswith(INNER)}
                restore_optimizer(self._optimizer, self._network.network, inner)
        self._window = Window(state.window_loss, state.window_steps)
        self._curve, self._earlier_traffic, self.metrics = state.curve, state.traffic, state.metrics
        self.step, self._next_talk = state.step, state.step + 1
        self._agreed_step = state.step
        return state.step

    def advance(self) -> None:
        """One optimizer step on this rank's share of the next global batch."""
        if self._agrees:
            self._agreed_step = self.step
        self.step += 1
        self._point, self.metrics = False, None
        self._network.step = self.step
        if self._exchange:
            self._exchange.step = self.step
        batch = self._order.batch(self.step)
        mine = share(batch, self._group.rank, self._group.world_size)
        # A rank without a record still takes part in the exchange: with one record of weight zero.
        taken, counts = (mine, 1.0) if len(mine) else (batch[:1], 0.0)
        seed_everything(self._spec.seed, self.step, self._group.rank)
        self._optimizer.zero_grad()
        with self._model.no_sync() if self._rounds else nullcontext():
            answers = self._model(self._train.inputs[taken].to(self._device))
            weight = self._criterion.weight(self._train.targets[batch]).to(self._device)
            loss = counts * self._criterion.sum(answers, self._train.targets[taken].to(self._device)) / weight
            # The exchange divides the sum over ranks by their number; the shares already add up to the mean.
            (loss * self._group.world_size).backward()
        self._optimizer.step()
        self._window.add(loss.detach())
        if self._rounds and self._agrees:
            self._rounds.finish(self.step - self._agreed_step)

    @property
    def _agrees(self) -> bool:
        """Whether all ranks have the same parameters after this step: the same answer on all of them."""
        return self._rounds is None or self.step == self.total or self._rounds.ends(self.step)

    def _is_due(self, every: int) -> bool:
        """Whether something that is done every so many steps is done after this one: what falls within a round waits for its end."""
        return self._agrees and self.step // every > self._agreed_step // every

    @property
    def talks(self) -> bool:
        """Whether ranks talk after this step: the same answer on all of them."""
        return (self._agrees and self.step >= self._next_talk) or self.evaluates or self.marks or self.saves

    @property
    def evaluates(self) -> bool:
        """Whether this step is followed by an evaluation."""
        return self.step == self.total or self._is_due(self._spec.evaluation.every_steps)

    @property
    def marks(self) -> bool:
        """Whether this step is a point of the curve."""
        first = self.step == 1 and self._agrees
        return self.evaluates or first or self._is_due(max(1, self.total // CURVE_POINTS))

    @property
    def saves(self) -> bool:
        """Whether this step is followed by a checkpoint."""
        return self.step == self.total or self._is_due(self._spec.checkpoints.every_steps)

    def talk(self, stop: bool) -> bool:
        """Adds up the losses over the ranks and returns whether any of them wants to stop; RunFault if the loss is lost."""
        heard = self._group.add_up(torch.cat([self._window.share, torch.tensor([float(stop)], dtype=torch.float64)]))
        loss, seconds, stops = (float(value) for value in heard)
        if not math.isfinite(loss):
            message = f"the training loss is {loss} at step {self.step}; lower optimizer.learningRate, or look for values that are not finite in the dataset"
            raise RunFault("LossNotFinite", message)
        self._next_talk = self.step + self._window.take(loss, seconds / self._group.world_size)
        return stops > 0

    def evaluate(self) -> None:
        """Measures the evaluation split, all ranks together."""
        split = self._data.splits[self._spec.evaluation.split]
        rank, world_size = self._group.rank, self._group.world_size
        self.metrics = evaluate(
            self._network,
            split,
            self._criterion,
            self._spec.evaluation.metrics,
            rank=rank,
            world_size=world_size,
            add_up=self._group.add_up,
        )

    def mark(self) -> None:
        """Adds a point to the curve."""
        self._point, self._mean = True, self._window.mean
        curve = (*self._curve, CurvePoint(step=self.step, values={"trainLoss": self._mean, **(self.metrics or {})}))
        self._curve = curve if len(curve) <= MOST_CURVE_POINTS else (*curve[:-1:2], curve[-1])
        self._window.close_point()

    def save(self) -> CheckpointReference | None:
        """Writes a checkpoint, all ranks together; rank 0 gets its reference."""
        digest = bytes(32)
        if state := self._kept_by_rank():
            digest = bytes.fromhex(self._store.write(self.step, compression_file(self._group.rank), state))
        digests = self._group.gather_bytes(digest)
        if not self._group.leads:
            return None
        files = {compression_file(rank): digest.hex() for rank, digest in enumerate(digests) if any(digest)}
        files[WEIGHTS] = self._store.write(self.step, WEIGHTS, self._network.network.state_dict())
        files[OPTIMIZER] = self._store.write(
            self.step, OPTIMIZER, optimizer_tensors(self._optimizer, self._network.network)
        )
        schema = DataSchema(
            features=self._data.features, target=self._data.target, shape=self._data.shape, classes=self._data.classes
        )
        return self._store.commit(
            CheckpointState(
                step=self.step, epoch=self._order.epoch(self.step), seed=self._spec.seed, world_size=self._group.world_size, data=schema,
                metrics=self.metrics, curve=self._curve, window_loss=self._window.loss, window_steps=self._window.steps,
                traffic=self.traffic, files=files,
            )
        )  # fmt: skip

    def _kept_by_rank(self) -> dict[str, torch.Tensor]:
        """What this rank alone knows: what its exchange owes, and with local steps its own optimizer's state."""
        state = self._exchange.state() if self._exchange else {}
        if self._rounds is None:
            return state
        own = optimizer_tensors(self._optimizer, self._network.network)
        return {**state, **self._rounds.state(), **{f"{INNER}{name}": tensor for name, tensor in own.items()}}

    @property
    def traffic(self) -> Traffic:
        """What gradients cost this rank, earlier attempts included."""
        if not self._exchange:
            return self._earlier_traffic
        return Traffic(
            bytes_sent=self._earlier_traffic.bytes_sent + self._exchange.bytes_sent,
            bytes_uncompressed=self._earlier_traffic.bytes_uncompressed + self._exchange.bytes_uncompressed,
            encoding_seconds=self._earlier_traffic.encoding_seconds + self._exchange.encoding_seconds,
            method=self._exchange.method,
        )

    def snapshot(self, saved: CheckpointReference | None) -> Snapshot:
        """What rank 0 says about this step."""
        loss = self._mean if self._point else self._window.mean
        epoch = self._order.epoch(self.step)
        return Snapshot(
            self.step, self.total, epoch, loss, self._window.rate, self.metrics, self._point, saved, self.traffic
        )
