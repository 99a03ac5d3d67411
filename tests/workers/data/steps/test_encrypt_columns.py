"""encrypt: what was encrypted is read by its key, in its column, unchanged, or not at all; keys may follow each other."""

import pyarrow as pa
import pytest

from headrace.api.steps import Encrypt
from headrace_workers.data.steps import encrypt_columns
from headrace_workers.data.steps.encrypt_columns import decrypt
from headrace_workers.faults import RunFault
from tests.workers.data.secrets import SECRET

pytestmark = pytest.mark.usefixtures("given_keys")

TABLE = pa.table(
    {"id": ["r1", "r2", "r3", "r4"], "mail": ["a@b.example", "a@b.example", None, ""], "n": [7, 7, 8, None]}
)


def encrypted(key: str = "one", table: pa.Table = TABLE) -> pa.Table:
    """The table with two columns encrypted."""
    settings = Encrypt.model_validate({"columns": ["mail", "n"], "key": {"secret": "privacy", "id": key}})
    return encrypt_columns.apply(table, settings).table


def test_what_is_encrypted_can_be_read() -> None:
    """As text; missing values stay missing, other columns stay."""
    found = encrypted()
    assert all(value.startswith("hr1.one.") for value in found["mail"].to_pylist() if value is not None)
    assert "example" not in str(found.to_pylist())
    assert decrypt(found, ["mail", "n"], SECRET).to_pylist() == [
        row | {"n": None if row["n"] is None else str(row["n"])} for row in TABLE.to_pylist()
    ]


def test_equal_values_of_two_records_differ_and_a_repeated_run_writes_the_same() -> None:
    """Whoever reads the lake learns nothing from equality; a task that runs again changes no byte."""
    found = encrypted()
    one, two = found["mail"].to_pylist()[:2]
    assert one != two
    assert found == encrypted()
    assert found.select(["mail"]) != encrypted(table=TABLE.drop_columns("id")).select(["mail"])


def test_keys_are_rotated_without_losing_what_the_old_one_wrote() -> None:
    """A table of both is read by the Secret that has both, and not by one that has only the new key."""
    both = pa.concat_tables([encrypted("one"), encrypted("two")])
    assert decrypt(both, ["mail"], SECRET)["mail"].to_pylist() == TABLE["mail"].to_pylist() * 2
    with pytest.raises(RunFault, match="column mail row 1 was encrypted by the key one, which was not given; add it"):
        decrypt(both, ["mail"], {"two": SECRET["two"]})


def changed(value: str) -> str:
    """The value with another letter in the middle of what is encrypted."""
    return value[:20] + ("A" if value[20] != "A" else "B") + value[21:]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda mail, n: changed(mail), "column mail row 1 cannot be read by the key one"),
        (lambda mail, n: n, "column mail row 1 cannot be read by the key one"),
        (lambda mail, n: mail[:-1], "column mail row 1 cannot be read by the key one"),
        (lambda mail, n: mail.replace(".one.", ".two."), "column mail row 1 cannot be read by the key two"),
        (lambda mail, n: "hr1.one.", "column mail row 1 cannot be read by the key one"),
        (lambda mail, n: "a@b.example", "column mail row 1 is not encrypted"),
    ],
)
def test_what_was_tampered_with_is_not_read(value: object, words: str) -> None:
    """A changed letter, a value of another column, a cut one, another key's name, no ciphertext."""
    found = encrypted()
    forged = value(found["mail"][0].as_py(), found["n"][0].as_py())  # type: ignore[operator]
    with pytest.raises(RunFault, match=words) as caught:
        decrypt(pa.table({"mail": [forged]}), ["mail"], SECRET)
    assert "example" not in caught.value.message
