"""One run of MLflow, told in parts by several attempts: everything is there once. Read back by REST, from either server."""

import base64
import math
import uuid
from typing import Any

import pytest
import requests

from headrace.api.tracking import MLflow
from headrace_workers.train.tracking.mlflow import MlflowTracker, batches, in_json, shortened
from headrace_workers.train.tracking.tracker import End, Point, Subject, TrackerDown, TrackerRefuses
from tests.workers.train.tracking.fake_mlflow import FakeMlflow

LOSSES = {1: 0.9, 10: 0.5, 20: 0.25}


def subject(**changes: Any) -> Subject:
    base = {
        "key": f"{uuid.uuid4()}-r1",
        "name": "digits-r1",
        "parameters": {"epochs": "3"},
        "facts": {"headrace.run": "1"},
    }
    return Subject(**(base | changes))


def tracker(uri: str, run: Subject, credentials: dict[str, str] | None = None, secret: str = "login") -> MlflowTracker:
    spec = MLflow.model_validate(
        {"uri": uri, "experiment": "tests", **({"credentials": {"secret": secret}} if secret else {})}
    )
    return MlflowTracker(spec, run, credentials or {})


def points(*steps: int) -> list[Point]:
    return [Point(step, {"trainLoss": LOSSES[step], "workers": 2.0}, 1_700_000_000.0 + step) for step in steps]


class Read:
    """What a server holds of a run."""

    def __init__(self, uri: str, page: str) -> None:
        self.api, self.run = f"{uri}/api/2.0/mlflow", page.rpartition("/")[2]
        found = requests.get(f"{self.api}/runs/get", {"run_id": self.run}, timeout=10).json()["run"]
        self.status = found["info"]["status"]
        self.params = {each["key"]: each["value"] for each in found["data"].get("params", ())}
        self.tags = {each["key"]: each["value"] for each in found["data"].get("tags", ())}

    def history(self, key: str) -> list[tuple[int, float]]:
        asked = {"run_id": self.run, "metric_key": key}
        found = requests.get(f"{self.api}/metrics/get-history", asked, timeout=10).json()
        return [(each["step"], each["value"]) for each in found.get("metrics", ())]


def test_a_run_is_there_with_all_that_it_was_told(uri: str) -> None:
    """Its curve, parameters, tags and how it ended."""
    told = tracker(uri, subject())
    page = told.open()
    told.send(points(1, 10), {"headrace.attempt.1": "2 workers start from step 0"})
    told.close(End.FINISHED)
    read = Read(uri, page)
    assert (read.status, read.params) == ("FINISHED", {"epochs": "3"})
    assert read.history("trainLoss") == [(1, 0.9), (10, 0.5)]
    assert (read.tags["headrace.run"], read.tags["mlflow.runName"]) == ("1", "digits-r1")
    assert read.tags["headrace.attempt.1"] == "2 workers start from step 0"


def test_attempts_tell_the_same_run_and_no_point_twice(uri: str) -> None:
    """The second attempt was resumed from step 1 and tells the curve from its beginning."""
    run = subject()
    first = tracker(uri, run)
    page = first.open()
    first.send(points(1, 10), {})
    first.close(End.STOPPED)
    assert Read(uri, page).status == "KILLED"
    second = tracker(uri, run)
    assert second.open() == page
    assert Read(uri, page).status == "RUNNING"
    second.send(points(1, 10, 20), {})
    second.close(End.FAILED)
    read = Read(uri, page)
    assert (read.history("trainLoss"), read.status) == (list(LOSSES.items()), "FAILED")


def test_what_is_undone_is_told_anew(uri: str) -> None:
    """Both values of the step are there, and the newer one counts."""
    told = tracker(uri, subject())
    page = told.open()
    told.send(points(1, 10), {})
    told.undo(1)
    told.send([Point(10, {"trainLoss": 0.4}, 1_700_000_100.0)], {})
    assert Read(uri, page).history("trainLoss") == [(1, 0.9), (10, 0.5), (10, 0.4)]


def test_a_later_attempt_may_have_other_parameters(uri: str) -> None:
    """What may be edited while the job runs is not overwritten, and new parameters are added."""
    run = subject()
    page = tracker(uri, run).open()
    tracker(uri, Subject(run.key, run.name, {"epochs": "4", "seed": "7"}, run.facts)).open()
    assert Read(uri, page).params == {"epochs": "3", "seed": "7"}


def test_more_than_fits_into_one_request(uri: str) -> None:
    """150 parameters, 150 tags, 1,500 metrics; long values end with a sign that there was more."""
    many = {f"model.parameters.p{number}": "x" * 9000 for number in range(150)}
    told = tracker(uri, subject(parameters=many, facts={f"tag{number}": "y" for number in range(150)}))
    page = told.open()
    told.send([Point(step, {f"m{n}": 1.0 for n in range(15)}, 1e9) for step in range(100)], {})
    read = Read(uri, page)
    assert len(read.params) == 150 and all(value == "x" * 497 + "…" for value in read.params.values())
    assert len(read.history("m14")) == 100 and len([tag for tag in read.tags if tag.startswith("tag")]) == 150


def test_an_answer_that_was_lost_doubles_nothing(fake: FakeMlflow) -> None:
    """MLflow did as it was asked, nobody heard it, and the same points are sent again."""
    told = tracker(fake.uri, subject())
    page = told.open()
    fake.lost_answers = 1
    with pytest.raises(TrackerDown, match="cannot be reached"):
        told.send(points(1, 10), {})
    told.open()
    told.send(points(1, 10, 20), {})
    assert Read(fake.uri, page).history("trainLoss") == list(LOSSES.items())


def test_an_experiment_made_by_another_run_in_between(fake: FakeMlflow) -> None:
    """Both have found none; the one that comes second takes the other's."""
    answer, calls = fake.answer, []

    def late(call: str, asked: dict[str, Any]) -> dict[str, Any]:
        calls.append(call)
        if call == "experiments/create" and len(calls) == 2:
            answer(call, asked)
        return answer(call, asked)

    fake.answer = late  # type: ignore[method-assign]
    tracker(fake.uri, subject()).open()
    assert list(fake.experiments) == ["tests"] and len(fake.runs) == 1


CREDENTIALS = {
    "a token": ({"MLFLOW_TRACKING_TOKEN": "t0ken"}, "Bearer t0ken"),
    "a user": ({"MLFLOW_TRACKING_USERNAME": "ü", "MLFLOW_TRACKING_PASSWORD": "p:w"}, f"Basic {base64.b64encode('ü:p:w'.encode()).decode()}"),
    "both": ({"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p", "MLFLOW_TRACKING_TOKEN": "t"}, "Basic dTpw"),
    "none": ({}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_are_shown_as_mlflow_shows_them(
    name: str, fake: FakeMlflow, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """By what the Secret has, and never by a file of passwords that happens to be at home."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    credentials, header = CREDENTIALS[name]
    tracker(fake.uri, subject(), credentials).open()
    assert fake.seen == {header}


@pytest.mark.parametrize(
    ("secret", "advice"),
    [
        ("login", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, in the Secret login"),
        ("", "name a Secret in spec.tracking.mlflow.credentials"),
    ],
)
def test_a_refusal_says_what_to_do_and_not_what_was_shown(fake: FakeMlflow, secret: str, advice: str) -> None:
    """A wrong token is a matter for a person; it stands in no sentence."""
    fake.authorization = "Bearer right"
    with pytest.raises(TrackerRefuses, match=advice) as refused:
        tracker(fake.uri, subject(), {"MLFLOW_TRACKING_TOKEN": "wr0ng"}, secret).open()
    assert "wr0ng" not in str(refused.value)


def test_what_may_pass_and_what_will_not(fake: FakeMlflow) -> None:
    """A server that is down, or not there, may come back; a deleted experiment needs a person."""
    fake.is_down = True
    with pytest.raises(TrackerDown, match="503"):
        tracker(fake.uri, subject()).open()
    fake.is_down = False
    fake.experiments["tests"] = {"experiment_id": "1", "lifecycle_stage": "deleted"}
    with pytest.raises(TrackerRefuses, match="restore it"):
        tracker(fake.uri, subject()).open()
    fake.close()
    with pytest.raises(TrackerDown, match="cannot be reached"):
        tracker(fake.uri, subject()).open()


def test_the_environment_is_read_once(fake: FakeMlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who makes the tracker: while Ray starts, another thread that looks at it finds it changing."""
    told = tracker(fake.uri, subject())
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    told.open()
    with pytest.raises(TrackerDown, match="ProxyError"):
        tracker(fake.uri, subject()).open()


def test_small_things() -> None:
    """Batches, texts cut between letters, numbers that JSON does not have."""
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert shortened("äää", 6) == "äää" and shortened("ääää", 6) == "ä…"
    assert [in_json(value) for value in (1.5, math.nan, math.inf, -math.inf)] == [1.5, "NaN", "Infinity", "-Infinity"]
