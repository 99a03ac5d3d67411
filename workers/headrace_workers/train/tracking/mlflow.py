"""MLflow by its REST API, version 2.0, of which seven calls are used: its own package takes 117 MB and seconds to import.

The run is found by a tag, so that all attempts tell the same one. How far it was told is read from its metrics, value by
value, so that nothing is told twice, whatever was interrupted.
"""

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from headrace.api.tracking import MLflow
from headrace_workers.train.tracking.tracker import End, Point, Subject, TrackerDown, TrackerRefuses

API = "api/2.0/mlflow"
KEY = "headrace.key"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
MOST_METRICS = 1000
MOST_PARAMETERS = MOST_TAGS = 100
"""In one request."""
LONGEST_VALUE = 500
"""Of a parameter, in all releases; later ones take 6,000."""
LONGEST_TAG = 5000
NOT_NOW = frozenset({408, 425, 429})
STATUS = {End.FINISHED: "FINISHED", End.FAILED: "FAILED", End.STOPPED: "KILLED"}


class MlflowTracker:
    """One run of one MLflow."""

    tool = "mlflow"

    def __init__(self, spec: MLflow, subject: Subject, credentials: Mapping[str, str]) -> None:
        """Asks nothing yet."""
        self._uri, self._experiment, self._subject = spec.uri.rstrip("/"), spec.experiment, subject
        self._secret = spec.credentials.secret if spec.credentials else ""
        self._session = session(self._uri, credentials)
        self._run = ""
        self._told: dict[str, int] = {}
        """The last step of each metric."""

    def open(self) -> str:
        """The page of the run, which then has the status RUNNING and all its parameters."""
        experiment = self._find_experiment()
        run = self._find_run(experiment) or self._make_run(experiment)
        data = run.get("data", {})
        self._run = str(run["info"]["run_id"])
        self._told = {metric["key"]: int(metric.get("step", 0)) for metric in data.get("metrics", ())}
        known = {parameter["key"] for parameter in data.get("params", ())}
        missing = {key: value for key, value in self._subject.parameters.items() if key not in known}
        for some in batches(missing.items(), MOST_PARAMETERS):
            parameters = [{"key": key, "value": shortened(value, LONGEST_VALUE)} for key, value in some]
            self._ask("POST", "runs/log-batch", {"run_id": self._run, "params": parameters})
        self._tag(self._subject.facts)
        if run["info"].get("status") != "RUNNING":
            self._ask("POST", "runs/update", {"run_id": self._run, "status": "RUNNING"})
        return f"{self._uri}/#/experiments/{experiment}/runs/{self._run}"

    def send(self, points: Sequence[Point], facts: Mapping[str, str]) -> None:
        """Adds what the run does not have yet."""
        for some in batches(self._untold(points), MOST_METRICS):
            self._ask("POST", "runs/log-batch", {"run_id": self._run, "metrics": some})
            self._told |= {metric["key"]: metric["step"] for metric in some}
        self._tag(facts)

    def undo(self, step: int) -> None:
        """A metric may have several values at one step; the newest counts."""
        self._told = {key: min(last, step) for key, last in self._told.items()}

    def close(self, end: End) -> None:
        """A run that was stopped is KILLED, until another attempt goes on with it."""
        self._ask(
            "POST", "runs/update", {"run_id": self._run, "status": STATUS[end], "end_time": milliseconds(time.time())}
        )

    def _untold(self, points: Sequence[Point]) -> Iterator[dict[str, Any]]:
        last = dict(self._told)
        for point in points:
            for key, value in point.values.items():
                if point.step > last.get(key, -1):
                    last[key] = point.step
                    yield {
                        "key": key,
                        "value": in_json(value),
                        "timestamp": milliseconds(point.time),
                        "step": point.step,
                    }

    def _tag(self, facts: Mapping[str, str]) -> None:
        for some in batches(facts.items(), MOST_TAGS):
            tags = [{"key": key, "value": shortened(value, LONGEST_TAG)} for key, value in some]
            self._ask("POST", "runs/log-batch", {"run_id": self._run, "tags": tags})

    def _find_experiment(self) -> str:
        asked = {"experiment_name": self._experiment}
        found = self._ask("GET", "experiments/get-by-name", asked, missing="RESOURCE_DOES_NOT_EXIST")
        if found is None:
            made = self._ask(
                "POST", "experiments/create", {"name": self._experiment}, missing="RESOURCE_ALREADY_EXISTS"
            )
            # Another run was quicker to make it.
            found = {"experiment": made} if made else self._ask("GET", "experiments/get-by-name", asked)
        assert found is not None
        experiment = found["experiment"]
        if experiment.get("lifecycle_stage", "active") != "active":
            raise TrackerRefuses(
                f"the experiment {self._experiment} is deleted in {self._name}; restore it, or name another"
            )
        return str(experiment["experiment_id"])

    def _find_run(self, experiment: str) -> dict[str, Any] | None:
        asked = {
            "experiment_ids": [experiment], "filter": f"tags.\"{KEY}\" = '{self._subject.key}'", "max_results": 1,
            "order_by": ["attributes.start_time ASC"],
        }  # fmt: skip
        found = self._ask("POST", "runs/search", asked)
        assert found is not None
        return next(iter(found.get("runs") or ()), None)

    def _make_run(self, experiment: str) -> dict[str, Any]:
        asked = {
            "experiment_id": experiment, "run_name": self._subject.name, "start_time": milliseconds(time.time()),
            "tags": [{"key": KEY, "value": self._subject.key}, {"key": "mlflow.runName", "value": self._subject.name}],
        }  # fmt: skip
        made = self._ask("POST", "runs/create", asked)
        assert made is not None
        return dict(made["run"])

    @property
    def _name(self) -> str:
        return f"MLflow at {self._uri}"

    def _ask(self, method: str, call: str, asked: dict[str, Any], missing: str = "") -> dict[str, Any] | None:
        """The answer, or None where the server's error code is `missing`."""
        import requests

        sent = {"params": asked} if method == "GET" else {"json": asked}
        try:
            answer = self._session.request(
                method, f"{self._uri}/{API}/{call}", timeout=(CONNECT_SECONDS, ANSWER_SECONDS), allow_redirects=False, **sent
            )  # fmt: skip
            body = answer.json() if answer.content else {}
        except requests.exceptions.JSONDecodeError:
            body = {}
        except requests.exceptions.RequestException as error:
            raise TrackerDown(
                f"{self._name} cannot be reached ({type(error).__name__}); see whether it runs, and whether the run's NetworkPolicy lets its address through (the operator's setting egress)"
            ) from error
        code = body.get("error_code", "") if isinstance(body, dict) else ""
        if missing and code == missing:
            return None
        self._judge(answer.status_code, call, body.get("message", "") if isinstance(body, dict) else "")
        if not isinstance(body, dict):
            raise TrackerRefuses(f"what answers at {self._uri} is no MLflow; write the address of its server into uri")
        return body

    def _judge(self, status: int, call: str, message: str) -> None:
        said = f": {message[:200]}" if message else ""
        if status in (401, 403):
            advice = (
                f"look at MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, in the Secret {self._secret}"
                if self._secret
                else "name a Secret in spec.tracking.mlflow.credentials"
            )
            raise TrackerRefuses(f"{self._name} refuses the credentials ({status}); {advice}")
        if 300 <= status < 400:
            raise TrackerRefuses(
                f"{self._name} sends elsewhere ({status}); write the address that it leads to into uri"
            )
        if status >= 500 or status in NOT_NOW:
            raise TrackerDown(f"{self._name} cannot answer {call} now ({status}{said})")
        if status >= 400:
            raise TrackerRefuses(f"{self._name} refuses {call} ({status}{said})")


def session(uri: str, credentials: Mapping[str, str]) -> Any:
    """Connections to a server, with credentials as MLflow's own client shows them: a user's name and password before a token.

    Proxies and certificates are what the environment says now. It is not looked at again by another thread, while this one
    changes it; nor is a file of passwords in the home folder.
    """
    import requests

    made = requests.Session()
    made.trust_env = False
    made.proxies = requests.utils.get_environ_proxies(uri)
    made.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    user, password = credentials.get("MLFLOW_TRACKING_USERNAME"), credentials.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        made.auth = (user.encode(), password.encode())
    elif token := credentials.get("MLFLOW_TRACKING_TOKEN"):
        made.headers["Authorization"] = f"Bearer {token}"
    return made


def batches(items: Any, size: int) -> Iterator[list[Any]]:
    """Lists of at most `size` items."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def shortened(text: str, length: int) -> str:
    """The text, or its beginning with a sign that there was more."""
    return text if len(text.encode()) <= length else text.encode()[: length - 3].decode(errors="ignore") + "…"


def in_json(value: float) -> float | str:
    """A number as MLflow reads it: JSON has no infinite ones."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def milliseconds(seconds: float) -> int:
    """Seconds in whole milliseconds."""
    return int(seconds * 1000)
