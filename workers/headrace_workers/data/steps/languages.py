"""How likely a text is in given languages: py3langid's model, walked by numba over a column's bytes.

A naive Bayes classifier over byte n-grams (Lui and Baldwin, 2012) whose model is part of the package: nothing is
downloaded. The answers are the package's own; its Python loop takes six times as long.
"""

import math
from collections.abc import Collection
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from py3langid.langid import MODEL_FILE, LanguageIdentifier

Array = Any
"""Of numpy."""

HEAD_CHARACTERS = 400
"""How much of a text is looked at: what follows changes no answer that was right, and takes time."""


class Model(NamedTuple):
    """An automaton that finds n-grams in bytes, and what each n-gram says of each language."""

    rows: Array
    """(states,) int32: where in `moves` a state's 256 begin."""
    moves: Array
    """(rows * 256,) uint16 or uint32: the state after a byte."""
    found: Array
    """(states,) int32: the n-gram that ends in a state, or -1."""
    weights: Array
    """(n-grams, classes) float32: the logarithm of its probability."""
    priors: Array
    """(classes,) float32."""
    classes: tuple[str, ...]
    """Codes of ISO 639, some of them twice, and zxx for what is no language."""


@cache
def model() -> Model:
    """The package's model, some 80 MB: once in a process."""
    packed = LanguageIdentifier.from_model_file(MODEL_FILE)
    return Model(
        np.asarray(packed.tk_row).astype(np.int32) * 256,
        np.asarray(packed.tk_nextmove),
        np.asarray(packed.tk_output, np.int32),
        packed.nb_ptc.astype(np.float32),
        packed.nb_pc.astype(np.float32),
        tuple(packed.nb_classes),
    )


def chances(text: pa.ChunkedArray, languages: Collection[str]) -> np.ndarray:
    """The probability (n,) float64 that each text is in one of the languages; 0 for a missing one."""
    known = model()
    wanted = np.array([name in languages for name in known.classes])
    return np.concatenate([np.zeros(0), *(_chances(chunk, known, wanted) for chunk in text.chunks)])


def _chances(text: pa.Array, known: Model, wanted: np.ndarray) -> np.ndarray:
    head = _brought_to_form(pc.utf8_slice_codeunits(pc.fill_null(text, ""), 0, HEAD_CHARACTERS))
    _, offsets, data = head.cast(pa.large_string()).buffers()
    ends = np.frombuffer(offsets, np.int64, len(head) + 1)
    content = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    found = np.zeros(len(head))
    _fill(content, ends, known.rows, known.moves, known.found, known.weights, known.priors, wanted, found)
    return found


def _brought_to_form(text: pa.Array) -> pa.Array:
    """As the model has learnt it: composed, and what is all in capitals in small letters."""
    wide = pc.invert(pc.string_is_ascii(text))
    if pc.any(wide).as_py():
        text = pc.replace_with_mask(text, wide, pc.utf8_normalize(text.filter(wide), "NFC"))
    loud = pc.utf8_is_upper(text)
    return pc.replace_with_mask(text, loud, pc.utf8_lower(text.filter(loud)))


@njit(nogil=True)
def _fill(
    content: Array,
    ends: Array,
    rows: Array,
    moves: Array,
    found: Array,
    weights: Array,
    priors: Array,
    wanted: Array,
    chances: Array,
) -> None:
    counts, seen = np.zeros(weights.shape[0], np.int32), np.empty(weights.shape[0], np.int32)
    scores = np.empty(priors.size, np.float32)
    for text in range(chances.size):
        state, distinct = 0, 0
        for at in range(ends[text], ends[text + 1]):
            state = moves[rows[state] + content[at]]
            feature = found[state]
            if feature >= 0:
                if counts[feature] == 0:
                    seen[distinct] = feature
                    distinct += 1
                counts[feature] += 1
        if distinct == 0:
            continue
        scores[:] = priors
        for place in range(distinct):
            feature = seen[place]
            weight = np.float32(math.log1p(counts[feature]))
            counts[feature] = 0
            for each in range(scores.size):
                scores[each] += weight * weights[feature, each]
        # As the package does it: this root keeps the probabilities of long texts from all being 0 or 1.
        scale = math.sqrt(ends[text + 1] - ends[text])
        best, inside, everywhere = scores.max(), 0.0, 0.0
        for each in range(scores.size):
            share = math.exp((scores[each] - best) / scale)
            everywhere += share
            if wanted[each]:
                inside += share
        chances[text] = inside / everywhere
