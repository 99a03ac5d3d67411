"""Which reader reads which partitions."""

from collections.abc import Iterable, Sequence


def shared(partitions: Iterable[str], readers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The partitions of each reader, as even as can be; the same for the same readers."""
    names = sorted(partitions)
    return {reader: tuple(names[place :: len(readers)]) for place, reader in enumerate(sorted(readers))}
