"""redact: private data in text is replaced by its kind, and all else stays as it was."""

from typing import Any

import pyarrow as pa
import pytest

from headrace.api.steps import Redact
from headrace_workers.data.steps import redact
from headrace_workers.faults import RunFault

EVERY = [str(kind) for kind in redact.FINDERS]


def redacted(*texts: str | None, entities: list[str] = EVERY, **settings: Any) -> list[str | None]:
    """What the step makes of texts; the concealer makes the same of each."""
    chosen = Redact.model_validate({"entities": entities, **settings})
    found = redact.apply(pa.table({"text": pa.array(texts, pa.string())}), chosen).table["text"].to_pylist()
    conceal = redact.concealer(chosen)
    assert found == [None if text is None else conceal(text, "text", "1") for text in texts]
    return found


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("mail anna@example.com or 030 1234567", "mail [Email] or [Phone]"),
        ("0301234567@example.com", "[Email]"),
        ("DE89 3704 0044 0532 0130 00 and 4111 1111 1111 1111", "[Iban] and [CreditCard]"),
        ("from 192.0.2.7 to 2001:db8::1", "from [IpAddress] to [IpAddress]"),
        ("a@b.example,c@d.example", "[Email],[Email]"),
        ("on 2024-05-12 for 12.50", "on 2024-05-12 for 12.50"),
        ("", ""),
    ],
)
def test_each_kind_gets_its_name(text: str, without: str) -> None:
    """Several in one text; what is done twice is as if done once."""
    assert redacted(text) == redacted(without) == [without]


def test_missing_texts_stay_missing_and_every_text_keeps_its_place() -> None:
    """Only some of the texts have anything to replace."""
    assert redacted(None, "plain", "a@b.example", None, "", "call 030 1234567") == [
        None,
        "plain",
        "[Email]",
        None,
        "",
        "call [Phone]",
    ]
    assert redacted() == []


def test_only_the_kinds_asked_for_are_replaced() -> None:
    """An address stays where cards are meant."""
    assert redacted("a@b.example 4111111111111111", entities=["CreditCard"]) == ["a@b.example [CreditCard]"]


def test_digits_alone_are_replaced_on_request() -> None:
    """bareNumbers takes what may be a telephone number."""
    assert redacted("12345678 on 2024-05-12 978-3-16-148410-0", bareNumbers=True) == [
        "[Phone] on 2024-05-12 978-3-16-148410-0"
    ]
    assert redacted("12345678 1234567890123456", bareNumbers=True) == ["[Phone] 1234567890123456"]


def test_names_are_refused() -> None:
    """They have no form."""
    with pytest.raises(RunFault, match=r"redact\.entities Person is not available in this version; remove it"):
        redacted("Anna", entities=["Person", "Email"])


def test_other_columns_and_what_they_say_of_themselves_stay() -> None:
    """Slices and chunks too."""
    table = pa.concat_tables([pa.table({"id": [n], "text": [f"{n} a@b.example"]}) for n in range(3)]).slice(1)
    found = redact.apply(table, Redact.model_validate({"entities": ["Email"]})).table
    assert found.to_pylist() == [{"id": 1, "text": "1 [Email]"}, {"id": 2, "text": "2 [Email]"}]


@pytest.mark.parametrize(
    ("piece", "instead"),
    [
        ("1 ", None), ("01 2 3x ", None), ("1 2 3 4 5 6 7 8 9 0 1 2 3 4x ", None), ("a@b.example ", "[Email] "), ("(212) 555-0123;", "[Phone];"), ("a@", None), ("a.", None), ("@a.", None),
        (":", None), ("1:", None), ("1.", None), ("DE89", None), ("(", None), ("+1(", None), ("4111 1111 1111 1112 ", None),
    ],
)  # fmt: skip
def test_no_text_takes_for_ever(piece: str, instead: str | None) -> None:
    """So much of what is something, or nearly is, over which a search that looks at all pairs would take an hour."""
    count = 200_000 // len(piece)
    (found,) = redacted(piece * count)
    assert found == (instead or piece) * count
