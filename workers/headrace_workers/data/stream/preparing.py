"""What jobs that learn from a Stream's table must know of it: which column is the input, and what raw inputs go through."""

from collections.abc import Sequence

from headrace_workers.data.engine import FEATURES
from headrace_workers.data.fitted import in_order
from headrace_workers.data.stream.plan import StreamPlan
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.storage import Folder

ARTIFACTS = "artifacts"


def save(plan: StreamPlan, columns: Sequence[str], storage: Folder) -> None:
    """Writes it beside the run; nothing in a Stream is fitted."""
    features = next((name for name in FEATURES if name in columns), "")
    Preprocessing(features=features, steps=in_order(plan.works, {})).save(storage.sub(ARTIFACTS))
