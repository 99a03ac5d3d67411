"""The gradients of all trainable parameters in one vector, which is what travels between ranks."""

from collections.abc import Mapping

import torch


class Bucket:
    """A float32 vector `flat`, and views into it by parameter name in each parameter's shape.

    Autograd adds to the views of float32 parameters directly; gradients of another type are copied there and back.
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter]) -> None:
        """The parameters lie on one device."""
        self._parameters = dict(parameters)
        sizes = [parameter.numel() for parameter in self._parameters.values()]
        self.flat = torch.zeros(sum(sizes), device=next(iter(self._parameters.values())).device)
        pairs = zip(self._parameters.items(), self.flat.split(sizes), strict=True)
        self.gradients = {name: part.view(parameter.shape) for (name, parameter), part in pairs}
        self._elsewhere = {
            name: torch.zeros_like(each) for name, each in self._parameters.items() if each.dtype != torch.float32
        }
        self.attach()

    def attach(self) -> None:
        """Has gradients be added up here, also after a user's code took them off their parameters."""
        for name, parameter in self._parameters.items():
            gradient = self._elsewhere.get(name, self.gradients[name])
            if parameter.grad is not gradient:
                parameter.grad = gradient

    def clear(self) -> None:
        """Zeroes all gradients."""
        self.flat.zero_()
        for gradient in self._elsewhere.values():
            gradient.zero_()

    def fill(self) -> None:
        """Has all gradients in the vector."""
        for name, gradient in self._elsewhere.items():
            self.gradients[name].copy_(gradient)

    def hand_back(self) -> None:
        """Has the optimizer see what is in the vector."""
        self.attach()
        for name, gradient in self._elsewhere.items():
            gradient.copy_(self.gradients[name])
