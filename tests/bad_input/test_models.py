"""Bad models: a module that is not there, one without the function, and one that raises in its third step."""

from pathlib import Path

import pytest

from tests.bad_input.command import Said, headrace
from tests.bad_input.manifests import WINE, wine_job

pytestmark = [pytest.mark.ray, pytest.mark.workers, pytest.mark.slow]

THROWS = """\
import torch


class Throws(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(13, 3)
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        if self.calls == 3:
            raise ValueError("three is too many")
        return self.layer(inputs.flatten(1))


def build():
    return Throws()
"""


@pytest.fixture(scope="module")
def said(shared_folder: Path) -> Said:
    """What one command said that prepares the wines and runs two jobs on them."""
    (shared_folder / "throws.py").write_text(THROWS)
    jobs = [wine_job("missing", "nowhere:build"), wine_job("throws", "throws:build")]
    (shared_folder / "all.yaml").write_text("---\n".join([WINE, *jobs]))
    return headrace(shared_folder, "run", "--until-ready", "all.yaml", seconds=240, PYTHONPATH=str(shared_folder))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "missing",
            "ModuleNotFound: there is no module nowhere for model.module nowhere:build; put it into the image or on PYTHONPATH",
        ),
        (
            "throws",
            "ModelFailed: throws:build raised ValueError: three is too many at throws.py:13, step 3; correct the model",
        ),
    ],
)
def test_a_fault_of_the_users_code_is_told_once(name: str, sentence: str, said: Said, shared_folder: Path) -> None:
    """One line has the user's file, line and exception; exit code 1; the restarts allowed are not spent on it."""
    assert said.code == 1
    assert said.lines(f"TrainJob {name}: Failed") == [f"TrainJob {name}: Failed: {sentence}"]
    pods = shared_folder / "state" / "pods" / "TrainJob" / "default" / name
    assert [attempt.name for attempt in pods.iterdir()] == ["run-1-attempt-1"]


def test_what_was_prepared_stays(said: Said) -> None:
    """The dataset of the failed jobs is complete and can be used again."""
    assert "DataPipeline wine: Complete: run 1 is complete (178 records (" in said.text


def test_a_module_without_the_function_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault names module and function and is not worth another attempt."""
    from headrace_workers.faults import RunFault
    from headrace_workers.models.user_module import build_user_module

    (tmp_path / "bare_model.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RunFault) as caught:
        build_user_module("bare_model:build", {})
    assert (caught.value.reason, caught.value.retryable) == ("ModuleNotFound", False)
    assert caught.value.message == "bare_model has no function build; correct model.module"
