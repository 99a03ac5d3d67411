"""encrypt: encrypts values by AES-256-GCM (NIST SP 800-38D), each bound to its column, with the name of its key in it.

A value becomes `hr1.<id of the key>.<base64url of 12 bytes of nonce, the ciphertext, 16 bytes of tag>`. The nonce is a
keyed hash of column, record and value (a synthetic one, after Rogaway and Shrimpton, 2006): a run that is repeated
writes the same bytes, two records with one value differ, and no nonce ever serves two values. `decrypt` reads what any of the
given keys wrote.
"""

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headrace.api.steps import Encrypt
from headrace_workers.data import keys
from headrace_workers.data.steps.step import Context, Outcome, column_of, with_column
from headrace_workers.data.steps.values import records_of, values_of
from headrace_workers.faults import RunFault

ALONE = Context("encrypt")
"""Where the step stands when it is called by itself."""

FORMAT = "hr1"
NONCE_BYTES = 12


def apply(table: pa.Table, settings: Encrypt, context: Context = ALONE) -> Outcome:
    """The table with each value of the columns encrypted; missing values stay missing."""
    conceal, records = concealer(settings, context), records_of(table)
    for column in settings.columns:
        values = values_of(table, column, context.place)
        encrypted = [
            None if value is None else conceal(value, column, record)
            for value, record in zip(values, records, strict=True)
        ]
        table = with_column(table, column, pa.array(encrypted, pa.string()))
    return Outcome(table)


def columns_of(settings: Encrypt) -> tuple[str, ...]:
    """The columns that hold what is private."""
    return settings.columns


def concealer(settings: Encrypt, context: Context = ALONE) -> Callable[[str, str, str], str]:
    """What makes of one value, of a column and a record, what the step makes of it."""
    key = keys.read(settings.key, context.place)
    cipher, nonce_key = AESGCM(keys.derived(key, "encrypt")), keys.derived(key, "nonce")

    def conceal(value: str, column: str, record: str) -> str:
        nonce = _nonce(nonce_key, (column, record, value))
        sealed = nonce + cipher.encrypt(nonce, value.encode(), column.encode())
        return f"{FORMAT}.{settings.key.id}.{base64.urlsafe_b64encode(sealed).decode()}"

    return conceal


def _nonce(key: bytes, words: Iterable[str]) -> bytes:
    hashed = hmac.new(key, digestmod="sha256")
    for word in words:
        written = word.encode()
        # With its length before it, a word cannot run into the next.
        hashed.update(len(written).to_bytes(8, "big") + written)
    return hashed.digest()[:NONCE_BYTES]


def decrypt(table: pa.Table, columns: Iterable[str], secret: Mapping[str, str]) -> pa.Table:
    """The table with the columns as text again; `secret` has each key's base64 text by its id, as the Secret does.

    RunFault KeyMissing or CannotDecrypt names column and row: no value is left out, and none is guessed.
    """
    ciphers = {
        name: AESGCM(keys.derived(keys.decoded(text, f"the key {name}"), "encrypt")) for name, text in secret.items()
    }
    for column in columns:
        values = column_of(table, column, "decrypt").to_pylist()
        read = [None if value is None else _read(value, column, row, ciphers) for row, value in enumerate(values, 1)]
        table = with_column(table, column, pa.array(read, pa.string()))
    return table


def _read(value: str, column: str, row: int, ciphers: Mapping[str, AESGCM]) -> str:
    form, _, rest = value.partition(".")
    name, _, sealed = rest.partition(".")
    if form != FORMAT:
        raise RunFault("CannotDecrypt", f"column {column} row {row} is not encrypted; name encrypted columns only")
    if name not in ciphers:
        raise RunFault(
            "KeyMissing", f"column {column} row {row} was encrypted by the key {name}, which was not given; add it"
        )
    try:
        raw = base64.urlsafe_b64decode(sealed)
        return ciphers[name].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], column.encode()).decode()
    except (InvalidTag, ValueError):
        raise RunFault(
            "CannotDecrypt",
            f"column {column} row {row} cannot be read by the key {name}: the value was changed or comes from another column, "
            "or the key is not the one that wrote it",
        ) from None
