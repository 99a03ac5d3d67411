"""What a dataset's pipeline fitted, for training and for publishing. No torch here: the head publishes without it."""

from headrace.api.artifacts import DatasetVersion
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.storage import Folder


def load_preprocessing(version: DatasetVersion) -> Preprocessing:
    """What the pipeline fitted; nothing for a table that no pipeline made."""
    if not version.artifacts:
        return Preprocessing()
    try:
        return Preprocessing.load(Folder(version.artifacts))
    except FileNotFoundError as error:
        message = f"dataset {version.uri} version {version.version} has lost preprocessing.json from {version.artifacts}; run the pipeline again"
        raise RunFault("DatasetMissing", message) from error
