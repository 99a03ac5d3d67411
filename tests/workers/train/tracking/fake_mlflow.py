"""As much of MLflow's REST API as is used here, with its rules: parameters never change, metrics only grow.

Unlike MLflow's own stores it keeps each metric as often as it is told, so that a doubled point is seen. It can be down,
lose its answer after it has done what was asked, and want a token.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MISSING, THERE, INVALID = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE"
FILTER = re.compile(r"""tags\."([^"]+)" = '([^']*)'""")
LIMITS = {"metrics": 1000, "params": 100, "tags": 100}


class Wrong(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error_code": code, "message": message}


class FakeMlflow:
    """The server, on a free port of loopback or on the one that is named."""

    def __init__(self, port: int = 0) -> None:
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.authorization: str | None = None
        """What requests must bring."""
        self.seen: set[str | None] = set()
        """What they brought."""
        self.is_down = False
        self.lost_answers = 0
        """How many answers to log-batch are still to get lost."""
        self.requests = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, call: str, asked: dict[str, Any]) -> dict[str, Any]:
        match call:
            case "experiments/get-by-name":
                if asked["experiment_name"] not in self.experiments:
                    raise Wrong(404, MISSING, "no such experiment")
                return {"experiment": self.experiments[asked["experiment_name"]]}
            case "experiments/create":
                if asked["name"] in self.experiments:
                    raise Wrong(400, THERE, "it is there")
                number = str(len(self.experiments) + 1)
                self.experiments[asked["name"]] = {"experiment_id": number, "lifecycle_stage": "active"}
                return {"experiment_id": number}
            case "runs/create":
                run = f"run{len(self.runs)}"
                info = {
                    "run_id": run,
                    "experiment_id": asked["experiment_id"],
                    "status": "RUNNING",
                    "run_name": asked["run_name"],
                }
                self.runs[run] = {"info": info, "metrics": [], "params": {}, "tags": pairs(asked["tags"])}
                return {"run": self._shown(run)}
            case "runs/search":
                key, value = FILTER.fullmatch(asked["filter"]).groups()  # type: ignore[union-attr]
                found = [
                    run
                    for run, held in self.runs.items()
                    if held["tags"].get(key) == value and held["info"]["experiment_id"] in asked["experiment_ids"]
                ]
                return {"runs": [self._shown(run) for run in found[: asked["max_results"]]]} if found else {}
            case "runs/get":
                return {"run": self._shown(asked["run_id"])}
            case "metrics/get-history":
                return {
                    "metrics": [
                        each for each in self.runs[asked["run_id"]]["metrics"] if each["key"] == asked["metric_key"]
                    ]
                }
            case "runs/update":
                self.runs[asked["run_id"]]["info"] |= {"status": asked["status"]}
                return {"run_info": self.runs[asked["run_id"]]["info"]}
            case "runs/log-batch":
                return self._log(asked)
        raise Wrong(404, "ENDPOINT_NOT_FOUND", call)

    def _log(self, asked: dict[str, Any]) -> dict[str, Any]:
        held = self.runs[asked["run_id"]]
        for kind, limit in LIMITS.items():
            if len(asked.get(kind, ())) > limit:
                raise Wrong(400, INVALID, f"too many {kind}")
        for key, value in pairs(asked.get("params", ())).items():
            if held["params"].setdefault(key, value) != value:
                raise Wrong(400, INVALID, f"parameter {key} has another value")
        held["metrics"] += asked.get("metrics", ())
        held["tags"] |= pairs(asked.get("tags", ()))
        return {}

    def _shown(self, run: str) -> dict[str, Any]:
        held = self.runs[run]
        newest = {each["key"]: each for each in sorted(held["metrics"], key=lambda each: each["step"])}
        data = {"metrics": list(newest.values()), "params": listed(held["params"]), "tags": listed(held["tags"])}
        return {"info": held["info"], "data": data}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._do(dict(parse_qsl(urlsplit(self.path).query)))

            def do_POST(self) -> None:
                self._do(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _do(self, asked: dict[str, Any]) -> None:
                call = urlsplit(self.path).path.removeprefix("/api/2.0/mlflow/")
                with fake._lock:
                    fake.requests += 1
                    fake.seen.add(self.headers.get("Authorization"))
                    try:
                        if fake.is_down:
                            raise Wrong(503, "TEMPORARILY_UNAVAILABLE", "down")
                        if fake.authorization not in (None, self.headers.get("Authorization")):
                            raise Wrong(401, "UNAUTHENTICATED", "who are you")
                        status, body = 200, fake.answer(call, asked)
                    except Wrong as wrong:
                        status, body = wrong.status, wrong.body
                    if call == "runs/log-batch" and asked.get("metrics") and fake.lost_answers:
                        fake.lost_answers -= 1
                        self.close_connection = True
                        return
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


def pairs(items: Any) -> dict[str, str]:
    return {item["key"]: item["value"] for item in items}


def listed(items: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in items.items()]
