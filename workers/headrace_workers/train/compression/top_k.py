"""Only the largest entries travel, with error feedback and momentum correction (Deep Gradient Compression, Lin et al., 2018).

Each rank adds its gradients to a velocity, the velocity to what it has not sent, and sends the largest entries of that, in
each chunk the same number, as bfloat16. Where an entry is sent its velocity is forgotten (momentum factor masking). The
momentum is the optimizer's, which has none of its own then. Vectors, and matrices smaller than a chunk, travel whole. The
share shrinks from a quarter during the warm-up.
"""

from collections.abc import Mapping

import torch

from headrace.api.compression import TopK
from headrace_workers.train.compression import chunked_top_k
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.compression.kept_chunks import KeptChunks
from headrace_workers.train.compression.layout import Layout

FIRST_SHARE = 0.25
VELOCITY = "velocity/"


class TopKExchange(KeptChunks):
    """The average of what the ranks sent: sparse, but over time everything."""

    def __init__(self, world_size: int, settings: TopK, momentum: float = 0.0, wire: Wire | None = None) -> None:
        """Starts with nothing kept; `momentum` is that of the optimizer, 0 for one that is not SGD."""
        super().__init__(world_size, wire)
        self._settings = settings
        self._momentum = momentum
        self._velocity = torch.empty(0)

    def average(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """One gather of what is sparse, one sum of what travels whole."""
        sparse = {
            name: each for name, each in gradients.items() if each.dim() > 1 and each.numel() >= chunked_top_k.CHUNK
        }
        self.average_exactly([each for name, each in gradients.items() if name not in sparse])
        if not sparse:
            return
        layout = self._layout or self._lay_out(sparse, flat.device)
        with self.encoding(flat):
            own = torch.zeros(layout.size, device=flat.device)
            layout.pack(sparse, own)
            velocity = self._velocity * self._momentum + own
            kept = self._kept + velocity
            places, values = chunked_top_k.pick(kept, self._count())
            sent = values.to(torch.bfloat16)
            chunked_top_k.take_away(kept, places, sent.float())
            chunked_top_k.clear(velocity, places)
            message = chunked_top_k.as_bytes([places.to(torch.int16), sent])
        gathered = message.new_empty(self.world_size * len(message))
        self.wire.gather(gathered, message)
        self._kept, self._velocity = kept, velocity
        self.bytes_sent += (self.world_size - 1) * len(message)
        with self.encoding(flat):
            total = own.zero_()
            for row in gathered.view(self.world_size, -1):
                theirs, numbers = chunked_top_k.from_bytes(
                    row, [(torch.int16, places.shape), (torch.bfloat16, places.shape)]
                )
                chunked_top_k.put(total, theirs.long(), numbers.float())
            layout.unpack(total.div_(self.world_size), sparse)

    def state(self) -> dict[str, torch.Tensor]:
        """What was not sent, and the velocities, by parameter name."""
        if self._layout is None:
            return {}
        return {
            **super().state(),
            **{f"{VELOCITY}{name}": part.clone() for name, part in self._layout.parts(self._velocity)},
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Takes both back, each to its own parameter."""
        super().restore(tensors)
        if self._layout:
            moving = {name.removeprefix(VELOCITY): each for name, each in tensors.items() if name.startswith(VELOCITY)}
            self._layout.pack(moving, self._velocity)

    def _count(self) -> int:
        """How many entries of a chunk travel at this step."""
        share, warmup = self._settings.fraction, self._settings.warmup_steps
        if self.step <= warmup and share < FIRST_SHARE:
            share = FIRST_SHARE * (share / FIRST_SHARE) ** (self.step / warmup)
        return max(1, round(chunked_top_k.CHUNK * share))

    def _lay_out(self, tensors: Mapping[str, torch.Tensor], device: torch.device) -> Layout:
        layout = super()._lay_out(tensors, device)
        self._velocity = torch.zeros(layout.size, device=device)
        return layout
