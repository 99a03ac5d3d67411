"""The user's own network or training loop, imported as `package.file:function`. Whatever that code raises becomes a fault with its place."""

import importlib
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from headrace_workers.faults import RunFault

OURS = str(Path(__file__).resolve().parents[2])
STANDARD_LIBRARY = sysconfig.get_path("stdlib")


def build_user_module(reference: str, parameters: Mapping[str, Any]) -> torch.nn.Module:
    """What the function returns for the parameters; RunFault if it is not there, raises, or returns something else."""
    function = user_function(reference, "model")
    try:
        network = function(**parameters)
    except Exception as error:
        raise user_fault("model", reference, error) from error
    if not isinstance(network, torch.nn.Module):
        raise RunFault(
            "ModelFailed", f"{reference} returned {type(network).__name__}, not a torch.nn.Module; return the network"
        )
    return network


def user_function(reference: str, field: str) -> Callable[..., Any]:
    """The function `package.file:function` that the `module` of a field of the spec names; RunFault if it is not there."""
    module_name, _, function_name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            message = (
                f"{module_name} of {field}.module imports {error.name}, which is not installed; add it to the image"
            )
        else:
            message = f"there is no module {error.name} for {field}.module {reference}; put it into the image or on PYTHONPATH"
        raise RunFault("ModuleNotFound", message) from error
    except Exception as error:
        raise user_fault(field, f"importing {module_name}", error) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise RunFault("ModuleNotFound", f"{module_name} has no function {function_name}; correct {field}.module")
    return function


def user_fault(field: str, what: str, error: Exception, step: int | None = None) -> RunFault:
    """ModelFailed or LoopFailed, by the field, with the exception, the user's file and line if the exception passed one, and the step."""
    place = f" at {where}" if (where := user_line(error)) else ""
    when = f", step {step}" if step is not None else ""
    message = f"{what} raised {type(error).__name__}: {error}{place}{when}; correct the {field}"
    return RunFault(f"{field.capitalize()}Failed", message)


def user_line(error: BaseException) -> str | None:
    """file:line of the innermost frame that is neither Headrace's nor the standard library's nor an installed package's."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '?').name}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        installed = "site-packages" in frame.filename or "dist-packages" in frame.filename
        if not installed and not frame.filename.startswith((OURS, STANDARD_LIBRARY, "<")):
            return f"{Path(frame.filename).name}:{frame.lineno}"
    return None
