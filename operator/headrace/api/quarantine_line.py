"""A line of the quarantine: written by a run, repaired by a person, read again by a run or by `headrace replay`.

What was hidden stands in it as it was hidden, with a digest; so a line tells by itself whether its repaired record gives
that value anew. A marker of what was hidden must never land as data.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, ValidationError

from headrace.api.base import Model

WITHHELD = "[withheld]"
"""What stands where a private value would."""
RECORD = "record "
"""What the source of a record begins with that is known by its id."""
WHOLE = ""
"""The name, among what is hidden, of a record whose columns could not be told apart."""


class NotALine(ValueError):
    """Why a line is none of the quarantine, in a sentence."""


class QuarantineLine(Model):
    """One bad record, or one that was repaired."""

    stage: Annotated[str, Field(description="Where it could not go on: source, or the step.")] = ""
    code: Annotated[str, Field(description="What was wrong, in one word.")] = ""
    message: Annotated[str, Field(description="What was wrong, in a few words.")] = ""
    source: Annotated[str, Field(min_length=1, description="Where the record came from, or its id.")]
    record: Annotated[
        str | dict[str, Any],
        Field(
            description="The columns, as an object or as its JSON text; or the line of the source as it stood there."
        ),
    ]
    at: Annotated[str, Field(description="The message that it was, as topic/partition/offset.")] = ""
    version: Annotated[
        str, Field(description="What the file was that holds it: another digest is another content, with other lines.")
    ] = ""
    hidden: Annotated[
        dict[str, str],
        Field(description="The columns that are hidden here, with digests of what stands there instead."),
    ] = {}

    @property
    def columns(self) -> dict[str, Any] | None:
        """The record's columns; None where it is a line of the source as it stood there."""
        if isinstance(self.record, dict):
            return self.record
        try:
            found = json.loads(self.record)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def place(self) -> str:
        """Where the record came from, or its id: the same for all that became of one message."""
        return self.at or self.source.removeprefix(RECORD)

    @property
    def digest(self) -> str:
        """Equal for lines that bring the same record to the same place."""
        columns = self.columns
        return digest([self.source, self.record if columns is None else columns])

    @property
    def still_hidden(self) -> tuple[str, ...]:
        """The columns that hold what was put there to hide a value, sorted; WHOLE for a record that is hidden as such."""
        columns = self.columns
        if columns is None:
            return (WHOLE,) if self.record == WITHHELD else ()
        return tuple(
            sorted(
                name
                for name, value in columns.items()
                if value == WITHHELD or (name in self.hidden and self.hidden[name] == digest(value))
            )
        )


def digest(value: Any) -> str:
    """A short digest of a value of JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def parsed(text: bytes) -> QuarantineLine:
    """The line; NotALine with what is wrong."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise NotALine("is nested too deeply") from None
    except ValueError as error:
        raise NotALine(f"is not JSON ({error})") from None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NotALine("holds half of a character") from None
    if not isinstance(value, dict):
        raise NotALine("is no JSON object; each line has source and record, as the quarantine's lines do")
    try:
        return QuarantineLine.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"][:1]))
        raise NotALine(
            f"has a wrong field {place}: {first['msg']}; each line has source and record, as the quarantine's lines do"
        ) from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def numbered(texts: Iterable[bytes]) -> Iterable[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers from 1."""
    for number, text in enumerate(texts, 1):
        stripped = text.strip().removeprefix(b"\xef\xbb\xbf")
        if stripped:
            yield number, stripped


def hidden_words(line: QuarantineLine) -> str:
    """Why a line whose record still hides something is not replayed, as the end of a sentence."""
    if line.still_hidden == (WHOLE,):
        return f"{line.source} is {WITHHELD} as the pipeline hides values; write the whole record anew"
    names = ", ".join(line.still_hidden)
    return f"{line.source} does not have the value of {names} but what hides it; write the value anew, as the source has it"
