"""tokenize: makes token ids of text. Fitted on the training split where there is one, and applied everywhere.

What is kept of a batch, and of all batches together, is bounded: beyond that the rarest pieces are forgotten, in an order
that depends on the texts alone. So the same data make the same tokenizer, however many workers counted.
"""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.steps import Tokenize
from headrace_workers.data.steps.step import Context, Decision, Outcome, text_of
from headrace_workers.data.steps.vocabulary import Pieces, most_common, tokenizer_of
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import FittedStep
from headrace_workers.tokenizing import Tokenizing

ALONE = Context("tokenize")
"""Where the step stands when it is called by itself."""

MOST_PIECES = 100_000
"""Different pieces that are kept of a batch."""
MOST_COUNTED = 2_000_000
"""Different pieces that are counted over all batches; half of them are kept where there are more."""
IDS = pa.list_(pa.int32())


def measure(table: pa.Table, settings: Tokenize, context: Context = ALONE) -> pa.Table:
    """The training records' most frequent pieces of text, with their counts."""
    texts = _texts(table, settings, context)
    if "split" in table.column_names:
        texts = texts.filter(pc.equal(table["split"], "train"))
    pieces = Pieces(settings)
    for text in texts.to_pylist():
        pieces.add(text)
    kept = most_common(pieces.counts(), MOST_PIECES)
    return pa.table(
        {
            "piece": pa.array([piece for piece, _ in kept], pa.string()),
            "count": pa.array([count for _, count in kept], pa.int64()),
        }
    )


def decide(measured: Sequence[pa.Table], settings: Tokenize, context: Context = ALONE) -> Decision:
    """The tokenizer, the same for every shard."""
    counts: Counter[str] = Counter()
    for shard in measured:
        for batch in shard.to_batches():
            for piece, count in zip(batch["piece"].to_pylist(), batch["count"].to_pylist(), strict=True):
                counts[piece] += count
            if len(counts) > MOST_COUNTED:
                counts = Counter(dict(most_common(counts, MOST_COUNTED // 2)))
    if not counts:
        raise RunFault(
            "EmptyDataset", f"{context.place} has no text of the training split to fit on; check the steps before it"
        )
    tokenizer = tokenizer_of(counts, settings)
    tokenizing = Tokenizing(
        column=settings.column,
        into=settings.into,
        max_tokens=settings.max_tokens,
        boundaries=settings.boundaries,
        vocabulary=tokenizer.get_vocab_size(),
        tokenizer=tokenizer.to_str(),
    )
    return Decision(tuple(tokenizing for _ in measured), (FittedStep(tokenize=tokenizing),))


def apply(
    table: pa.Table, settings: Tokenize, decision: Tokenizing, rows_before: int = 0, context: Context = ALONE
) -> Outcome:
    """The table with the column of ids added."""
    ids = decision.encoded(_texts(table, settings, context).to_pylist())
    return Outcome(table.append_column(settings.into, pa.array(ids, IDS)))


def _texts(table: pa.Table, settings: Tokenize, context: Context) -> pa.ChunkedArray:
    texts = text_of(table, settings.column, context.place)
    if texts.null_count:
        raise RunFault(
            "MissingValues",
            f"{context.place} meets missing texts in the column {settings.column}; put fillMissing or validate before it",
        )
    if settings.into in table.column_names:
        raise RunFault(
            "ColumnExists",
            f"{context.place} would add the column {settings.into}, which is there already; write another name in into",
        )
    return texts
