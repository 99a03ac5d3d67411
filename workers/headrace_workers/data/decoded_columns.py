"""What is to be known of a decoded column, and travels in its metadata: the bytes that it was made of, and a sound's rate."""

import pyarrow as pa

SOURCE_KEY = b"headrace.decodedFrom"
RATE_KEY = b"headrace.sampleRate"


def decoded_metadata(source: str, rate: int | None = None) -> dict[bytes, bytes]:
    """The metadata of a column made of the bytes in `source`; of sounds, of so many samples a second."""
    return {SOURCE_KEY: source.encode(), **({RATE_KEY: str(rate).encode()} if rate else {})}


def source_of(field: pa.Field) -> str | None:
    """The column of bytes that the column was made of, if it was decoded."""
    return _found(field, SOURCE_KEY)


def rate_of(field: pa.Field) -> int | None:
    """The samples a second, if the column is one of sounds."""
    rate = _found(field, RATE_KEY)
    return None if rate is None else int(rate)


def _found(field: pa.Field, key: bytes) -> str | None:
    return field.metadata[key].decode() if field.metadata and key in field.metadata else None
