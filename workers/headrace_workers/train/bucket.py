"""The gradients of all trainable parameters in one vector, which is what travels between ranks."""

from collections.abc import Mapping

import torch


class Bucket:
    """A float32 vector `flat`, and views into it by parameter name in each parameter's shape.

    Autograd adds to the views of float32 parameters directly; gradients of another type are copied there and back.
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter]) -> None:
        """The parameters lie on one device. Nothing else may replace their gradients by other tensors."""
        self._parameters = dict(parameters)
        sizes = [parameter.numel() for parameter in self._parameters.values()]
        self.flat = torch.zeros(sum(sizes), device=next(iter(self._parameters.values())).device)
        pairs = zip(self._parameters.items(), self.flat.split(sizes), strict=True)
        self.gradients = {name: part.view(parameter.shape) for (name, parameter), part in pairs}
        self._copied = [name for name, each in self._parameters.items() if each.dtype != torch.float32]
        for name, parameter in self._parameters.items():
            parameter.grad = torch.zeros_like(parameter) if name in self._copied else self.gradients[name]

    def clear(self) -> None:
        """Zeroes all gradients."""
        self.flat.zero_()
        for gradient in self._gradients_elsewhere().values():
            gradient.zero_()

    def fill(self) -> None:
        """Has all gradients in the vector."""
        for name, gradient in self._gradients_elsewhere().items():
            self.gradients[name].copy_(gradient)

    def hand_back(self) -> None:
        """Has the optimizer see what is in the vector."""
        for name, gradient in self._gradients_elsewhere().items():
            gradient.copy_(self.gradients[name])

    def _gradients_elsewhere(self) -> dict[str, torch.Tensor]:
        found = {name: self._parameters[name].grad for name in self._copied}
        return {name: gradient for name, gradient in found.items() if gradient is not None}
