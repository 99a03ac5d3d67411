"""A network whose operations are compiled into fewer by torch.compile, under the names that it has without."""

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from headrace_workers.faults import RunFault

COMPILERS = {
    "cpu": ("CXX", ("clang++",) if platform.system() == "Darwin" else ("g++",)),
    "cuda": ("CC", ("gcc", "clang")),
}
"""What torch calls on each kind of device: the variable that names it, and what it looks for without."""


def compile_in_place(network: torch.nn.Module, device: torch.device) -> None:
    """Has the network compiled when it is first called; RunFault if there is nothing to do it with.

    For batches of any size at once: a smaller last batch, or a share of another size, needs no second time, and a run
    that resumes has the same code.
    """
    variable, usual = COMPILERS.get(device.type, COMPILERS["cpu"])
    wanted = (os.environ[variable],) if variable in os.environ else usual
    if not any(shutil.which(name.split()[0]) for name in wanted):
        message = f"compile needs a compiler on the worker, and there is no {' or '.join(wanted)}; add one to the workers' image, or remove compile"
        raise RunFault("CompileFailed", message)
    network.compile(dynamic=True)


@contextmanager
def faults_of_compiling(name: str) -> Iterator[None]:
    """Within, a fault of torch's compiler becomes a RunFault; one of the network stays what it is."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "torch._functorch")):
            raise
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        message = f"compile: torch cannot compile {name}: {first[:500]}; remove compile, or correct the model"
        raise RunFault("CompileFailed", message) from error
