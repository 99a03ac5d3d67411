"""Where the API server and local validation differ, each for a reason; what is not here must agree."""

from dataclasses import dataclass

from headrace.api.meta import Kind
from tests.cluster.manifests.minimal import MINIMAL, TRAIN, Wire, manifest, spec_model


@dataclass(frozen=True)
class Difference:
    """A manifest, whether the API server takes it, and whether local validation does."""

    manifest: Wire
    there: bool
    here: bool


@dataclass(frozen=True)
class EditDifference:
    """An edit of a spec while the job runs, whether the API server takes it, and whether local mode does."""

    kind: Kind
    before: Wire
    after: Wire
    there: bool
    here: bool


TRAIN_JOB = manifest(Kind.TRAIN_JOB, TRAIN)
DIFFERENCES = {
    # A status in a manifest is dropped by both; kubectl's strict validation minds a misspelt field even there.
    "misspelt-status": Difference(TRAIN_JOB | {"status": {"phas": "Running"}}, there=False, here=True),
    # Local objects are known by the names that are written; nothing here makes one up.
    "generated-name": Difference(TRAIN_JOB | {"metadata": {"generateName": "case-"}}, there=True, here=False),
    # Raw JSON alone: kubectl writes a whole float as an integer, and so does local validation.
    "whole-float": Difference(manifest(Kind.TRAIN_JOB, TRAIN | {"batchSize": 32.0}), there=False, here=True),
}

TUNE = MINIMAL[spec_model(Kind.TUNE_JOB)]
EDIT_DIFFERENCES = {
    # A rule compares what is written; local mode compares what it means.
    "quantity-spelt-anew": EditDifference(
        Kind.TUNE_JOB,
        TUNE | {"template": TRAIN | {"workers": {"resources": {"cpu": 2}}}},
        TUNE | {"template": TRAIN | {"workers": {"resources": {"cpu": "2"}}}},
        there=False,
        here=True,
    ),
    # Rules miss a renamed field of a bare podTemplate; under spec they see it. It takes effect with the next attempt.
    "bare-pod-template": EditDifference(
        Kind.TRAIN_JOB,
        TRAIN | {"podTemplate": {"hostname": "a"}},
        TRAIN | {"podTemplate": {"subdomain": "a"}},
        there=True,
        here=False,
    ),
}
