"""What learns: a network with its optimizer, and the gradients that it exchanges with the other ranks'."""

from collections.abc import Mapping

import torch

from headrace.api.run_report import Traffic
from headrace.api.train_job import OptimizerName, TrainJobSpec
from headrace_workers.faults import RunFault
from headrace_workers.models import build_network
from headrace_workers.train.bucket import Bucket
from headrace_workers.train.checkpoints import OPTIMIZER, WEIGHTS, Checkpoint, compression_state
from headrace_workers.train.compression import GradientExchange, exchange_of, local_steps
from headrace_workers.train.dataset import TRAIN, LoadedDataset
from headrace_workers.train.group import Group
from headrace_workers.train.guarded import Guarded
from headrace_workers.train.losses import Criterion
from headrace_workers.train.optimizers import optimizer_of, optimizer_tensors, restore_optimizer
from headrace_workers.train.order import seed_everything, share

INNER = "inner/"
"""Starts the names of a rank's own optimizer's state, where optimizers differ."""
NETWORK, MOMENTS, EXCHANGE, ROUND = "network/", "optimizer/", "exchange/", "round/"
"""Start the names of what all ranks have in common."""


class Learner:
    """One rank's share of the learning. All ranks start with the same parameters, and have the same after each step or round."""

    def __init__(self, spec: TrainJobSpec, data: LoadedDataset, criterion: Criterion, group: Group) -> None:
        """Builds network, optimizer and gradient exchange; RunFault says what of the spec does not fit."""
        self._seed, self._train, self._criterion, self._group = spec.seed, data.splits[TRAIN], criterion, group
        seed_everything(spec.seed)
        name = str(spec.model.builtin or spec.model.module)
        self.network = Guarded(build_network(spec.model, data.shape, criterion.outputs), name, criterion.outputs)
        inner = self.network.network
        trainable = {name: each for name, each in inner.named_parameters() if each.requires_grad}
        self.trained = tuple(trainable.values())
        if not trainable:
            raise RunFault("ModelFailed", f"{name} has no parameters to train; return a network that has")
        self.network.to(group.device)
        self._buffers = [each for each in inner.buffers() if each.is_floating_point()]
        self._bucket = Bucket(trainable)
        # With topK it is the exchange that has the momentum: what is not sent has none.
        takes_momentum = bool(spec.compression.top_k) and spec.optimizer.name == OptimizerName.SGD
        momentum = spec.optimizer.momentum if takes_momentum else 0.0
        self._exchange = (
            exchange_of(spec.compression, group.world_size, group.rank, spec.seed, group.wire, momentum)
            if group.changes or group.world_size > 1
            else None
        )
        without = spec.optimizer.model_copy(update={"momentum": 0.0})
        self._optimizer = optimizer_of(without if momentum and self._exchange else spec.optimizer, inner)
        self._rounds = local_steps(spec.compression, inner, trainable, self._exchange)
        self._earlier_traffic = Traffic()

    def learn(self, step: int, batch: torch.Tensor, *, pays: bool = False) -> torch.Tensor:
        """One optimizer step on this rank's share of a global batch; returns its share of the mean loss.

        Until the gradients have been exchanged nothing is changed, so that the step may be taken again if that fails.
        With `pays` what the exchange owes travels too, uncompressed.
        """
        mine = share(batch, self._group.rank, self._group.world_size)
        # A rank without a record still takes part in the exchange: with one record of weight zero.
        taken, counts = (mine, 1.0) if len(mine) else (batch[:1], 0.0)
        seed_everything(self._seed, step, self._group.rank)
        self.network.step = step
        self._bucket.clear()
        answers = self.network(self._train.inputs[taken].to(self._group.device))
        weight = self._criterion.weight(self._train.targets[batch]).to(self._group.device)
        loss = counts * self._criterion.sum(answers, self._train.targets[taken].to(self._group.device)) / weight
        # The exchange divides the sum over ranks by their number; the shares already add up to the mean.
        (loss * self._group.world_size).backward()
        if self._exchange and not self._rounds:
            self._average(self._exchange, step, pays)
        self._optimizer.step()
        if self._rounds:
            self._rounds.took_step()
        return loss.detach()

    def _average(self, exchange: GradientExchange, step: int, pays: bool) -> None:
        exchange.step = step
        self._bucket.fill()
        if self._group.world_size > 1:
            exchange.average_exactly(self._buffers)
        if pays or self._group.world_size == 1:
            exchange.pay(self._bucket.flat, self._bucket.gradients)
        else:
            exchange.exchange(self._bucket.flat, self._bucket.gradients)
        self._bucket.hand_back()

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
    def moments(self) -> dict[str, torch.Tensor]:
        """The optimizer's state by <field>/<parameter name>."""
        return optimizer_tensors(self._optimizer, self.network.network)

    @property
    def kept(self) -> dict[str, torch.Tensor]:
        """What this rank alone knows: what its exchange owes, and with local steps its own optimizer's state."""
        state = self._exchange.state() if self._exchange else {}
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
        return {f"{start}{name}": each for start, part in parts for name, each in part.items()}

    def take_over(self, common: Mapping[str, torch.Tensor], traffic: Traffic) -> None:
        """Has the same as the rank that had this in common with all others."""
        weights, moments, exchange = (_named(common, start) for start in (NETWORK, MOMENTS, EXCHANGE))
        self.network.network.load_state_dict(weights)
        restore_optimizer(self._optimizer, self.network.network, moments)
        if self._exchange:
            self._exchange.take_common(self._here(exchange))
        if self._rounds:
            self._rounds.restore(_named(common, ROUND))
        self.count_from(traffic)

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
        if not self._exchange:
            return
        kept = compression_state(checkpoint, self._group.rank, self._group.world_size)
        # Not the optimizer's: it has step counts that stay on the CPU.
        exchanged = self._here({name: each for name, each in kept.items() if not name.startswith(INNER)})
        self._exchange.restore(exchanged)
        if self._rounds:
            self._rounds.restore(exchanged)
            restore_optimizer(self._optimizer, inner, _named(kept, INNER))

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


def _named(tensors: Mapping[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(start): each for name, each in tensors.items() if name.startswith(start)}
