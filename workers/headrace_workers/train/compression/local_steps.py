"""Workers take steps of their own and then exchange how far they went (DiLoCo, Douillard et al., 2023).

A round is so many local steps of the spec's optimizer. At its end the mean over the ranks of (start - end), the outer
gradient, moves everybody's start by a Nesterov step; all ranks go on from there. How it travels is the exchange's business:
as 4-bit integers with error feedback for diLoCo (as FP4 in Streaming DiLoCo, Douillard et al., 2025), sparse for
sparseLoCo. The ranks' own optimizers are never exchanged. Buffers that hold floats are averaged whole.
"""

from collections.abc import Mapping

import torch

from headrace_workers.train.compression.base import GradientExchange

OUTER_RATE = 0.7
OUTER_MOMENTUM = 0.9
OUTER = "outer/"


class LocalSteps:
    """The rounds of one rank. `parameters` are the trainable ones by name, the same on all ranks when it starts."""

    def __init__(
        self, steps: int, network: torch.nn.Module, parameters: Mapping[str, torch.nn.Parameter], exchange: GradientExchange,
        momentum: float = OUTER_MOMENTUM,
    ) -> None:  # fmt: skip
        """Starts the first round, of so many steps, at the parameters as they are."""
        self._steps = steps
        self._outer_momentum = momentum
        self._parameters = parameters
        self._buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        self._exchange = exchange
        self._momentum = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        self._start = self._here()
        self._own_steps = 0
        """Taken in this round; a rank that has joined in its course has taken none."""

    def ends(self, step: int) -> bool:
        """Whether a round ends with the step: the same answer on all ranks."""
        return step % self._steps == 0

    def took_step(self) -> None:
        """Counts a local step of this rank."""
        self._own_steps += 1

    @torch.no_grad()
    def finish(self, taken: int, *, pays: bool = False) -> None:
        """Ends a round of so many steps: afterwards all ranks have the same parameters, to the bit.

        The mean is over the ranks that took the steps. With `pays` what the exchange owes travels too, uncompressed.
        Nothing is changed before the last collective has ended.
        """
        exchange = self._exchange
        took = torch.tensor([self._own_steps / taken], device=next(iter(self._start.values())).device)
        buffers = [buffer.clone() for buffer in self._buffers]
        if exchange.world_size > 1:
            exchange.average_exactly([took, *buffers])
        went = torch.cat([(self._start[name] - each).reshape(-1) for name, each in self._parameters.items()]).div_(took)
        sizes = [each.numel() for each in self._parameters.values()]
        parts = zip(self._parameters.items(), went.split(sizes), strict=True)
        outer = {name: part.view(each.shape) for (name, each), part in parts}
        if pays or exchange.world_size == 1:
            exchange.pay(went, outer)
        else:
            exchange.exchange(went, outer)
        # Plain training would have sent a gradient at each of these steps.
        exchange.bytes_uncompressed += (taken - 1) * exchange.ring_bytes(went)
        for name, gradient in outer.items():
            momentum = self._momentum[name].mul_(self._outer_momentum).add_(gradient)
            self._start[name].sub_(gradient.add(momentum, alpha=self._outer_momentum), alpha=OUTER_RATE)
            self._parameters[name].copy_(self._start[name])
        for buffer, mean in zip(self._buffers, buffers, strict=True):
            buffer.copy_(mean)
        self._own_steps = 0

    @property
    def start(self) -> dict[str, torch.Tensor]:
        """The parameters that all ranks began the round with, by name."""
        return dict(self._start)

    def state(self) -> dict[str, torch.Tensor]:
        """The outer momentum by parameter name; with `start` it is what ranks have in common."""
        return {f"{OUTER}{name}": momentum.clone() for name, momentum in self._momentum.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Goes on from the parameters as they are, with this outer momentum."""
        for name, momentum in self._momentum.items():
            if f"{OUTER}{name}" in tensors:
                momentum.copy_(tensors[f"{OUTER}{name}"])
        self._start = self._here()
        self._own_steps = 0

    def _here(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
