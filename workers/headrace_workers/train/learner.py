"""What learns: a network with its optimizer, and the gradients that it exchanges with the other ranks'."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from headrace.api.optimizer import OptimizerName
from headrace.api.run_report import Traffic
from headrace.api.train_job import Precision, TrainJobSpec
from headrace_workers.faults import RunFault
from headrace_workers.models import build_network
from headrace_workers.train.activation_checkpointing import checkpoint_activations
from headrace_workers.train.bucket import Bucket
from headrace_workers.train.checkpoints import OPTIMIZER, WEIGHTS, Checkpoint, compression_state
from headrace_workers.train.compiled import compile_in_place, faults_of_compiling
from headrace_workers.train.compression import GradientExchange, exchange_of, local_steps
from headrace_workers.train.dataset import TRAIN, LoadedDataset
from headrace_workers.train.gradient_clipping import clip
from headrace_workers.train.group import Group
from headrace_workers.train.guarded import Guarded
from headrace_workers.train.lora import Adapters
from headrace_workers.train.losses import Criterion
from headrace_workers.train.matching import is_under, matched, require_known
from headrace_workers.train.optimizers import optimizer_of, optimizer_tensors, restore_optimizer
from headrace_workers.train.order import seed_everything, share
from headrace_workers.train.own_time import OwnTime
from headrace_workers.train.precision import SCALE, LossScale

INNER = "inner/"
"""Starts the names of a rank's own optimizer's state, where optimizers differ."""
NETWORK, MOMENTS, EXCHANGE, ROUND = "network/", "optimizer/", "exchange/", "round/"
"""Start the names of what all ranks have in common."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Learned:
    """What a step came to: this rank's share of the mean loss, and whether the step was skipped and changed nothing.

    With `hopeless` the next would be skipped, too: no scale of the loss is left to try. The loss is then no number.
    """

    loss: torch.Tensor
    skipped: bool = False
    hopeless: bool = False


@dataclass(frozen=True)
class Share:
    """A rank's share of a global batch of records, which are indices into the training split."""

    batch: torch.Tensor
    parts: tuple[torch.Tensor, ...]
    """The rank's records, as many at once as may go through the network."""
    counts: float
    """1, or 0 where the rank has no record and is given one that does not count."""


class Learner:
    """One rank's share of the learning. All ranks start with the same parameters, and have the same after each step or round."""

    def __init__(self, spec: TrainJobSpec, data: LoadedDataset, criterion: Criterion, group: Group) -> None:
        """Builds network, optimizer and gradient exchange; RunFault says what of the spec does not fit."""
        self._seed, self._train, self._criterion, self._group = spec.seed, data.splits[TRAIN], criterion, group
        seed_everything(spec.seed)
        name = str(spec.model.builtin or spec.model.module)
        self.network = Guarded(
            build_network(spec.model, data.shape, criterion.outputs, data.vocabulary), name, criterion.outputs, spec.precision,
            criterion.positions,
        )  # fmt: skip
        inner = self.network.network
        self._anew = spec.model.from_.except_ if spec.model.from_ else ()
        self._adapters = Adapters(inner, spec.model.lora, self._anew) if spec.model.lora else None
        _freeze(inner, spec.model.freeze)
        if spec.activation_checkpointing:
            checkpoint_activations(inner, spec.activation_checkpointing.modules)
        trainable = {name: each for name, each in inner.named_parameters() if each.requires_grad}
        self.trained = tuple(trainable.values())
        if not trainable:
            raise RunFault(
                "ModelFailed", f"{name} has no parameters to train; freeze fewer, or return a network that has some"
            )
        self.network.to(group.device)
        self._buffers = [each for each in inner.buffers() if each.is_floating_point()]
        self._bucket = Bucket(trainable)
        self.own_time = OwnTime(group.device)
        self._wire = self.own_time.watched(group.wire)
        # With topK it is the exchange that has the momentum: what is not sent has none.
        takes_momentum = bool(spec.compression.top_k) and spec.optimizer.name == OptimizerName.SGD
        momentum = spec.optimizer.momentum if takes_momentum else 0.0
        self._exchange = (
            exchange_of(spec.compression, group.world_size, group.rank, spec.seed, self._wire, momentum)
            if group.changes or group.world_size > 1
            else None
        )
        without = spec.optimizer.model_copy(update={"momentum": 0.0})
        self._optimizer = optimizer_of(without if momentum and self._exchange else spec.optimizer, inner)
        self._rounds = local_steps(spec.compression, inner, trainable, self._exchange)
        self._at_once = spec.micro_batch_size or spec.batch_size
        self._scale = LossScale() if spec.precision == Precision.FLOAT16 else None
        self._max_norm = spec.gradient_clipping.max_norm if spec.gradient_clipping else None
        # What comes out of its exchange is the sum of several steps' largest entries, and no gradient's length bounds that.
        self._clips_parts = bool(spec.compression.top_k)
        self._loss: torch.Tensor | None = None
        """This rank's share of the mean loss whose gradient is in the bucket."""
        self._buffers_before: list[torch.Tensor] = []
        self._earlier_traffic = Traffic()
        self._residual_norm: float | None = None
        if spec.compile:
            compile_in_place(inner, torch.device(group.device))
            self._warm_up(min(self._at_once, -(-spec.batch_size // spec.workers.max)))

    def _warm_up(self, records: int) -> None:
        """Has everything compiled, for training and for evaluation, before anybody waits for this rank."""
        inner, inputs = self.network.network, self._train.inputs[:records].to(self._group.device)
        before = [each.clone() for each in inner.buffers()]
        with faults_of_compiling(self.network.name):
            self.network(inputs).sum().backward()
        was_training = self.network.training
        self.network.eval()
        with torch.no_grad():
            self.network(inputs)
        self.network.train(was_training)
        for buffer, old in zip(inner.buffers(), before, strict=True):
            buffer.copy_(old)

    def begin(self, step: int, batch: torch.Tensor) -> Share:
        """Starts a step that has no gradient yet, random numbers too, and returns this rank's share of its global batch."""
        self.own_time.begin()
        mine = share(batch, self._group.rank, self._group.world_size)
        # A rank without a record still takes part in the exchange: with one record of weight zero.
        taken, counts = (mine, 1.0) if len(mine) else (batch[:1], 0.0)
        seed_everything(self._seed, step, self._group.rank)
        self.network.step = step
        self._bucket.clear()
        self._loss = None
        self._buffers_before = [each.clone() for each in self.network.network.buffers()] if self._scale else []
        # Parts of nearly equal sizes: batch normalisation cannot do with a last one of a single record.
        parts = taken.tensor_split(-(-len(taken) // self._at_once))
        return Share(batch, parts, counts)

    def inputs(self, records: torch.Tensor) -> torch.Tensor:
        """Of the training split, on this rank's device."""
        return self._train.inputs[records].to(self._group.device)

    def targets(self, records: torch.Tensor) -> torch.Tensor:
        """Of the training split, on this rank's device."""
        return self._train.targets[records].to(self._group.device)

    def backward(self, loss: torch.Tensor) -> None:
        """Adds the gradient of a part of this rank's share of the mean loss, and the part to what `learn` will say of it."""
        self._bucket.attach()
        # The exchange divides the sum over ranks by their number; the shares already add up to the mean.
        ranks = self._group.world_size
        factor = ranks * self._scale.value if self._scale else ranks
        with faults_of_compiling(self.network.name):
            (loss * factor).backward()
        part = loss.detach()
        self._loss = part if self._loss is None else self._loss + part

    def learn(self, step: int, batch: torch.Tensor, *, pays: bool = False) -> Learned:
        """One optimizer step on this rank's share of a global batch, whose gradient is made here unless `backward` was called since `begin`.

        Until the gradients have been exchanged nothing is changed, so that the step may be taken again if that fails.
        With `pays` what the exchange owes travels too, uncompressed.
        """
        if self._loss is None:
            self._differentiate(self.begin(step, batch))
        loss, self._loss = self._loss, None
        assert loss is not None
        self._bucket.fill()
        if self._scale and not self._all_finite():
            for buffer, old in zip(self.network.network.buffers(), self._buffers_before, strict=True):
                buffer.copy_(old)
            if self._skip(step, self._scale):
                return Learned(loss, skipped=True)
            return Learned(loss * math.nan, skipped=True, hopeless=True)
        self._take(step, pays)
        return Learned(loss)

    def _differentiate(self, own: Share) -> None:
        weight = self._criterion.weight(self._train.targets[own.batch]).to(self._group.device)
        for part in own.parts:
            answers = self.network(self.inputs(part))
            self.backward(own.counts * self._criterion.sum(answers, self.targets(part)) / weight)

    def _all_finite(self) -> bool:
        """Whether the step can be taken. Ranks that exchange gradients agree on that first: what an exchange has kept of one that is not finite would spoil all that follow."""
        lost = (~self._bucket.flat.isfinite().all()).double().reshape(1)
        if self._exchange and not self._rounds and self._group.world_size > 1:
            self._wire.add_up(lost)
        return not lost.any()

    def _skip(self, step: int, scale: LossScale) -> bool:
        """Leaves the step out; whether there is a smaller scale to try."""
        tried, may_pass = scale.value, scale.skip()
        if self._rounds:
            # A step of no length: the others' distances count no more for it.
            self._rounds.took_step()
        if self._group.leads or self._rounds:
            text = "step %d is skipped: its gradients are not finite with the loss scaled by %g; the next is scaled by %g; %d skipped so far"
            logger.warning(text, step, tried, scale.value, scale.skipped)
        return may_pass

    def _take(self, step: int, pays: bool) -> None:
        gradient, max_norm = self._bucket.flat, self._max_norm
        if self._scale:
            gradient.div_(self._scale.value)
        if max_norm and self._clips_parts:
            # A rank's part of the average to max_norm / sqrt(ranks) (Lin et al., 2018): here all parts are times ranks.
            clip(gradient, max_norm * math.sqrt(self._group.world_size))
        if self._exchange and not self._rounds:
            self._average(self._exchange, step, pays)
        if max_norm and not self._clips_parts:
            clip(gradient, max_norm)
        self._bucket.hand_back()
        self._optimizer.step()
        if self._rounds:
            self._rounds.took_step()
        if self._scale:
            self._scale.took_step()

    def _average(self, exchange: GradientExchange, step: int, pays: bool) -> None:
        exchange.step = step
        if self._group.world_size > 1:
            exchange.average_exactly(self._buffers)
        if pays or self._group.world_size == 1:
            exchange.pay(self._bucket.flat, self._bucket.gradients)
        else:
            exchange.exchange(self._bucket.flat, self._bucket.gradients)

    @property
    def skipped_steps(self) -> int:
        """How many steps of the run were skipped, as far as this rank knows."""
        return self._scale.skipped if self._scale else 0

    def ends_round(self, step: int) -> bool:
        """Whether all ranks have the same parameters after the step; with local steps that is at the end of a round."""
        return self._rounds is None or self._rounds.ends(step)

    @property
    def has_rounds(self) -> bool:
        """Whether steps are local."""
        return self._rounds is not None

    def finish_round(self, taken: int, *, pays: bool) -> None:
        """Exchanges how far so many local steps went; with `pays` also what the exchange owes, uncompressed."""
        assert self._rounds is not None
        self._rounds.finish(taken, pays=pays)

    def regroup(self) -> None:
        """Goes on among other ranks, or the same in another order."""
        if self._exchange:
            self._exchange.regroup(self._group.rank, self._group.world_size)

    @property
    def device(self) -> str:
        """Where the network is."""
        return self._group.device

    @property
    def learning_rate(self) -> float:
        """Of this rank's optimizer."""
        return float(self._optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The network's parameters and buffers by name."""
        return self.network.network.state_dict()

    @property
    def merged(self) -> dict[str, torch.Tensor] | None:
        """The weights with which the network answers without its adapters; none if it has no adapters."""
        return self._adapters.merged() if self._adapters else None

    @property
    def moments(self) -> dict[str, torch.Tensor]:
        """The optimizer's state by <field>/<parameter name>."""
        return optimizer_tensors(self._optimizer, self.network.network)

    @property
    def kept(self) -> dict[str, torch.Tensor]:
        """What this rank alone knows: what its exchange owes, its loss scale, and with local steps its own optimizer's state."""
        state = {**(self._exchange.state() if self._exchange else {}), **(self._scale.state() if self._scale else {})}
        if self._rounds is None:
            return state
        return {**state, **self._rounds.state(), **{f"{INNER}{name}": each for name, each in self.moments.items()}}

    @property
    def common(self) -> dict[str, torch.Tensor]:
        """What all ranks have in common between two steps; within a round, what they had at its start."""
        exchange = self._exchange.common() if self._exchange else {}
        weights = {**self.weights, **self._rounds.start} if self._rounds else self.weights
        outer = self._rounds.state() if self._rounds else {}
        parts = ((NETWORK, weights), (MOMENTS, self.moments), (EXCHANGE, exchange), (ROUND, outer))
        scale = self._scale.state() if self._scale else {}
        return {**scale, **{f"{start}{name}": each for start, part in parts for name, each in part.items()}}

    def take_over(self, common: Mapping[str, torch.Tensor], traffic: Traffic) -> None:
        """Has the same as the rank that had this in common with all others."""
        self.own_time.forget()
        weights, moments, exchange = (_named(common, start) for start in (NETWORK, MOMENTS, EXCHANGE))
        self.network.network.load_state_dict(weights)
        restore_optimizer(self._optimizer, self.network.network, moments)
        if self._exchange:
            self._exchange.take_common(self._here(exchange))
        if self._rounds:
            self._rounds.restore(_named(common, ROUND))
        if self._scale:
            self._scale.restore(common)
        self.count_from(traffic)

    def start_from(self, given: Mapping[str, torch.Tensor], what: str) -> None:
        """Begins with these weights but for what starts anew; RunFault if they are not of such a network."""
        inner = self.network.network
        state = inner.state_dict()
        names = self._adapters.plain_names if self._adapters else {name: name for name in state}
        taken = matched(given, {plain: state[name] for plain, name in names.items()}, self._anew, what)
        inner.load_state_dict({names[plain]: each for plain, each in taken.items()}, strict=False)
        if self._rounds:
            self._rounds.restore({})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from a checkpoint; RunFault if it is of another network."""
        inner = self.network.network
        try:
            inner.load_state_dict(checkpoint.tensors(WEIGHTS))
            restore_optimizer(self._optimizer, inner, checkpoint.tensors(OPTIMIZER))
        except (RuntimeError, KeyError) as error:
            message = f"checkpoint {checkpoint.folder.uri} does not fit the model: {error}; did the code change? Delete the checkpoints to start anew"
            raise RunFault("CheckpointMismatch", message) from error
        self.count_from(checkpoint.state.traffic)
        kept = compression_state(checkpoint, self._group.rank, self._group.world_size)
        if self._scale:
            self._scale.restore(kept)
        if not self._exchange:
            return
        # Not the optimizer's: it has step counts that stay on the CPU.
        exchanged = self._here({name: each for name, each in kept.items() if not name.startswith((INNER, SCALE))})
        self._exchange.restore(exchanged)
        if self._rounds:
            self._rounds.restore(exchanged)
            restore_optimizer(self._optimizer, inner, _named(kept, INNER))

    def restart_scale(self) -> None:
        """Looks anew for how much the loss can be scaled, where it is."""
        if self._scale:
            self._scale.restart()

    def look_at_residual(self) -> None:
        """Takes the norm of what the exchange owes, which is more than can be done at each step."""
        self._residual_norm = self._exchange.residual_norm if self._exchange else None

    @property
    def traffic(self) -> Traffic:
        """What gradients cost a rank, earlier attempts included."""
        if not self._exchange:
            return self._earlier_traffic
        return Traffic(
            bytes_sent=self._earlier_traffic.bytes_sent + self._exchange.bytes_sent,
            bytes_uncompressed=self._earlier_traffic.bytes_uncompressed + self._exchange.bytes_uncompressed,
            encoding_seconds=self._earlier_traffic.encoding_seconds + self._exchange.encoding_seconds,
            method=self._exchange.method,
            residual_norm=self._residual_norm,
        )

    def count_from(self, earlier: Traffic) -> None:
        """Adds what is sent from now on to what gradients cost so far."""
        self._earlier_traffic = earlier
        if self._exchange:
            self._exchange.bytes_sent = self._exchange.bytes_uncompressed = 0
            self._exchange.encoding_seconds = 0.0

    def _here(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """On the device of this rank: what was read lies in the memory of the CPU."""
        return {name: each.to(self._group.device) for name, each in tensors.items()}


def _freeze(network: torch.nn.Module, prefixes: Sequence[str]) -> None:
    names = dict(network.named_parameters())
    require_known("model.freeze", prefixes, names)
    for name, parameter in names.items():
        if is_under(name, prefixes):
            parameter.requires_grad_(False)


def _named(tensors: Mapping[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(start): each for name, each in tensors.items() if name.startswith(start)}
