"""hash: equal values become equal pseudonyms, others others, and only who has the key can make them."""

import hmac

import pyarrow as pa
import pytest

from headrace.api.steps import Hash
from headrace_workers.data.steps import hash_columns
from headrace_workers.faults import RunFault
from tests.workers.data.secrets import KEYS

SETTINGS = Hash.model_validate({"columns": ["mail", "to"], "key": {"secret": "privacy", "id": "one"}})

pytestmark = pytest.mark.usefixtures("given_keys")


def test_equal_values_stay_equal_in_all_columns() -> None:
    """Missing ones stay missing; whole numbers are hashed as they are written."""
    table = pa.table(
        {"mail": ["a@b.example", "c@d.example", None], "to": pa.array(["c@d.example", "7", ""]), "n": [1, 2, 3]}
    )
    found = hash_columns.apply(table, SETTINGS).table
    mail, to = found["mail"].to_pylist(), found["to"].to_pylist()
    assert mail[1] == to[0] and mail[2] is None and len({*mail, *to}) == 5
    numbers = Hash.model_validate({"columns": ["n"], "key": {"secret": "privacy", "id": "one"}})
    assert hash_columns.apply(pa.table({"n": [7]}), numbers).table["n"].to_pylist() == [to[1]]
    assert found["n"].to_pylist() == [1, 2, 3]


def test_a_pseudonym_is_what_its_documentation_says() -> None:
    """HMAC-SHA-256 of the value under HMAC-SHA-256 of the purpose under the key."""
    own = hmac.digest(KEYS["one"], b"headrace.dev/hash", "sha256")
    wanted = hmac.new(own, b"a@b.example", "sha256").hexdigest()
    table = pa.table({"mail": ["a@b.example"], "to": ["x"]})
    assert hash_columns.apply(table, SETTINGS).table["mail"].to_pylist() == [wanted]
    other = Hash.model_validate({"columns": ["mail"], "key": {"secret": "privacy", "id": "two"}})
    assert hash_columns.apply(table, other).table["mail"].to_pylist() != [wanted]


def test_a_fraction_is_no_value_to_hash() -> None:
    """0.1 is written in more than one way."""
    with pytest.raises(RunFault, match="hash needs text or integers in the column mail, which holds double"):
        hash_columns.apply(pa.table({"mail": [0.1], "to": ["x"]}), SETTINGS)
