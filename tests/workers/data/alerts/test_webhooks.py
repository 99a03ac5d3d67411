"""Posts to a server on loopback that answers as it is told."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest

from headrace.api.data_pipeline import Alert
from headrace_workers.data.alerts import webhooks
from headrace_workers.data.alerts.raising import Raised, raised
from headrace_workers.data.alerts.webhooks import Webhooks, addresses
from headrace_workers.faults import RunFault
from tests.workers.data.alerts.test_raising import NOW


class Server(ThreadingHTTPServer):
    """Answers each post with the next of its codes, the last one again and again."""

    codes: list[int]
    taken: list[tuple[str, dict]]


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.taken.append((self.headers["Idempotency-Key"], body))
            self.send_response(made.codes.pop(0) if len(made.codes) > 1 else made.codes[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    made = Server(("127.0.0.1", 0), Handler)
    made.codes, made.taken = [200], []
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def alerts(count: int = 1) -> list[Raised]:
    table = pa.table({"id": [f"r{row}" for row in range(count)], "t": [9.5] * count})
    return raised(table, [Alert(name="hot", column="t", above=1)], NOW)


def posted(server: Server, raised_now: list[Raised], monkeypatch: pytest.MonkeyPatch) -> Webhooks:
    monkeypatch.setattr(webhooks, "FIRST_PAUSE_SECONDS", 0.01)
    hooks = Webhooks("default/sensors", {0: f"http://127.0.0.1:{server.server_port}/secret-path"})
    hooks.tell(raised_now)
    hooks.close(10)
    return hooks


def test_an_alert_arrives_with_its_id(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whoever gets it twice knows."""
    (one,) = alerts()
    assert posted(server, [one], monkeypatch).undelivered == (0, "")
    ((key, body),) = server.taken
    assert key == one.told.id
    assert body == {
        "pipeline": "default/sensors", "alert": "hot", "value": 9.5, "id": key, "time": "2026-01-02T00:00:00.000Z",
        "message": "t is 9.5, above 1, in the record r0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("codes", "posts", "given_up"),
    [([503, 429, 200], 3, 0), ([500], 4, 1), ([404], 1, 1), ([302], 1, 1)],
    ids=["down for a moment", "down", "not found", "sends elsewhere"],
)
def test_what_is_asked_again(
    codes: list[int], posts: int, given_up: int, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded number of times, and only what may be taken later; the address is in no sentence."""
    server.codes = codes
    count, problem = posted(server, alerts(), monkeypatch).undelivered
    assert (len(server.taken), count) == (posts, given_up)
    assert ("alert hot" in problem and "secret-path" not in problem) if given_up else problem == ""


def test_an_address_that_nobody_answers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Is given up without being told to anybody."""
    monkeypatch.setattr(webhooks, "FIRST_PAUSE_SECONDS", 0.01)
    hooks = Webhooks("default/sensors", {0: "http://127.0.0.1:9/secret-path"})
    hooks.tell(alerts())
    hooks.close(10)
    count, problem = hooks.undelivered
    assert count == 1
    assert "cannot be reached" in problem
    assert "secret-path" not in problem + caplog.text


def test_a_stream_never_waits(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """More alerts than can wait are counted at once."""
    monkeypatch.setattr(webhooks, "MOST_WAITING", 2)
    server.codes = [500]
    hooks = Webhooks("default/sensors", {0: f"http://127.0.0.1:{server.server_port}"})
    started = time.monotonic()
    hooks.tell(alerts(100))
    hooks.close(0)
    assert time.monotonic() - started < 1
    assert hooks.undelivered[0] >= 97


def test_where_alerts_are_posted() -> None:
    """By the spec, by a Secret, or nowhere; a Secret without an address is named."""
    plain = Alert.model_validate({"name": "a", "column": "t", "above": 1, "webhook": {"uri": "https://x.example.com"}})
    secret = {"name": "b", "column": "t", "above": 1, "webhook": {"secret": {"name": "chat", "key": "address"}}}
    listed = [plain, Alert(name="c", column="t", above=1), Alert.model_validate(secret)]
    assert addresses(listed, {"HEADRACE_WEBHOOK_2": "https://y.example.com/t\n"}) == {
        0: "https://x.example.com", 2: "https://y.example.com/t",
    }  # fmt: skip
    with pytest.raises(RunFault) as caught:
        addresses(listed, {})
    assert caught.value.reason == "WebhookMissing"
    assert "key address of the Secret chat" in caught.value.message
