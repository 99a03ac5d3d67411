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

    def ends(self, step: int) -> bool:
        """Whether a round ends with the step: the same answer on all ranks."""
        return step % self._steps == 0

    @torch.no_grad()
    def finish(self, taken: int) -> None:
        """Ends a round of so many steps: afterwards all ranks have the same parameters, to the bit."""
        went = torch.cat([(self._start[name] - each).reshape(-1) for name, each in self._parameters.items()])
        sizes = [each.numel() for each in self._parameters.values()]
        parts = zip(self._parameters.items(), went.split(sizes), strict=True)
        outer = {name: part.view(each.shape) for (name, each), part in parts}
        self._exchange.exchange(went, outer)
        # Plain training would have sent a gradient at each of these steps.
        self._exchange.bytes_uncompressed += (taken - 1) * self._exchange.ring_bytes(went)
        for name, gradient in outer.items():
            momentum = self._momentum[name].mul_(self._outer_momentum).add_(gradient)
            self._start[name].sub_(gradient.add(momentum, alpha=self._outer_momentum), alpha=OUTER_RATE)
            self._parameters[name].copy_(self._start[name])
        for buffer in self._buffers:
            self._exchange.add_up(buffer)
            buffer.div_(self._exchange.world_size)

    def state(self) -> dict[str, torch.Tensor]:
        """The outer momentum by parameter name; it is taken between two rounds, when the start is the parameters."""
        return {f"{OUTER}{name}": momentum.clone() for name, momentum in self._momentum.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Goes on from the parameters as they are, with this outer momentum."""
        for name, momentum in self._momentum.items():
            if f"{OUTER}{name}" in tensors:
                momentum.copy_(tensors[f"{OUTER}{name}"])
        self._start = self._here()

    def _here(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
