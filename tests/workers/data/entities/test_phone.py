"""Telephone numbers as people of many countries write them; what only looks like one stays."""

import pytest

from headrace_workers.data.entities import phone
from tests.workers.data.entities.found import found

OWN_FORM = [
    "+49 30 1234567", "+49(0)30 1234567", "+49 (0) 30 1234567", "+1-212-555-0123", "+1 (212) 555-0123", "+442079460958", "(+358) 401234567",
    "+33 1 23 45 67 89", "+55 11 91234-5678", "0049 30 1234567", "001-212-555-0123x456", "030 1234567", "030/1234567", "(030) 1234567",
    "01 23 45 67 89", "01.23.45.67.89", "0123456789", "07700 900123", "(020) 7946 0958", "08-123 456 78", "090-1234-5678", "(212) 555-0123",
    "(212)555-0123", "212-555-0123", "212.555.0123", "212 555 0123", "1-212-555-0123", "212-555-0123 ext. 45", "212-555-0123x45",
    "8 (495) 123-45-67", "+\u06f9\u06f8 \u06f9\u06f1\u06f7 \u06f4\u06f3\u06f9 \u06f1\u06f5\u06f0\u06f0", "\u06f0\u06f9\u06f1\u06f7 \u06f4\u06f3\u06f9 \u06f1\u06f5\u06f0\u06f0", "22 123 45 67", "11 91234-5678", "0412 345 678",
]  # fmt: skip
NEEDS_A_WORD = ["2125550123", "12345678", "9123 4567", "9123-4567", "690 550 496", "91 23 45 67", "6671220132"]
OTHER = [
    "2024-05-12", "12.05.2024", "12/05/2024", "01-02-2024", "01.05.2024 10:30", "01/05/2024 10.30", "2024-05-12 10:30:00", "2019-2024", "2024-05-12T10:30:00Z",
    "$1234567.89", "1,234,567.89", "1 234 567", "0.1234567890", "3.14159265358", "48.137154, 11.576124",
    "v1.20.3", "10.0.19045.3448", "1.2.3", "192.168.100.200", "978-3-16-148410-0", "9780306406157", "order 1234567", "1700000000", "123456789012345",
    "4111 1111 1111 1111", "4111111111111111", "ABC0123456789", "page 12 of 345", "10 20 30 40", "12-14", "1914-18 1939-45", "+0.1234567",
]  # fmt: skip


@pytest.mark.parametrize("number", OWN_FORM)
@pytest.mark.parametrize("text", ["{}", "or {}.", "flat 7 {}, please", "({})"])
def test_a_number_of_its_own_form_is_found(number: str, text: str) -> None:
    """Wherever it stands; a bracket around it may go with it."""
    ((whole,)) = found(phone, text.format(number))
    assert number.strip("()") in whole and whole.strip("().") in f"({number})"


@pytest.mark.parametrize("number", NEEDS_A_WORD)
@pytest.mark.parametrize(
    "word", ["Phone: {}", "Tel. {}", "call me at {}", "my mobile is {}", "Telefon: {}", "☎ {}", "тел. {}"]
)
def test_a_word_makes_digits_a_number(number: str, word: str) -> None:
    """Of several languages."""
    assert found(phone, word.format(number)) == [number]


@pytest.mark.parametrize("number", NEEDS_A_WORD)
def test_digits_alone_are_a_number_on_request(number: str) -> None:
    """Without a word, only where `bare` asks for it."""
    assert found(phone, f"order {number}") == []
    assert found(phone, f"order {number}", bare=True) == [number]
    assert found(phone, f"2024-05-12 {number}", bare=True) == [number]


@pytest.mark.parametrize("text", OTHER)
def test_what_is_no_number_stays(text: str) -> None:
    """Dates, prices, plain and grouped integers, fractions, versions, addresses, ISBNs, cards."""
    assert found(phone, text) == []
    assert found(phone, f"on {text}, then") == []


@pytest.mark.parametrize(
    "text",
    [
        "call on 12.05.2024",
        "phone 2024-05-12",
        "call 3.14159265",
        "tel 978-3-16-148410-0",
        "fax since 2019-2024",
        "recall 1234567",
    ],
)
def test_a_word_makes_no_number_of_what_is_none(text: str) -> None:
    """A date after `call` is a date; a word that only ends like one is none."""
    assert found(phone, text) == []


@pytest.mark.parametrize("number", ["030 1234567", "030 12345", "+49 30 1234567", "020 7946 0958", "212-555-0123"])
def test_of_several_numbers_none_is_left(number: str) -> None:
    """Even with nothing but a space between them."""
    for count in (2, 3, 5):
        text = " ".join([number] * count)
        for entity in found(phone, text):
            text = text.replace(entity, "", 1)
        assert text.strip() == ""
