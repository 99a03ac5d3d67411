"""split: assigns every record to training or validation by a hash of its key.

The hash sees only the seed and the key: adding records never moves one that was there, and one key is never in both.
"""

from hashlib import blake2b

import pyarrow as pa

from headrace.api.steps import Split
from headrace_workers.data.steps.step import Context, Outcome, column_of, with_column

ALONE = Context("split")
"""Where the step stands when it is called by itself."""

HASH_BYTES = 8


def apply(table: pa.Table, settings: Split, context: Context = ALONE) -> Outcome:
    """The table with the column `split`; records whose key is missing stay together."""
    keys = column_of(table, settings.key, context.place).to_pylist()
    salt = context.seed.to_bytes(8, "big")
    limit = int(settings.train_fraction * 2 ** (8 * HASH_BYTES))
    splits = ["train" if _hash(key, salt) < limit else "validation" for key in keys]
    return Outcome(with_column(table, "split", pa.array(splits, pa.string())))


def _hash(key: object, salt: bytes) -> int:
    text = b"" if key is None else str(key).encode()
    return int.from_bytes(blake2b(text, digest_size=HASH_BYTES, salt=salt).digest(), "big")
