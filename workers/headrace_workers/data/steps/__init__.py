"""What is done to records: one file a step, named after its field in the API.

`run_step(table, step)` does any of them to one table, in a notebook or a test; the engine does the same to many shards.
"""

from collections.abc import Mapping

import pyarrow as pa

from headrace.api.steps import Step
from headrace_workers.data.steps import (
    augment,
    decode_image,
    decode_sound,
    deduplicate,
    detect,
    encrypt_columns,
    event_time,
    fill_missing,
    filter_records,
    hash_columns,
    normalize_text,
    redact,
    scale,
    sound_features,
    split,
    tokenize_text,
    types,
    validate,
    window,
)
from headrace_workers.data.steps.step import Barrier, Context, MapStep, Outcome, PrivateStep

PRIVATE: Mapping[str, PrivateStep] = {"redact": redact, "hash": hash_columns, "encrypt": encrypt_columns}
"""What hides values; elsewhere than in the table, `data/privacy.py` has it hide the same ones."""

REWRITING: Mapping[str, PrivateStep] = {**PRIVATE, "normalize_text": normalize_text}
"""What changes values of single records, on which it depends what is hidden, and as what."""

MAPS: Mapping[str, MapStep] = {
    "event_time": event_time,
    "validate_": validate,
    "fill_missing": fill_missing,
    "normalize_text": normalize_text,
    "filter": filter_records,
    **PRIVATE,
    "split": split,
    "decode_sound": decode_sound,
    "sound_features": sound_features,
    "decode_image": decode_image,
    "augment": augment,
}

BARRIERS: Mapping[str, Barrier] = {
    "deduplicate": deduplicate,
    "scale": scale,
    "tokenize": tokenize_text,
    "types": types,
    "window": window,
    "detect": detect,
}


def run_step(table: pa.Table, step: Step, context: Context | None = None) -> Outcome:
    """One step done to one whole table."""
    context = context or Context(step.chosen.rstrip("_"))
    if step.chosen in MAPS:
        return MAPS[step.chosen].apply(table, step.value, context)
    barrier = BARRIERS[step.chosen]
    decision = barrier.decide([barrier.measure(table, step.value, context)], step.value, context)
    return barrier.apply(table, step.value, decision.by_shard[0], 0, context)
