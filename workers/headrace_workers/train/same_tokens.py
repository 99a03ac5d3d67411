"""Whether weights that a run starts with were learnt on the tokens that its dataset has. No torch here: the head asks."""

from headrace.api.artifacts import DatasetVersion, StartingWeights
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import RunFault
from headrace_workers.model_version import PREPROCESSING, ModelFolder
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.train.fitted import load_preprocessing

VECTORS = "embedding"
"""What the builtin models call the vectors of their tokens."""


def require_same_tokens(weights: StartingWeights, spec: TrainJobSpec, dataset: DatasetVersion) -> None:
    """RunFault where the same id would mean another text, unless the vectors start anew; a user's own model is the user's business."""
    anew = spec.model.from_.except_ if spec.model.from_ else ()
    if not weights.name or spec.model.module or any(each.split(".")[0] == VECTORS for each in anew):
        return
    learnt = Preprocessing.model_validate_json(ModelFolder.open(weights).read(PREPROCESSING)).tokenizing
    fitted = load_preprocessing(dataset)
    ours = fitted.model_copy(update={"features": spec.dataset.features or fitted.features}).tokenizing
    if learnt and ours and learnt.tokenizer != ours.tokenizer:
        message = f"the tokens of column {ours.into} of dataset {dataset.uri} are not those that model version {weights.name} learnt: the same ids mean other texts; train on a dataset with its tokenizer, or start the vectors anew: except: [{VECTORS}]"
        raise RunFault("TokensDiffer", message)
