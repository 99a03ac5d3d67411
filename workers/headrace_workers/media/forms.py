"""What encoded bytes are, by how they begin: a file's name may say anything."""

from headrace_workers.media.undecodable import Undecodable

SOUND, IMAGE = "WAV, FLAC, OGG or MP3", "PNG or JPEG"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
MPEG_SYNC_BITS = 0xE0
"""An MPEG frame begins with eleven ones."""


def require_sound(content: bytes) -> str:
    """WAV, FLAC, OGG or MP3; Undecodable if it is none of them."""
    _require_some(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "WAV"
    if content[:4] == b"fLaC":
        return "FLAC"
    if content[:4] == b"OggS":
        return "OGG"
    if content[:3] == b"ID3" or (content[0] == 0xFF and len(content) > 1 and content[1] >= MPEG_SYNC_BITS):
        return "MP3"
    raise _unknown(SOUND)


def require_image(content: bytes) -> str:
    """PNG or JPEG; Undecodable if it is neither."""
    _require_some(content)
    if content.startswith(PNG_SIGNATURE):
        return "PNG"
    if content.startswith(JPEG_SIGNATURE):
        return "JPEG"
    raise _unknown(IMAGE)


def _require_some(content: bytes) -> None:
    if not content:
        raise Undecodable("EmptyFile", "is empty")


def _unknown(known: str) -> Undecodable:
    return Undecodable("UnknownForm", f"does not begin as {known} does")
