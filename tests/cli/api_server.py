"""An API server of one process for the command line: objects over HTTP, as much of Kubernetes as its commands use."""

import contextlib
import copy
import itertools
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATH = re.compile(r"/apis?/(?:[^/]+/)?v1[^/]*/(?:namespaces/(?P<namespace>[^/]+)/)?(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?P<log>/log)?$")  # fmt: skip
MOMENT = "2026-01-02T03:04:05Z"
Raw = dict[str, Any]


class ApiServer:
    """Objects by (namespace, plural, name), and what a test has it refuse."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Raw] = {}
        self.logs: dict[str, bytes] = {}
        self.refusals: dict[tuple[str, str], tuple[int, Raw | bytes]] = {}
        """(method, plural or name) -> code and body."""
        self.steps: list[Callable[[], None]] = []
        """What happens on the cluster, one thing each time the jobs are listed."""
        self.changes: list[tuple[str, str]] = []
        """(method, name) of every request that changed something."""
        self._numbers = itertools.count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ApiServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, plural: str, raw: Raw, namespace: str = "demo") -> Raw:
        """Has an object exist."""
        number = next(self._numbers)
        metadata = {"uid": f"uid-{number}", "generation": 1, "creationTimestamp": MOMENT, **raw["metadata"]}
        metadata |= {"namespace": namespace, "resourceVersion": str(number)}
        kept = {**copy.deepcopy(raw), "metadata": metadata}
        self.objects[namespace, plural, metadata["name"]] = kept
        return kept

    def status(self, plural: str, name: str, namespace: str = "demo", **status: Any) -> None:
        """Does what an operator does."""
        self.objects[namespace, plural, name]["status"] = {"observedGeneration": 1, **status}

    def _answer(self, method: str, url: str, body: Raw) -> tuple[int, Any]:
        split = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        found = PATH.match(split.path)
        assert found is not None, url
        namespace, plural, name = found["namespace"] or "", found["plural"], found["name"] or ""
        if (method, plural) == ("GET", "trainjobs") and self.steps:
            self.steps.pop(0)()
        for asked in (name, plural):
            refusal = self.refusals.get((method, asked))
            if refusal and not (refusal[0] == 409 and query.get("force") == "true"):
                return refusal
        if plural == "namespaces":
            known = {"demo", *(place[0] for place in self.objects)}
            return (200, {}) if name in known else fault(404, "NotFound", f'namespaces "{name}" not found')
        if found["log"]:
            return 200, self.logs[name]
        if method == "GET":
            return 200, self._list(namespace, plural, query)
        key = (namespace, plural, name)
        if method == "PATCH":
            return 200, self._apply(key, body, dry=query.get("dryRun") == "All")
        self.changes.append((method, name))
        return (200, {"kind": "Status"}) if self.objects.pop(key, None) else fault(404, "NotFound", f"{name} is gone")

    def _list(self, namespace: str, plural: str, query: dict[str, str]) -> Raw:
        wanted = query.get("fieldSelector", "").removeprefix("metadata.name=")
        label, _, value = query.get("labelSelector", "").partition("=")
        items = [
            {part: content for part, content in raw.items() if part not in ("kind", "apiVersion")}
            for place, raw in self.objects.items()
            if place[:2] == (namespace, plural)
            and wanted in ("", place[2])
            and (not label or raw["metadata"].get("labels", {}).get(label) == value)
        ]
        return {"metadata": {"resourceVersion": str(next(self._numbers))}, "items": items or None}

    def _apply(self, key: tuple[str, str, str], body: Raw, *, dry: bool) -> Raw:
        before = self.objects.get(key)
        after = {**(before or {}), **body, "metadata": {**(before or {}).get("metadata", {}), **body["metadata"]}}
        if before and before["spec"] != body["spec"]:
            after["metadata"]["generation"] += 1
        if dry:
            return after
        self.changes.append(("PATCH", key[2]))
        return self.put(key[1], after, key[0])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        world = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
                code, content = world._answer(self.command, self.path, body)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # who asked has given up
                    self.wfile.write(data)

            do_GET = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def fault(code: int, reason: str, message: str, *causes: tuple[str, str]) -> tuple[int, Raw]:
    details = {"causes": [{"field": field, "message": fact} for field, fact in causes]}
    return code, {"kind": "Status", "reason": reason, "message": message, "details": details}


def kubeconfig(url: str, namespace: str = "demo") -> str:
    """A kubeconfig of one context, called `here`."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        }
    )
