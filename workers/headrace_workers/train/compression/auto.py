"""Measures how long gradients take in each way, and takes the fastest: `none` is an answer.

Compression pays only where the network is slow against the computing (of 200 published set-ups, 6 gained in a data centre:
Agarwal et al., 2021), so it is tried and not assumed: early in a run, once more when all is warm, and every few hundred
steps, on copies of a real gradient. What would take far longer at the speed that the others saw is not tried.
"""

import logging
import time
from collections.abc import Callable, Mapping

import torch

from headrace.api.compression import Auto, LossPolicy
from headrace_workers.train.compression.base import GradientExchange, Wire, settle

PRESERVING = ("none", "bf16", "int8", "int4")
"""Ways that keep the trajectory of plain training, by the bytes that they send."""
RELAXED = (*PRESERVING, "powerSgd")
SHARE = {"none": 1.0, "bf16": 0.5, "int8": 0.26, "int4": 0.13, "powerSgd": 0.05}
"""Of the uncompressed bytes, roughly: for what is not tried."""
FIRST_TRIALS = (3, 50)
TRIAL_EVERY_STEPS = 500
HOPELESS = 2.0
"""What is expected to take this many times as long as the best so far is not tried."""
LONG_SECONDS = 0.2
"""What takes less is tried twice, and the faster time counts."""
WORTHWHILE = 0.95
"""A way is changed for one that takes at most this share of its time."""
WARM_STEP = 2**40
"""Beyond every warm-up."""
METHOD = "auto/method"

logger = logging.getLogger(__name__)


class AutoExchange(GradientExchange):
    """The way that was fastest when last tried; plain until then."""

    def __init__(
        self, world_size: int, rank: int, settings: Auto, make: Callable[[str, int, int], GradientExchange],
        wire: Wire | None = None,
    ) -> None:  # fmt: skip
        """`make` makes an exchange by its name in the spec, for a world size and a rank, on the same wire."""
        super().__init__(world_size, wire)
        self._rank = rank
        self._maker = make
        self._ways = PRESERVING if settings.loss == LossPolicy.PRESERVE else RELAXED
        self.method = self._ways[0]
        self._chosen = self._make(self.method)
        # What has to be compiled is, before anybody waits: one that joins late makes its first trials among others.
        for name in self._ways:
            self._make(name)
        self._device = torch.device("cpu")

    def average(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """Tries all ways where it is time to; then takes the chosen one."""
        before = self.method, self._chosen
        if self.step in FIRST_TRIALS or self.step % TRIAL_EVERY_STEPS == 0:
            self._choose(self.costs(flat, gradients), gradients)
        chosen = self._chosen
        chosen.step = self.step
        sent, encoding = chosen.bytes_sent, chosen.encoding_seconds
        try:
            chosen.average(flat, gradients)
        except Exception:
            # The step will be taken again: with what the earlier way owes, which is lost from the gradients then.
            self.method, self._chosen = before
            raise
        self.bytes_sent += chosen.bytes_sent - sent
        self.encoding_seconds += chosen.encoding_seconds - encoding

    def state(self) -> dict[str, torch.Tensor]:
        """The chosen way's, and which it is."""
        return {**self._chosen.state(), METHOD: torch.tensor([float(self._ways.index(self.method))])}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Goes on in the way that was taken, until it is time to try again."""
        if METHOD not in tensors:
            return
        self.method = self._ways[int(tensors[METHOD][0])]
        self._chosen = self._make(self.method)
        self._chosen.restore({name: each for name, each in tensors.items() if name != METHOD})

    def owed(self) -> dict[str, torch.Tensor]:
        """What the chosen way owes."""
        return self._chosen.owed()

    def forget(self) -> None:
        """Owes nothing any more."""
        self._chosen.forget()

    def common(self) -> dict[str, torch.Tensor]:
        """The chosen way's, and which it is."""
        return {**self._chosen.common(), METHOD: torch.tensor([float(self._ways.index(self.method))])}

    def take_common(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Goes on in another rank's way; what was owed in one's own is still owed if that is the same."""
        method = self._ways[int(tensors[METHOD][0])]
        if method != self.method:
            self.method, self._chosen = method, self._make(method)
        self._chosen.take_common({name: each for name, each in tensors.items() if name != METHOD})

    def regroup(self, rank: int, world_size: int) -> None:
        """Has the chosen way go on in another group."""
        self._rank, self.world_size = rank, world_size
        self._chosen.regroup(rank, world_size)

    def costs(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Seconds of one exchange by each way, the same on every rank: measured, or expected where that is hopeless."""
        self._device = flat.device
        whole, bytes_a_second = self.ring_bytes(flat), 0.0
        costs: dict[str, float] = {}
        for name in reversed(self._ways):
            expected = whole * SHARE[name] / bytes_a_second if bytes_a_second else 0.0
            if costs and expected > HOPELESS * min(costs.values()):
                costs[name] = expected
                continue
            costs[name], rate = self._tried(name, flat, gradients)
            bytes_a_second = max(bytes_a_second, rate)
        return costs

    def _tried(self, name: str, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> tuple[float, float]:
        """Seconds of one exchange, and bytes a second without the encoding, as all ranks have them in the mean."""
        exchange = self._make(name)
        exchange.step = WARM_STEP
        best, rate = float("inf"), 0.0
        for _ in range(2):
            copy = flat.clone()
            start = flat.storage_offset()
            views = {
                key: copy[each.storage_offset() - start :][: each.numel()].view(each.shape)
                for key, each in gradients.items()
            }
            self._agreed(0.0, 0.0)
            sent, encoding, began = exchange.bytes_sent, exchange.encoding_seconds, time.perf_counter()
            exchange.average(copy, views)
            settle(self._device)
            seconds = time.perf_counter() - began
            travelling = max(seconds - (exchange.encoding_seconds - encoding), 1e-6)
            self.bytes_sent += exchange.bytes_sent - sent
            mean, speed = self._agreed(seconds, (exchange.bytes_sent - sent) / travelling)
            best, rate = min(best, mean), max(rate, speed)
            if mean > LONG_SECONDS:
                break
        return best, rate

    def _agreed(self, *figures: float) -> list[float]:
        """The means over the ranks: the same bits everywhere, so that all decide alike."""
        own = torch.tensor(figures, dtype=torch.float64, device=self._device)
        gathered = own.new_empty(self.world_size * len(figures))
        self.wire.gather(gathered, own)
        return [float(each) for each in gathered.cpu().view(self.world_size, -1).mean(dim=0)]

    def _make(self, name: str) -> GradientExchange:
        return self._maker(name, self.world_size, self._rank)

    def _choose(self, costs: Mapping[str, float], gradients: Mapping[str, torch.Tensor]) -> None:
        best = min(costs, key=lambda name: costs[name])
        if costs[best] > WORTHWHILE * costs[self.method]:
            best = self.method
        told = ", ".join(f"{name} {costs[name] * 1000:.3g}" for name in self._ways)
        logger.info("step %d: gradients travel as %s; milliseconds an exchange: %s", self.step, best, told)
        if best == self.method:
            return
        for name, owed in self._chosen.owed().items():
            gradients[name].add_(owed.view(gradients[name].shape))
        self.method, self._chosen = best, self._make(best)
