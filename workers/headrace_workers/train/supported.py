"""What of a TrainJob's spec this release cannot run, said before anything is started."""

import importlib.util

from headrace.api.train_job import Strategy, TrainJobSpec
from headrace_workers.faults import RunFault


def require_supported(spec: TrainJobSpec) -> None:
    """RunFault NotSupported with what to write instead."""
    if spec.parallelism.strategy != Strategy.DATA_PARALLEL:
        message = (
            f"parallelism.strategy {spec.parallelism.strategy} is not in this release; use {Strategy.DATA_PARALLEL}"
        )
        raise RunFault("NotSupported", message)
    if spec.model.lora:
        require_peft()


def require_peft() -> None:
    """RunFault if there is nothing here that makes adapters."""
    if importlib.util.find_spec("peft") is None:
        message = "model.lora needs the package peft, which is not in this image; build one with EXTRAS=peft (pip install 'headrace[workers,peft]'), or train without lora"
        raise RunFault("PackageMissing", message)
