"""What encoded bytes are is told by how they begin."""

import numpy as np
import pytest

from headrace_workers.media import forms
from headrace_workers.media.undecodable import Undecodable
from tests.workers.sounds import encoded, picture, tone


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_sound_is_known(form: str) -> None:
    """Each form of sound is known by its first bytes."""
    assert forms.require_sound(encoded(tone(), form)) == form


def test_an_mp3_may_begin_with_its_title() -> None:
    """An ID3 tag stands before the sound."""
    assert forms.require_sound(b"ID3\x04" + encoded(tone(), "MP3")) == "MP3"


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_images_are_known(form: str) -> None:
    """Each form of image is known by its first bytes."""
    assert forms.require_image(picture(np.zeros((4, 4), np.uint8), form)) == form


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "EmptyFile", "is empty"),
        (b"\xff", "UnknownForm", "does not begin as WAV, FLAC, OGG or MP3 does"),
        (b"RIFF\x00\x00\x00\x00AVI ", "UnknownForm", "does not begin as WAV, FLAC, OGG or MP3 does"),
        (picture(np.zeros((4, 4), np.uint8), "JPEG"), "UnknownForm", "does not begin as WAV, FLAC, OGG or MP3 does"),
    ],
)
def test_what_is_no_sound_is_said(content: bytes, code: str, said: str) -> None:
    """Nothing, too little, and other forms."""
    with pytest.raises(Undecodable, match=said) as caught:
        forms.require_sound(content)
    assert caught.value.code == code


def test_a_sound_is_no_image() -> None:
    """Each format has its own forms."""
    with pytest.raises(Undecodable, match="does not begin as PNG or JPEG does"):
        forms.require_image(encoded(tone()))
