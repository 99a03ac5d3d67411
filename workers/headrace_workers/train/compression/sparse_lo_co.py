"""SparseLoCo: rounds of local steps whose outer gradients are sparse and coarse (Sarfi et al., 2025).

Of each chunk of 4,096 the largest entries travel, in falling order, as places and signs; of their magnitudes only the
means of four equal groups, which the order tells apart. What does not travel stays with the rank, fades a little, and is
added to its next outer gradient: that stands in for the outer momentum. Vectors travel whole.
"""

from collections.abc import Mapping

import torch

from headrace.api.compression import SparseLoCo
from headrace_workers.train.compression import chunked_top_k
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.compression.kept_chunks import KeptChunks

FADING = 0.95
GROUPS = 4
MULTIPLE = 8
"""Entries of a chunk are a multiple of this: their signs fill whole bytes, and groups are equal."""


class SparseLoCoExchange(KeptChunks):
    """The average over the ranks of the coarse largest entries of their outer gradients."""

    def __init__(self, world_size: int, settings: SparseLoCo, wire: Wire | None = None) -> None:
        """Starts with nothing kept."""
        super().__init__(world_size, wire)
        self._count = max(MULTIPLE, round(chunked_top_k.CHUNK * settings.fraction / MULTIPLE) * MULTIPLE)

    def average(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """One gather of what is sparse, one sum of what travels whole."""
        self.average_exactly([each for each in gradients.values() if each.dim() < 2])
        sparse = {name: each for name, each in gradients.items() if each.dim() > 1}
        if not sparse:
            return
        layout = self._layout or self._lay_out(sparse, flat.device)
        with self.encoding(flat):
            own = torch.zeros(layout.size, device=flat.device)
            layout.pack(sparse, own)
            kept = self._kept * FADING + own
            places, values = chunked_top_k.pick(kept, self._count)
            magnitudes = values.abs().view(len(values), GROUPS, -1).mean(dim=2)
            message = chunked_top_k.as_bytes([places.to(torch.int16), _signs(values), magnitudes])
            chunked_top_k.take_away(kept, places, _values(_signs(values), magnitudes))
        gathered = message.new_empty(self.world_size * len(message))
        self.wire.gather(gathered, message)
        self._kept = kept
        self.bytes_sent += (self.world_size - 1) * len(message)
        with self.encoding(flat):
            total = own.zero_()
            rows, count = places.shape
            shapes = [(torch.int16, (rows, count)), (torch.uint8, (rows, count // 8)), (torch.float32, (rows, GROUPS))]
            for row in gathered.view(self.world_size, -1):
                theirs, signs, means = chunked_top_k.from_bytes(row, shapes)
                chunked_top_k.put(total, theirs.long(), _values(signs, means))
            layout.unpack(total.div_(self.world_size), sparse)


def _signs(values: torch.Tensor) -> torch.Tensor:
    """(rows, count) values as (rows, count / 8) bytes, a bit set for what is not negative."""
    bits = (values >= 0).to(torch.uint8).view(len(values), -1, 8)
    return (bits << torch.arange(8, dtype=torch.uint8, device=values.device)).sum(dim=2, dtype=torch.uint8)


def _values(signs: torch.Tensor, magnitudes: torch.Tensor) -> torch.Tensor:
    """(rows, count) values: the signs' times the mean magnitude of their group."""
    bits = (signs.unsqueeze(2) >> torch.arange(8, dtype=torch.uint8, device=signs.device)) & 1
    directions = bits.view(len(signs), GROUPS, -1).float() * 2 - 1
    return (directions * magnitudes.unsqueeze(2)).view(len(signs), -1)
