"""augment.sound: sounds louder or quieter, earlier or later, with white noise."""

import numpy as np
import pyarrow as pa

from headrace.api.media import AugmentSound
from headrace_workers.data.decoded_columns import rate_of
from headrace_workers.data.steps.lists import arrays_of, column_of_arrays
from headrace_workers.faults import RunFault


def altered(training: pa.Table, settings: AugmentSound, generators: list[np.random.Generator], place: str) -> pa.Array:
    """The records' sounds, each altered by its own generator."""
    rate = rate_of(training.schema.field(settings.column))
    if rate is None:
        raise RunFault(
            "WrongColumnType",
            f"{place} needs sound that decodeSound made in the column {settings.column}; put it between decodeSound and soundFeatures",
        )
    sounds = arrays_of(training, settings.column, place)
    return column_of_arrays(
        [alter(samples, rate, settings, generator) for samples, generator in zip(sounds, generators, strict=True)]
    )


def alter(samples: np.ndarray, rate: int, settings: AugmentSound, generator: np.random.Generator) -> np.ndarray:
    """Samples (n,) of `rate` a second as (n,) float32; a loud one may exceed full scale, as nothing is clipped.

    The ratio of signal to noise is that of their powers over the whole sound; silence stays silent.
    """
    gain, shift = generator.uniform(-1.0, 1.0, 2) * (settings.gain_decibels, settings.shift_milliseconds * rate / 1000)
    moved = _moved(samples, int(np.rint(shift))) * np.float32(10 ** (gain / 20))
    if settings.noise_decibels is not None and len(moved):
        deviation = np.sqrt(np.mean(moved.astype(np.float64) ** 2)) * 10 ** (-settings.noise_decibels / 20)
        moved = moved + np.float32(deviation) * generator.standard_normal(len(moved), np.float32)
    return moved.astype(np.float32)


def _moved(samples: np.ndarray, shift: int) -> np.ndarray:
    moved = np.zeros_like(samples)
    shift = max(-len(samples), min(len(samples), shift))
    moved[max(0, shift) : len(samples) + min(0, shift)] = samples[max(0, -shift) : len(samples) - max(0, shift)]
    return moved
