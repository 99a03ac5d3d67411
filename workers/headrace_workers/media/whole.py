"""Whether encoded sound is all there: decoders play what is left of a file that was cut off, and say nothing.

WAV says how long its data are, OGG which page is its last. FLAC says how many samples it has, which who decodes it counts,
and so may MP3; of an MP3 that does not say so, the end cannot be known.
"""

from headrace_workers.media.undecodable import Undecodable

UNKNOWN_BYTES = 0x7FFF0000
"""From here on a length in a WAV is what a program wrote that could not go back to correct it."""
OGG_HEADER_BYTES = 27
OGG_LAST_PAGE = 4


def require_whole(content: bytes, form: str) -> None:
    """Undecodable if the file says of itself that it was longer."""
    if form == "WAV":
        _require_data(content)
    elif form == "OGG":
        _require_last_page(content)


def truncated(is_there: int, should_be: int, unit: str) -> Undecodable:
    """What is said of a file that was cut off."""
    return Undecodable("Truncated", f"is cut off: {is_there} of {should_be} {unit} are there")


def _require_data(content: bytes) -> None:
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        there = len(content) - at - 8
        if name == b"data":
            if there < size < UNKNOWN_BYTES:
                raise truncated(there, size, "bytes of sound")
            return
        # Chunks begin at even places.
        at += 8 + size + size % 2
    raise Undecodable("Truncated", "is cut off before its data begin")


def _require_last_page(content: bytes) -> None:
    at = content.rfind(b"OggS")
    header = content[at : at + OGG_HEADER_BYTES]
    if len(header) == OGG_HEADER_BYTES and header[5] & OGG_LAST_PAGE:
        segments = content[at + OGG_HEADER_BYTES : at + OGG_HEADER_BYTES + header[26]]
        whole = len(segments) == header[26] and len(content) >= at + OGG_HEADER_BYTES + header[26] + sum(segments)
        if whole:
            return
    raise Undecodable("Truncated", "is cut off: its last page is not there")
