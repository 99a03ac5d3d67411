"""redact: replaces private data in text by its kind. What has a check digit is known by it, the rest by its form.

Arrow looks through all texts of a batch for hints by RE2; Python only sees the texts that have one. Kinds are replaced
one after the other, so that the digits of an account are no telephone number any more when those are looked for.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.steps import Entity, Redact
from headrace_workers.data.entities import credit_card, email, iban, ip_address, phone
from headrace_workers.data.steps.step import Context, Outcome, text_of, with_column
from headrace_workers.faults import RunFault

ALONE = Context("redact")
"""Where the step stands when it is called by itself."""

FINDERS = {
    Entity.EMAIL: email,
    Entity.IBAN: iban,
    Entity.CREDIT_CARD: credit_card,
    Entity.IP_ADDRESS: ip_address,
    Entity.PHONE: phone,
}
"""In the order in which they are replaced."""

Find = Callable[[str], Iterable[tuple[int, int]]]


def apply(table: pa.Table, settings: Redact, context: Context = ALONE) -> Outcome:
    """The table with the column's private data replaced; missing texts stay missing."""
    text = text_of(table, settings.column, context.place).combine_chunks()
    return Outcome(with_column(table, settings.column, redacted(text, settings, context.place)))


def columns_of(settings: Redact) -> tuple[str, ...]:
    """The columns that hold what is private."""
    return (settings.column,)


def concealer(settings: Redact, context: Context = ALONE) -> Callable[[str, str, str], str]:
    """What makes of one value, of a column and a record, what the step makes of it."""
    searches = _searches(settings, context.place)
    return lambda text, _column, _record: _replaced_all(text, searches)


def redacted(texts: pa.Array, settings: Redact, place: str = ALONE.place) -> pa.Array:
    """The texts with their private data replaced."""
    searches = _searches(settings, place)
    marked = pc.indices_nonzero(pc.match_substring_regex(texts, "|".join(hint for _, hint, _ in searches)))
    hinted = texts.take(marked)
    found = hinted.to_pylist()
    for search in searches:
        for row in pc.indices_nonzero(pc.match_substring_regex(hinted, search[1])).to_pylist():
            found[row] = _replaced_all(found[row], (search,))
    is_marked = pc.is_in(pa.array(range(len(texts)), pa.uint64()), marked)
    return pc.replace_with_mask(texts, is_marked, pa.array(found, texts.type))


Search = tuple[str, str, Find]
"""What is written instead, the hint, and the finder."""


def _searches(settings: Redact, place: str) -> Sequence[Search]:
    if Entity.PERSON in settings.entities:
        raise RunFault(
            "NotSupported", f"{place}.entities Person is not available in this version; remove it from the entities"
        )
    finds: dict[Entity, Find] = {kind: module.find for kind, module in FINDERS.items()}
    finds[Entity.PHONE] = partial(phone.find, bare=settings.bare_numbers)
    return [(f"[{kind}]", module.HINT, finds[kind]) for kind, module in FINDERS.items() if kind in settings.entities]


def _replaced_all(text: str, searches: Sequence[Search]) -> str:
    for instead, _, find in searches:
        text = _replaced(text, find, instead)
    return text


def _replaced(text: str, find: Find, instead: str) -> str:
    parts, end = list[str](), 0
    for start, after in find(text):
        parts += (text[end:start], instead)
        end = after
    return "".join((*parts, text[end:])) if parts else text
