"""E-mail addresses are found whole, whatever stands around them."""

import pytest

from headrace_workers.data.entities import email
from tests.workers.data.entities.found import found


@pytest.mark.parametrize(
    "address",
    [
        "anna@example.com",
        "anna.schmidt+news@mail.example.co.uk",
        "o'neil_7@example.org",
        "müller@bücher.example",
        "用户@例子.公司",
        "a@xn--bcher-kva.example",
        '"anna schmidt"@example.com',
        "root@[192.0.2.7]",
        "x" * 64 + "@example.museum",
    ],
)
@pytest.mark.parametrize("text", ["{}", "to <{}>, please", "mailto:{}.", "a@b {} @c"])
def test_an_address_is_found(address: str, text: str) -> None:
    """Alone, in brackets, before a full stop, beside what is none."""
    assert found(email, text.format(address)) == [address]


@pytest.mark.parametrize(
    "text", ["", "@anna", "anna@", "anna@localhost", "3 @ 5.00", "a @b.com", "@dataclass.field", "x@1.5"]
)
def test_what_is_no_address_stays(text: str) -> None:
    """A mention, a price, a decorator."""
    assert found(email, text) == []
