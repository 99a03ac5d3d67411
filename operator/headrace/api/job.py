"""What the three kinds that run to an end have in common: how they are bounded, paused, repeated and placed."""

from typing import Annotated

from pydantic import Field

from headrace.api.base import Edit, Model, OneOf, PodTemplate, Seconds, Uri, setting
from headrace.api.credentials import NO_CREDENTIALS
from headrace.api.pods import PodSettings


class Recovery(Model):
    """What happens when a run is disturbed."""

    max_restarts: Annotated[
        int, Field(ge=0, le=1000, description="Failures that a run survives; node losses and evictions do not count.")
    ] = 3
    max_disruptions: Annotated[
        int, Field(ge=0, le=100_000, description="Node losses and evictions that a run survives.")
    ] = 100
    backoff_seconds: Annotated[
        Seconds, Field(description="The pause before the first restart; it doubles with each, up to ten minutes.")
    ] = 5


class KubernetesGang(Model):
    """Kubernetes' own PodGroups, of which its scheduler knows from 1.36 on."""


class CoschedulingGang(Model):
    """The PodGroups of the scheduler plug-in Coscheduling."""


class Gang(OneOf):
    """Whose PodGroup holds a run's pods together: exactly one of these."""

    kubernetes: Annotated[
        KubernetesGang | None,
        Field(
            description="scheduling.k8s.io/v1alpha2; API server and scheduler need the feature gates GenericWorkload and GangScheduling."
        ),
    ] = None
    coscheduling: Annotated[
        CoschedulingGang | None,
        Field(
            description="scheduling.x-k8s.io/v1alpha1, of sigs.k8s.io/scheduler-plugins; pods.schedulerName names a scheduler with the plug-in Coscheduling."
        ),
    ] = None


class RunPolicy(Model):
    """The part of a spec that says how a run is bounded, paused and placed."""

    suspend: bool = setting(
        "Checkpoints and stops the run while true; false resumes it.", edit=Edit.IN_PLACE, default=False
    )
    recovery: Recovery = setting("How the run recovers from failures.", edit=Edit.IN_PLACE, default=Recovery())
    active_deadline_seconds: Seconds | None = setting(
        "The run fails when it has been active for this long.", edit=Edit.IN_PLACE, default=None
    )
    schedule_timeout_seconds: Seconds = setting(
        "A run that waits this long for room for workers.min gives back what it holds and tries again after a pause.",
        edit=Edit.IN_PLACE,
        default=600,
    )
    ttl_seconds_after_finished: Seconds | None = setting(
        "The object is deleted this long after it finished; its data stays.", edit=Edit.IN_PLACE, default=None
    )
    gang: Gang | None = setting(
        "The PodGroup by which the scheduler places the head and workers.min together or none of them; absent, it places pod by pod.",
        edit=Edit.NEW_RUN,
        default=None,
    )
    queue_name: str | None = setting(
        "The Kueue LocalQueue that admits the run's pods.", edit=Edit.IMMUTABLE, default=None, max_length=253
    )
    pods: PodSettings = setting(
        "How the pods are made and where they may run.", edit=Edit.NEW_RUN, default=PodSettings()
    )
    pod_template: PodTemplate | None = setting(
        "Fields merged over every pod that the run makes, for what the typed fields do not say.",
        edit=Edit.NEW_RUN,
        default=None,
    )


class Checkpoints(Model):
    """Where and how often a run saves what it has learnt."""

    uri: Annotated[
        Uri | None, Field(description="The folder of checkpoints; absent, a folder of the operator's default storage.")
    ] = None
    every_steps: Annotated[int, Field(ge=1, le=10_000_000, description="Steps between two checkpoints.")] = 200
    keep: Annotated[int, Field(ge=1, le=1000, description="How many of the newest are kept.")] = 3
    rules = (NO_CREDENTIALS,)
