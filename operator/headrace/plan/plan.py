"""The one planner: what to save and what to do, from what was observed and the time, for every kind."""

from datetime import datetime

from headrace.api.meta import Kind
from headrace.plan.data_pipeline import DATA_PIPELINE
from headrace.plan.inference_endpoint import plan_endpoint
from headrace.plan.run import plan_run
from headrace.plan.train_job import TRAIN_JOB
from headrace.plan.tune_job import TUNE_JOB
from headrace.plan.values import Observed, Plan

RUN_KINDS = {Kind.DATA_PIPELINE: DATA_PIPELINE, Kind.TRAIN_JOB: TRAIN_JOB, Kind.TUNE_JOB: TUNE_JOB}


def plan(observed: Observed, now: datetime) -> Plan:
    """The plan for one object; equal arguments give equal plans."""
    kind = observed.object.key.kind
    if kind == Kind.INFERENCE_ENDPOINT:
        return plan_endpoint(observed, now)
    return plan_run(RUN_KINDS[kind], observed, now)
