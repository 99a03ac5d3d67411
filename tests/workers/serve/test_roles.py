"""The entry point: what each role loads, and how it refuses to start."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from headrace.api.artifacts import DatasetVersion
from headrace.api.inference_endpoint import Probe
from headrace.api.run_report import RunReport
from headrace.api.run_spec import ProbeSpec, RouterSpec


@pytest.mark.parametrize("role", ["router", "probe"])
def test_light_roles_never_import_torch(role: str) -> None:
    """A router and a probe start without torch and ray."""
    program = f"import sys, headrace_workers.serve.{role}; print(sorted({{'torch', 'ray'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_role_is_refused() -> None:
    """Anything but one known role ends with 2 and shows the usage."""
    done = subprocess.run(
        [sys.executable, "-m", "headrace_workers.serve", "mill"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.returncode, "server|router|probe" in done.stderr) == (2, True)


def test_a_setting_that_makes_no_sense_is_said(start_role: Callable[..., Any]) -> None:
    """A drain time that is no number ends the pod with a sentence in its termination message."""
    router = start_role("router", RouterSpec(endpoint="digits"), HEADRACE_DRAIN_SECONDS="soon")
    assert router.process.wait(timeout=120) == 1
    report = RunReport.model_validate_json(router.termination_log.read_text())
    assert (report.reason, "HEADRACE_DRAIN_SECONDS is 'soon'" in report.message) == ("InvalidSetting", True)


def test_a_probe_without_a_router_is_refused(start_role: Callable[..., Any]) -> None:
    """A probe that was not told the router says so."""
    spec = ProbeSpec(
        endpoint="digits", dataset=DatasetVersion(uri="file:///lake/digits", version=0, digest="d"), probe=Probe()
    )
    probe = start_role("probe", spec, HEADRACE_ROUTER_ADDRESS="")
    assert probe.process.wait(timeout=120) == 1
    assert RunReport.model_validate_json(probe.termination_log.read_text()).reason == "RouterUnknown"


def test_a_router_drains_on_sigterm(start_role: Callable[..., Any]) -> None:
    """A router that was asked to go is unready at once, lets users in for a moment, and exits 0."""
    router = start_role("router", RouterSpec(endpoint="digits"), HEADRACE_DRAIN_SECONDS="1")
    router.wait_ready(router.report)
    router.process.terminate()
    for _ in range(50):
        status, _ = router.get("/readyz", router.report)
        if status == 503:
            break
    assert status == 503
    assert router.get("/any")[0] == 503
    assert router.process.wait(timeout=60) == 0
