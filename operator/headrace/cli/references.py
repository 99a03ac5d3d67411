"""How people name objects: `digits`, `trainjob/digits`, `tj/digits`. Finds which object is meant, or says which are close."""

import difflib
from collections.abc import Iterable, Sequence

from headrace.api.crds import PLURALS, SHORT_NAMES
from headrace.api.meta import Kind, ObjectKey
from headrace.cli.errors import REFUSED, Sentence

KIND_WORDS: dict[str, Kind] = {
    word: kind
    for kind in Kind
    for word in (str(kind).lower(), PLURALS[kind], SHORT_NAMES[kind], f"{PLURALS[kind]}.headrace.dev")
}


def parse_kind(word: str) -> Kind:
    """The kind that a word means: singular, plural or short; Sentence for another word."""
    kind = KIND_WORDS.get(word.lower())
    if kind is None:
        close = difflib.get_close_matches(word.lower(), KIND_WORDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"write one of {', '.join(str(kind).lower() for kind in Kind)}"
        raise Sentence(f"{word} is not a kind; {hint}", REFUSED)
    return kind


def parse_reference(text: str) -> tuple[Kind | None, str]:
    """The kind, if one is written, and the name of `kind/name` or `name`."""
    word, slash, name = text.partition("/")
    return (parse_kind(word), name) if slash else (None, text)


NOTHING = "the state folder has no objects; `headrace run FILE` makes some"


def find_keys(text: str, keys: Iterable[ObjectKey], nothing: str = NOTHING) -> list[ObjectKey]:
    """The objects that a reference means, one at least; Sentence with close matches, or with `nothing`, if there is none."""
    known = sorted(keys, key=str)
    kind, name = parse_reference(text)
    found = [key for key in known if key.name == name and kind in (None, key.kind)]
    if found:
        return found
    if not known:
        raise Sentence(f"there is no {text}: {nothing}", REFUSED)
    close = difflib.get_close_matches(name, sorted({key.name for key in known}), n=3, cutoff=0.5)
    near = [key for key in known if key.name in close]
    hint = f"did you mean {' or '.join(map(spell, near))}?" if near else f"there are: {', '.join(map(spell, known))}"
    raise Sentence(f"there is no {text}; {hint}", REFUSED)


def find_key(text: str, keys: Sequence[ObjectKey], nothing: str = NOTHING) -> ObjectKey:
    """The one object that a reference means; Sentence if there is none, or several of different kinds."""
    found = find_keys(text, keys, nothing)
    if len(found) > 1:
        raise Sentence(f"{text} means {' and '.join(map(spell, found))}; write one of these", REFUSED)
    return found[0]


def spell(key: ObjectKey) -> str:
    """A key as it can be typed: trainjob/digits."""
    return f"{str(key.kind).lower()}/{key.name}"
