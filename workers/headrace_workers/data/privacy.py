"""What a pipeline hides in its table, it hides in the quarantine and in messages: the same values, the same way.

A bad record meets the steps that it would have met. The value for which it is bad is withheld, as it may be another
column's, and what has the form of private data is replaced in all columns. Where columns could not be told apart, all is
withheld: half of a card's number has no check digit. The source still has it, where the quarantine says.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.api.steps import Redact
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.recipe import Work
from headrace_workers.data.steps import PRIVATE, REWRITING, redact
from headrace_workers.data.steps.step import WITHHELD
from headrace_workers.faults import RunFault

Conceal = Callable[[str, str, str], str]

REPLACE_EVERY_FORM: Conceal = redact.concealer(Redact(entities=tuple(redact.FINDERS)))


@dataclass(frozen=True)
class Hiding:
    """What hides values of single records: the columns that some step hides, and the steps that are still to be done to them.

    Of a step its columns, and what it makes of a value, its column, its record.
    """

    columns: frozenset[str] = frozenset()
    steps: tuple[tuple[tuple[str, ...], Conceal], ...] = ()

    @classmethod
    def of(cls, all_works: Sequence[Work], still: Sequence[Work]) -> "Hiding":
        """Of all works that rewrite values, and those still to do; RunFault if one lacks its key."""
        return cls(
            frozenset(
                name for work in all_works if work.hides for name in PRIVATE[work.name].columns_of(work.settings)
            ),
            tuple(
                (step.columns_of(work.settings), step.concealer(work.settings, work.context))
                for step, work in ((REWRITING[work.name], work) for work in still)
            ),
        )

    def after(self, done: int) -> "Hiding":
        """What is left to hide once so many of the steps are done."""
        return replace(self, steps=self.steps[done:])

    def hidden(self, bad: Sequence[BadRecord]) -> tuple[BadRecord, ...]:
        """The records as the quarantine may have them."""
        return tuple(self._hidden(record) for record in bad) if self.columns else tuple(bad)

    def _hidden(self, bad: BadRecord) -> BadRecord:
        if isinstance(bad.record, str):
            return replace(bad, record=WITHHELD)
        fields = dict(bad.record)
        for columns, conceal in self.steps:
            record = str(fields.get("id"))
            fields |= {name: _concealed(fields[name], name, record, conceal) for name in columns if name in fields}
        hidden = {name for name in fields.keys() & self.columns if fields[name] is not None}
        for name in fields.keys() - self.columns:
            shown = WITHHELD if name == bad.column else _formless(fields[name])
            hidden |= {name} if shown is not fields[name] and shown != fields[name] else set()
            fields[name] = shown
        position = bad.position
        if position == f"record {bad.record.get('id')}":
            position = f"record {fields.get('id')}"
        return replace(bad, record=fields, position=position, hidden=tuple(sorted(hidden)))


def _concealed(value: Any, column: str, record: str, conceal: Conceal) -> Any:
    if value is None:
        return None
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return conceal(str(value), column, record)
    return WITHHELD


def _formless(value: Any) -> Any:
    return quiet(value) if isinstance(value, str) else value


def quiet(message: str) -> str:
    """A message without what has the form of private data: a file without a header has values for its columns' names."""
    return REPLACE_EVERY_FORM(message, "", "")


def unexpected(error: Exception) -> RunFault:
    """A fault that says where an error came up, and not what it says: libraries quote the values that they choke on."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return RunFault(
        "UnexpectedError",
        f"{type(error).__name__} in {Path(where.filename).name} line {where.lineno}; its words may quote a record and are withheld, as the pipeline hides values",
        retryable=True,
    )
