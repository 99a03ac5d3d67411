"""Keys are named, and only named."""

import pytest
from pydantic import ValidationError

from headrace.api.keys import Key


def test_each_key_has_a_variable_of_its_own() -> None:
    """The Secret's name and the key's cannot run into each other, as neither has two hyphens in a row."""
    names = [("a", "b-c"), ("a-b", "c"), ("a", "b"), ("ab", "c"), ("a-b-c", "d")]
    assert [Key(secret=secret, id=key).variable for secret, key in names] == [
        "HEADRACE_KEY_A__B_C",
        "HEADRACE_KEY_A_B__C",
        "HEADRACE_KEY_A__B",
        "HEADRACE_KEY_AB__C",
        "HEADRACE_KEY_A_B_C__D",
    ]


@pytest.mark.parametrize("words", ["", "a--b", "-a", "a-", "A", "a_b", "a.b", "x" * 64, "a b"])
def test_other_names_are_refused(words: str) -> None:
    """A name that an environment could not hold, or that would be another key's."""
    with pytest.raises(ValidationError):
        Key(secret=words, id="a")
    with pytest.raises(ValidationError):
        Key(secret="a", id=words)
