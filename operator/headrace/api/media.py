"""The steps of a DataPipeline that treat sound and images."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from headrace.api.base import Column, Model, Rule

Content = Annotated[Column, Field(description="The column of encoded bytes.")]
KeepContent = Annotated[
    bool,
    Field(
        description="Whether the encoded bytes stay in the table: without them it is smaller, nobody can listen or look, and no probe can send them."
    ),
]
Pixels = Annotated[int, Field(ge=1, le=8192)]
MelCount = Annotated[int, Field(ge=4, le=512)]

OTHER_COLUMN = Rule(
    "self.into != self.column",
    "into must be another column than column, which holds the encoded bytes",
    lambda d: d.into != d.column,
)


class DecodeSound(Model):
    """Adds a column of samples, between -1 and 1, of WAV, FLAC, OGG or MP3: one channel, one rate. What cannot be decoded goes to the quarantine."""

    column: Content = "content"
    into: Annotated[Column, Field(description="The column that is added: a list of samples for each sound.")] = "sound"
    sample_rate: Annotated[
        int, Field(ge=1000, le=192_000, description="The samples a second that every sound is resampled to.")
    ] = 16_000
    trim_decibels: Annotated[
        float | None,
        Field(
            ge=1.0,
            le=120.0,
            description="What is quieter by more than the loudest 10 ms is cut off the beginning and the end.",
        ),
    ] = None
    seconds: Annotated[
        float | None,
        Field(
            ge=0.01,
            le=3600.0,
            description="The length of every sound, which ends there or in silence; absent, each keeps its own, and no model can learn from them.",
        ),
    ] = None
    max_seconds: Annotated[
        float, Field(ge=0.01, le=36_000.0, description="A longer sound is bad: it would not fit into memory.")
    ] = 60.0
    keep_content: KeepContent = True
    rules = (OTHER_COLUMN,)


class SoundMethod(StrEnum):
    """What is heard in a sound."""

    LOG_MEL = "LogMel"
    MFCC = "Mfcc"


class MelScale(StrEnum):
    """How pitch follows frequency, and how high the filters are."""

    HTK = "Htk"
    SLANEY = "Slaney"


class SoundFeatures(Model):
    """Makes features of each sound that decodeSound made: a list for each frame. The column of samples gives way to them."""

    column: Annotated[Column, Field(description="The column of samples.")] = "sound"
    into: Annotated[Column, Field(description="The column that is added.")] = "features"
    method: Annotated[
        SoundMethod,
        Field(
            description="LogMel: the logarithm of the power in bands of the mel scale. Mfcc: their cosine transform (Davis and Mermelstein, 1980)."
        ),
    ] = SoundMethod.LOG_MEL
    mels: Annotated[MelCount, Field(description="The bands of the mel scale.")] = 40
    coefficients: Annotated[int, Field(ge=2, le=512, description="The coefficients that an Mfcc keeps.")] = 13
    window_milliseconds: Annotated[float, Field(ge=1.0, le=1000.0, description="The length of a frame.")] = 25.0
    hop_milliseconds: Annotated[float, Field(ge=1.0, le=1000.0, description="From one frame to the next.")] = 10.0
    low_hertz: Annotated[float, Field(ge=0.0, le=96_000.0, description="Where the lowest band begins.")] = 0.0
    high_hertz: Annotated[
        float | None,
        Field(ge=1.0, le=96_000.0, description="Where the highest band ends; absent, at half of the sample rate."),
    ] = None
    mel_scale: Annotated[
        MelScale,
        Field(
            description="Slaney: of the Auditory Toolbox (1998), bands of equal area. Htk: of the HTK Book (2006), bands of equal height."
        ),
    ] = MelScale.SLANEY
    rules = (
        Rule(
            "self.method != 'Mfcc' || self.coefficients <= self.mels",
            "coefficients of an Mfcc must be at most mels",
            lambda f: f.method != SoundMethod.MFCC or f.coefficients <= f.mels,
        ),
        Rule(
            "!has(self.highHertz) || self.lowHertz < self.highHertz",
            "lowHertz must be below highHertz",
            lambda f: f.high_hertz is None or f.low_hertz < f.high_hertz,
        ),
    )


class AugmentSound(Model):
    """Makes altered copies of sounds of the training split, before features are made of them."""

    column: Annotated[Column, Field(description="The column of samples.")] = "sound"
    gain_decibels: Annotated[float, Field(ge=0.0, le=60.0, description="How much louder or quieter at most.")] = 0.0
    noise_decibels: Annotated[
        float | None,
        Field(
            ge=-40.0,
            le=120.0,
            description="The signal-to-noise ratio at which white noise is added; absent, none is.",
        ),
    ] = None
    shift_milliseconds: Annotated[
        float, Field(ge=0.0, le=60_000.0, description="How much later or earlier at most; silence takes the place.")
    ] = 0.0
    copies: Annotated[int, Field(ge=1, le=100, description="Altered copies of each record.")] = 1


class Color(StrEnum):
    """What a pixel says."""

    GRAY = "Gray"
    RGB = "Rgb"


class DecodeImage(Model):
    """Adds a column of pixels, from 0 to 255, of PNG or JPEG: of one size, and in one sort of colour. What cannot be decoded goes to the quarantine."""

    column: Content = "content"
    into: Annotated[
        Column, Field(description="The column that is added: a list of pixels for each image, row after row.")
    ] = "image"
    width: Annotated[Pixels, Field(description="The width that every image is brought to.")]
    height: Annotated[Pixels, Field(description="The height that every image is brought to.")]
    color: Annotated[
        Color, Field(description="Gray: one number a pixel. Rgb: an image of red, one of green, one of blue.")
    ] = Color.RGB
    min_width: Annotated[Pixels, Field(description="Narrower images are dropped, counted as filtered.")] = 1
    min_height: Annotated[Pixels, Field(description="Lower images are dropped, counted as filtered.")] = 1
    keep_content: KeepContent = True
    rules = (OTHER_COLUMN,)
