"""How the tests of entities ask: what is found in a text, and that its hint is in the text then."""

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def found(module: Any, text: str, **options: Any) -> list[str]:
    """What the finder finds; a text with a find has the hint, without which no column's text is looked at."""
    find: Callable[..., Iterable[tuple[int, int]]] = module.find
    entities = [text[start:end] for start, end in find(text, **options)]
    if entities:
        assert pc.match_substring_regex(pa.array([text]), module.HINT)[0].as_py()
    return entities
