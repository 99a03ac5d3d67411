"""Gradients travel as blockwise integers of 4 or 8 bits, with error feedback on both ways.

Two phases (the parameter-server scheme of Seide et al., 2014, spread over all ranks as in 1-bit Adam, Tang et al., 2021):
each rank sends every other rank that one's part of its encoded gradient, averages the parts that it gets, and sends the
average, encoded, to all. What the first encoding loses stays with the sender and what the second loses with the part's
owner; both are added to the next step's (error feedback, Karimireddy et al., 2019). Vectors, as biases and norms are,
and matrices smaller than a block travel whole in the same messages.
"""

from collections.abc import Mapping

import torch

from headrace.api.compression import Quantized
from headrace_workers.train.checkpoints import SHARD
from headrace_workers.train.compression.base import GradientExchange, Wire
from headrace_workers.train.compression.blockwise import Blockwise
from headrace_workers.train.compression.layout import Layout

ERROR = "error/"


class QuantizedExchange(GradientExchange):
    """The average of what the codes stand for, the same bits on every rank."""

    def __init__(self, world_size: int, rank: int, bits: int, settings: Quantized, wire: Wire | None = None) -> None:
        """Starts without errors, and with its loops compiled."""
        super().__init__(world_size, wire)
        self._rank = rank
        self._code = Blockwise(bits, settings.block)
        self._layout: Layout | None = None
        self._values = torch.empty(0)
        """Kept because new memory of that size costs as much as its encoding; the padding is always zero."""
        self._errors = self._new_errors = torch.empty(0)
        self._part_error = self._new_part_error = torch.empty(0)
        """What this rank's own part of the average lost. The new ones count once the exchange has come to its end."""
        self._code.warm_up()

    def average(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """Encodes, swaps, averages this rank's part, encodes that, gathers all parts."""
        coarse = {name: gradient for name, gradient in gradients.items() if self._is_quantised(gradient)}
        whole = Layout.of({name: each for name, each in gradients.items() if name not in coarse}, self.world_size)
        if self._layout is None:
            self._place(Layout.of(coarse, self._multiple), flat.device)
        layout = self._layout
        assert layout is not None
        with self.encoding(flat):
            values, exact = self._values, torch.zeros(whole.size, device=flat.device)
            layout.pack(coarse, values)
            whole.pack(gradients, exact)
            sent = self._message(values, (self._errors, self._new_errors), exact, self.world_size)
        received = torch.empty_like(sent)
        self.wire.swap(received, sent)
        with self.encoding(flat):
            part, exact_part = self._sum(received, layout.size, whole.size)
            errors = self._part_error, self._new_part_error
            sent = self._message(part.div_(self.world_size), errors, exact_part.div_(self.world_size), 1)
        gathered = sent.new_empty(self.world_size, sent.shape[1])
        self.wire.gather(gathered.view(-1), sent.view(-1))
        self._errors, self._new_errors = self._new_errors, self._errors
        self._part_error, self._new_part_error = self._new_part_error, self._part_error
        self.bytes_sent += 2 * (self.world_size - 1) * sent.numel()
        with self.encoding(flat):
            self._decode(gathered, values.zero_(), exact)
            layout.unpack(values, coarse)
            whole.unpack(exact, gradients)

    def state(self) -> dict[str, torch.Tensor]:
        """The sender's errors, and those of this rank's part of the average, by parameter name."""
        if self._layout is None:
            return {}
        kept = {f"{ERROR}{name}": part.clone() for name, part in self._layout.parts(self._errors)}
        everybodys = torch.zeros_like(self._errors)
        everybodys[self._own(self._layout)] = self._part_error
        own = {f"{SHARD}{name}": part.clone() for name, part in self._layout.parts(everybodys) if part.any()}
        return {**kept, **own}

    def owed(self) -> dict[str, torch.Tensor]:
        """The sender's errors; those of the average as often as there are ranks to divide it by."""
        if self._layout is None:
            return {}
        total = self._errors.clone()
        total[self._own(self._layout)] += self.world_size * self._part_error
        return dict(self._layout.parts(total))

    def owe(self, owed: Mapping[str, torch.Tensor]) -> None:
        """Has these errors, and none of the average."""
        self._layout = None
        self.restore({f"{ERROR}{name}": each for name, each in owed.items()})

    def forget(self) -> None:
        """Has no errors."""
        self._errors.zero_()
        self._part_error.zero_()

    def regroup(self, rank: int, world_size: int) -> None:
        """Goes on in another group, where other ranks own other parts: what the average lost stays with this rank."""
        owed = {name: each * (world_size / self.world_size) for name, each in self.owed().items()}
        self._rank, self.world_size = rank, world_size
        self.owe(owed)

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Takes the errors back; of what lost the average, this rank's part at the size that the group has now."""
        errors = {name.removeprefix(ERROR): each for name, each in tensors.items() if name.startswith(ERROR)}
        if not errors:
            return
        lost = {name.removeprefix(SHARD): each for name, each in tensors.items() if name.startswith(SHARD)}
        layout = Layout.of(errors, self._multiple)
        self._place(layout, next(iter(errors.values())).device)
        layout.pack(errors, self._errors)
        everybodys = torch.zeros_like(self._errors)
        layout.pack(lost, everybodys)
        self._part_error.copy_(everybodys[self._own(layout)])

    @property
    def _multiple(self) -> int:
        return self.world_size * self._code.block

    def _is_quantised(self, gradient: torch.Tensor) -> bool:
        return gradient.dim() > 1 and gradient.numel() >= self._code.block

    def _place(self, layout: Layout, device: torch.device) -> None:
        self._layout = layout
        self._values = torch.zeros(layout.size, device=device)
        self._errors = torch.zeros(layout.size, device=device)
        self._part_error = torch.zeros(layout.size // self.world_size, device=device)
        self._new_errors, self._new_part_error = torch.zeros_like(self._errors), torch.zeros_like(self._part_error)

    def _own(self, layout: Layout) -> slice:
        length = layout.size // self.world_size
        return slice(self._rank * length, (self._rank + 1) * length)

    def _message(
        self, values: torch.Tensor, errors: tuple[torch.Tensor, torch.Tensor], exact: torch.Tensor, rows: int
    ) -> torch.Tensor:
        """Bytes for each of so many ranks: codes, scales, and what travels whole. `errors` are the old and the new ones."""
        codes = torch.empty(self._code.code_bytes(values.numel()), dtype=torch.uint8, device=values.device)
        scales = values.new_empty(self._code.scales(values.numel()))
        self._code.encode(values, *errors, codes, scales)
        return torch.cat([_bytes(each, rows) for each in (codes, scales, exact)], dim=1)

    def _read(self, message: torch.Tensor, values: int, exact: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Codes, scales and what travelled whole, of one rank's bytes for so many values."""
        lengths = [self._code.code_bytes(values), 4 * self._code.scales(values), 4 * exact]
        codes, scales, whole = message.split(lengths)
        return codes, scales.view(torch.float32), whole.view(torch.float32)

    def _sum(self, received: torch.Tensor, size: int, exact_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What all ranks sent for this rank's part, added up."""
        part = torch.zeros(size // self.world_size, device=received.device)
        exact_part = torch.zeros(exact_size // self.world_size, device=received.device)
        for row in received:
            codes, scales, whole = self._read(row, len(part), len(exact_part))
            self._code.add(codes, scales, part)
            exact_part.add_(whole)
        return part, exact_part

    def _decode(self, gathered: torch.Tensor, values: torch.Tensor, exact: torch.Tensor) -> None:
        """Fills the zeros in `values`, and `exact`, with the averages that the ranks sent."""
        parts, exacts = values.view(self.world_size, -1), exact.view(self.world_size, -1)
        for row, part, exact_part in zip(gathered, parts, exacts, strict=True):
            codes, scales, whole = self._read(row, len(part), len(exact_part))
            self._code.add(codes, scales, part)
            exact_part.copy_(whole)


def _bytes(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    return tensor.view(rows, -1).view(torch.uint8) if tensor.numel() else tensor.new_empty(rows, 0).view(torch.uint8)
