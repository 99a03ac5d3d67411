"""PowerSGD (Vogels, Karimireddy and Jaggi, 2019): each gradient matrix travels as two low-rank factors.

One step of power iteration from the last step's right factor, and error feedback: what the factors miss is added to the
next gradient. Tensors that would hardly shrink travel whole, as do all during the warm-up. This is our own
implementation because torch's keeps its state by bucket index, which is wrong after a restore.
"""

import hashlib
from collections.abc import Mapping

import torch

from headrace.api.compression import PowerSgd
from headrace_workers.train.compression.base import GradientExchange, Wire

WORTHWHILE_RATIO = 2
"""A matrix is factorised if that at least halves its elements."""


class PowerSgdExchange(GradientExchange):
    """The rank-r approximation of the average gradient, with the average of the local errors carried over."""

    def __init__(self, world_size: int, settings: PowerSgd, seed: int, wire: Wire | None = None) -> None:
        """Starts without errors and with right factors drawn from (seed, parameter name), the same on all ranks."""
        super().__init__(world_size, wire)
        self._settings = settings
        self._seed = seed
        self._errors: dict[str, torch.Tensor] = {}
        self._rights: dict[str, torch.Tensor] = {}

    def average(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """Two rounds: left factors together with what travels whole, then right factors."""
        names = [name for name, gradient in gradients.items() if self._factorised(gradient)]
        if self.step <= self._settings.warmup_steps or not names:
            self.add_up(flat)
            flat.div_(self.world_size)
            return
        with self.encoding(flat):
            matrices = {name: self._with_error(name, gradients[name]) for name in names}
            lefts = {name: matrix @ self._right(name, matrix) for name, matrix in matrices.items()}
            whole = {name: gradient for name, gradient in gradients.items() if name not in matrices}
        self.average_exactly([*whole.values(), *lefts.values()])
        with self.encoding(flat):
            lefts = {name: torch.linalg.qr(left)[0] for name, left in lefts.items()}
            rights = {name: matrix.T @ lefts[name] for name, matrix in matrices.items()}
        self.average_exactly(list(rights.values()))
        self._rights = {**self._rights, **rights}
        with self.encoding(flat):
            for name, matrix in matrices.items():
                approximation = lefts[name] @ rights[name].T
                self._errors[name] = matrix.sub_(approximation)
                gradients[name].copy_(approximation.view_as(gradients[name]))

    def state(self) -> dict[str, torch.Tensor]:
        """Errors and right factors by parameter name."""
        errors = {f"error/{name}": error for name, error in self._errors.items()}
        return {**errors, **{f"right/{name}": right for name, right in self._rights.items()}}

    def owed(self) -> dict[str, torch.Tensor]:
        """The errors."""
        return dict(self._errors)

    def owe(self, owed: Mapping[str, torch.Tensor]) -> None:
        """Has these errors."""
        self._errors = dict(owed)

    def common(self) -> dict[str, torch.Tensor]:
        """The right factors by parameter name."""
        return dict(self._rights)

    def take_common(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Goes on from another rank's right factors."""
        self._rights = {name: tensor.clone() for name, tensor in tensors.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Takes errors and right factors back, each to its own parameter."""
        self._errors = {
            key.removeprefix("error/"): tensor.clone() for key, tensor in tensors.items() if key.startswith("error/")
        }
        self._rights = {
            key.removeprefix("right/"): tensor.clone() for key, tensor in tensors.items() if key.startswith("right/")
        }

    def _factorised(self, gradient: torch.Tensor) -> bool:
        if gradient.dim() < 2:
            return False
        rows, columns = gradient.shape[0], gradient[0].numel()
        return (rows + columns) * min(self._settings.rank, rows, columns) * WORTHWHILE_RATIO <= rows * columns

    def _with_error(self, name: str, gradient: torch.Tensor) -> torch.Tensor:
        matrix = gradient.reshape(len(gradient), -1)
        error = self._errors.get(name)
        return matrix.clone() if error is None else error.to(matrix.device) + matrix

    def _right(self, name: str, matrix: torch.Tensor) -> torch.Tensor:
        """The last right factor, or a random one."""
        right = self._rights.get(name)
        if right is None:
            rank = min(self._settings.rank, *matrix.shape)
            number = int.from_bytes(hashlib.sha256(f"{self._seed}/{name}".encode()).digest()[:8], "big")
            drawn = torch.randn(matrix.shape[1], rank, generator=torch.Generator().manual_seed(number))
            right = drawn.to(matrix.device, matrix.dtype)
        return right.to(matrix.device)
