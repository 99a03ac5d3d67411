"""augment.text: texts with words left out or moved (Wei and Zou, 2019) and typing errors (Belinkov and Bisk, 2018).

Words are what white space separates, so that a text in a script without it is one word, which only typing errors change.
"""

import re
from enum import IntEnum

import numpy as np
import pyarrow as pa

from headrace.api.steps import AugmentText
from headrace_workers.data.steps.step import text_of

WHITE_SPACE = re.compile(r"(\s+)")


class Slip(IntEnum):
    """What happens to a letter that is mistyped."""

    DOUBLED = 0
    REPLACED = 1
    LEFT_OUT = 2
    EXCHANGED = 3


ANYWHERE = 2
"""The slips, from the first on, that the last letter of a word may have: without the others no word ever vanishes."""


def altered(training: pa.Table, settings: AugmentText, generators: list[np.random.Generator], place: str) -> pa.Array:
    """The records' texts, each altered by its own generator; missing texts stay missing."""
    texts = text_of(training, settings.column, place)
    pairs = zip(texts.to_pylist(), generators, strict=True)
    return pa.array([None if text is None else alter(text, settings, each) for text, each in pairs], texts.type)


def alter(text: str, settings: AugmentText, generator: np.random.Generator) -> str:
    """A text with fewer words, in another order, mistyped; one of its words stays at least, and white space around it."""
    body = text.strip()
    if not body:
        return text
    before, _, after = text.partition(body)
    parts = WHITE_SPACE.split(body)
    words, spaces = _without_some(parts[::2], parts[1::2], settings.drop_words, generator)
    moved = _moved(words, settings.swap_words, generator)
    joined = "".join(word + space for word, space in zip(moved, [*spaces, ""], strict=True))
    return before + _mistyped(joined, settings.typing_errors, generator) + after


def _without_some(
    words: list[str], spaces: list[str], share: float, generator: np.random.Generator
) -> tuple[list[str], list[str]]:
    """The words that stay, and the white space between them: a word goes with what follows it."""
    stays = generator.random(len(words)) >= share
    if not stays.any():
        stays[generator.integers(len(words))] = True
    left = [word for word, stay in zip(words, stays, strict=True) if stay]
    return left, [space for space, stay in zip(spaces, stays[:-1], strict=True) if stay][: len(left) - 1]


def _moved(words: list[str], share: float, generator: np.random.Generator) -> list[str]:
    """Each of the chosen words in the place of another of them; a single one changes places with any other."""
    chosen = np.flatnonzero(generator.random(len(words)) < share)
    if len(chosen) == 1 and len(words) > 1:
        other = generator.integers(len(words) - 1)
        chosen = np.append(chosen, other + (other >= chosen[0]))
    order = generator.permutation(chosen)
    moved = list(words)
    for to, origin in zip(order, np.roll(order, 1), strict=True):
        moved[to] = words[origin]
    return moved


def _mistyped(text: str, share: float, generator: np.random.Generator) -> str:
    letters = [place for place, character in enumerate(text) if character.isalpha()]
    typed = list(text)
    for place in np.asarray(letters, np.int64)[generator.random(len(letters)) < share]:
        is_followed = text[place + 1 : place + 2].isalpha()
        match Slip(generator.integers(len(Slip) if is_followed else ANYWHERE)):
            case Slip.DOUBLED:
                typed[place] += text[place]
            case Slip.REPLACED:
                typed[place] = text[letters[generator.integers(len(letters))]]
            case Slip.LEFT_OUT:
                typed[place] = ""
            case Slip.EXCHANGED:
                typed[place], typed[place + 1] = typed[place + 1], typed[place]
    return "".join(typed)
