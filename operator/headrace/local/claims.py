"""A pod as the scheduler sees it, and where its owner's spec says what it asks for. Pure."""

from headrace.api.meta import Kind
from headrace.local.machine import requested
from headrace.local.pods import LocalPod
from headrace.local.refusals import CannotStart
from headrace.local.scheduler import Claim
from headrace.plan import labels

FIELDS = {Kind.TUNE_JOB: "spec.template.workers.resources", Kind.INFERENCE_ENDPOINT: "spec.resources"}


def claim_of(pod: LocalPod, gpu_resource: str) -> Claim:
    """What the pod claims of the machine; CannotStart if its manifest does not say that in numbers."""
    try:
        amount = requested(pod.container, gpu_resource)
        gang_minimum = int(pod.annotations.get(labels.GANG_MINIMUM, "1"))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise invalid_pod(error) from error
    return Claim(
        uid=pod.uid,
        sequence=pod.status.sequence,
        amount=amount,
        gang=pod.annotations.get(labels.GANG, ""),
        gang_minimum=gang_minimum,
        field=next((field for kind, field in FIELDS.items() if pod.labels.get(labels.KIND) == kind), Claim.field),
    )


def invalid_pod(error: Exception) -> CannotStart:
    """The refusal of a pod whose manifest, with what podTemplate laid over it, is not one."""
    return CannotStart(
        "InvalidPod", f"has a manifest that cannot be read ({type(error).__name__}: {error}); correct spec.podTemplate"
    )
