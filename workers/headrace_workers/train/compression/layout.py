"""Where each parameter's gradient lies in one flat vector, whatever buckets the gradients come in: by name.

A checkpoint may be read where parameters come in another order; names stay.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Layout:
    """The shapes of parameters, by sorted name, one behind the other; the vector is padded to a multiple of `multiple`."""

    shapes: Mapping[str, torch.Size]
    multiple: int = 1

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor], multiple: int = 1) -> "Layout":
        """The layout of these tensors."""
        return cls({name: tensors[name].shape for name in sorted(tensors)}, multiple)

    @property
    def size(self) -> int:
        """The length of the vector, its padding included."""
        used = sum(math.prod(shape) for shape in self.shapes.values())
        return -(-used // self.multiple) * self.multiple

    def parts(self, flat: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Views into the vector, each in its parameter's shape."""
        start = 0
        for name, shape in self.shapes.items():
            count = math.prod(shape)
            yield name, flat[start : start + count].view(shape)
            start += count

    def pack(self, tensors: Mapping[str, torch.Tensor], flat: torch.Tensor) -> None:
        """Copies the tensors into the vector; what is missing, and the padding, stays as it is."""
        for name, part in self.parts(flat):
            if name in tensors:
                part.copy_(tensors[name])

    def unpack(self, flat: torch.Tensor, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copies the vector into the tensors."""
        for name, part in self.parts(flat):
            tensors[name].copy_(part)
