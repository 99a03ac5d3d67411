"""The largest values of each chunk of 4,096, and their places in it as 16-bit integers."""

from collections.abc import Sequence

import torch

CHUNK = 4096


def pick(values: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places (rows, count; int64) and values of the `count` largest magnitudes of each chunk, in falling order.

    What is not a number counts as largest. `values` is a flat vector of whole chunks.
    """
    rows = values.view(-1, CHUNK)
    places = rows.abs().topk(count, dim=1).indices
    return places, rows.gather(1, places)


def take_away(values: torch.Tensor, places: torch.Tensor, taken: torch.Tensor) -> None:
    """Subtracts what was taken from its places."""
    values.view(-1, CHUNK).scatter_add_(1, places, -taken)


def clear(values: torch.Tensor, places: torch.Tensor) -> None:
    """Sets the places to zero."""
    values.view(-1, CHUNK).scatter_(1, places, 0.0)


def put(out: torch.Tensor, places: torch.Tensor, values: torch.Tensor) -> None:
    """Adds the values at their places to a flat vector of whole chunks."""
    out.view(-1, CHUNK).scatter_add_(1, places, values)


def as_bytes(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The parts one behind the other, as one vector of bytes."""
    return torch.cat([part.contiguous().view(-1).view(torch.uint8) for part in parts])


def from_bytes(data: torch.Tensor, parts: Sequence[tuple[torch.dtype, Sequence[int]]]) -> list[torch.Tensor]:
    """The parts of these types and shapes, which `as_bytes` put together."""
    lengths = [torch.Size(shape).numel() * dtype.itemsize for dtype, shape in parts]
    # A type wants its own alignment, which a piece of a message need not have.
    return [
        piece.clone().view(dtype).view(shape) for piece, (dtype, shape) in zip(data.split(lengths), parts, strict=True)
    ]
