"""What exchanges have in common that send the largest entries of each chunk: the others are kept, and sent some day."""

from collections.abc import Mapping

import torch

from headrace_workers.train.compression import chunked_top_k
from headrace_workers.train.compression.base import GradientExchange, Wire
from headrace_workers.train.compression.layout import Layout

ERROR = "error/"


class KeptChunks(GradientExchange):
    """An exchange with a vector of what was not sent, laid out when the first gradients come."""

    def __init__(self, world_size: int, wire: Wire | None = None) -> None:
        """Starts with nothing kept."""
        super().__init__(world_size, wire)
        self._layout: Layout | None = None
        self._kept = torch.empty(0)

    def state(self) -> dict[str, torch.Tensor]:
        """What was not sent, by parameter name."""
        return {f"{ERROR}{name}": part.clone() for name, part in self._layout.parts(self._kept)} if self._layout else {}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Takes it back, each to its own parameter."""
        kept = {name.removeprefix(ERROR): each for name, each in tensors.items() if name.startswith(ERROR)}
        if kept:
            self._lay_out(kept, next(iter(kept.values())).device).pack(kept, self._kept)

    def owed(self) -> dict[str, torch.Tensor]:
        """What was not sent."""
        return dict(self._layout.parts(self._kept)) if self._layout else {}

    def owe(self, owed: Mapping[str, torch.Tensor]) -> None:
        """Has this to send."""
        if self._layout:
            self._layout.pack(owed, self._kept)

    def forget(self) -> None:
        """Has nothing to send."""
        self._kept.zero_()

    def _lay_out(self, tensors: Mapping[str, torch.Tensor], device: torch.device) -> Layout:
        """The layout of the parameters that are sparse, with nothing kept of them yet."""
        self._layout = Layout.of(tensors, chunked_top_k.CHUNK)
        self._kept = torch.zeros(self._layout.size, device=device)
        return self._layout
