"""What the machine has and what a pod asks for."""

import pytest

from headrace.local.machine import Amount, requested, this_machine, visible_gpus

GPUS = {
    "none by default": ({}, ()),
    "those that CUDA may see": ({"CUDA_VISIBLE_DEVICES": "0, GPU-abc"}, ("0", "GPU-abc")),
    "none when CUDA may see none": ({"CUDA_VISIBLE_DEVICES": "-1"}, ()),
    "a number of them": ({"HEADRACE_LOCAL_GPUS": "2"}, ("0", "1")),
    "some of those that CUDA may see": ({"CUDA_VISIBLE_DEVICES": "4,5,6", "HEADRACE_LOCAL_GPUS": "2"}, ("4", "5")),
}


@pytest.mark.parametrize(("environ", "gpus"), GPUS.values(), ids=GPUS.keys())
def test_gpus_are_used_only_when_they_are_named(environ, gpus):
    """The two variables say which GPUs local mode may give out."""
    assert visible_gpus(environ) == gpus


def test_a_number_of_gpus_that_is_none_is_refused():
    """The message names the variable and what to write."""
    with pytest.raises(ValueError, match="HEADRACE_LOCAL_GPUS is 'all'; set it to the number of GPUs"):
        visible_gpus({"HEADRACE_LOCAL_GPUS": "all"})


def test_the_machine_has_what_the_process_may_use():
    """CPUs and memory are this machine's."""
    machine = this_machine({})
    assert machine.cpus >= 1
    assert machine.memory_bytes > 2**28


def test_a_limit_counts_where_there_is_no_request():
    """Requests come first, as in Kubernetes; what is not named is not asked for."""
    container = {
        "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "1"}}
    }
    assert requested(container, "nvidia.com/gpu") == Amount(0.5, 2**30, 1)
    assert requested({}, "nvidia.com/gpu") == Amount()
