"""A sound that was cut off is found out by what it says of itself."""

import pytest

from headrace_workers.media import whole
from headrace_workers.media.undecodable import Undecodable
from tests.workers.sounds import encoded, tone


@pytest.mark.parametrize("form", ["WAV", "OGG"])
def test_what_is_all_there_passes(form: str) -> None:
    """A whole file is no less than it says."""
    whole.require_whole(encoded(tone(), form), form)


@pytest.mark.parametrize("form", ["WAV", "OGG"])
@pytest.mark.parametrize("missing", [1, 100, 2000])
def test_what_was_cut_off_is_said(form: str, missing: int) -> None:
    """From the last byte on."""
    with pytest.raises(Undecodable, match="is cut off") as caught:
        whole.require_whole(encoded(tone(), form)[:-missing], form)
    assert caught.value.code == "Truncated"


def test_a_wav_may_end_before_its_data() -> None:
    """A file that was cut off in its header has no data to count."""
    with pytest.raises(Undecodable, match="cut off before its data begin"):
        whole.require_whole(encoded(tone())[:36], "WAV")


def test_a_wav_of_unknown_length_passes() -> None:
    """A program that writes into a pipe cannot go back and say how much it wrote."""
    content = bytearray(encoded(tone()))
    content[40:44] = b"\xff\xff\xff\xff"
    whole.require_whole(bytes(content), "WAV")


def test_other_chunks_are_passed_over() -> None:
    """Before the data others may stand, also of odd lengths."""
    content = encoded(tone())
    whole.require_whole(content[:12] + b"note\x03\x00\x00\x00abc\x00" + content[12:], "WAV")


def test_other_forms_say_it_to_who_decodes_them() -> None:
    """A FLAC's samples are counted when they are decoded."""
    whole.require_whole(encoded(tone(), "FLAC")[:-100], "FLAC")
