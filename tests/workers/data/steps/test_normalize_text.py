"""normalizeText: texts that mean the same become equal."""

from typing import Any

import pyarrow as pa
import pytest

from headrace.api.steps import NormalizeText
from headrace_workers.data.steps import normalize_text


@pytest.mark.parametrize(
    ("text", "settings", "normal"),
    [
        ("  two \t\n words\u00a0 ", {}, "two words"),
        ("ﬁne", {}, "fine"),
        ("ÄRGER", {"lowercase": True}, "ärger"),
        ("Well, «no»!", {"strip_punctuation": True}, "Well no"),
        (" a  b ", {"collapse_whitespace": False}, " a  b "),
        (None, {"lowercase": True}, None),
    ],
)
def test_normalises(text: str | None, settings: dict[str, Any], normal: str | None) -> None:
    """Each setting does what its field says, and missing texts stay missing."""
    table = pa.table({"text": pa.array([text], pa.string())})
    assert normalize_text.apply(table, NormalizeText(**settings)).table["text"].to_pylist() == [normal]
