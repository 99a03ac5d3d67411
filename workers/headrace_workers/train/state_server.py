"""How a rank that joins gets what the others have in common: over HTTP, with a token, as bytes that nobody unpickles."""

import hmac
import threading
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from headrace_workers.train.group import PeerLost
from headrace_workers.train.quorum import bracketed

FETCH_SECONDS = 60.0


class StateServer:
    """Answers GET /<moves> with the state after so many moves, while that is the present one."""

    def __init__(self, host: str, token: str) -> None:
        """Listens at a free port of `host`, and hands over nothing yet."""
        self.state: Callable[[int], bytes | None] = lambda moves: None
        """What there is after so many moves; none if this rank has gone on."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {token}"):
                    self.send_error(401, "the group's token is needed")
                    return
                moves = self.path.removeprefix("/")
                data = server.state(int(moves)) if moves.isdecimal() else None
                if data is None:
                    self.send_error(409, "this rank has gone on")
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Says nothing: ranks come and go."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.address = f"{bracketed(host)}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="state-server", daemon=True).start()

    def close(self) -> None:
        """Answers nobody any more."""
        self._server.shutdown()
        self._server.server_close()


def fetch(address: str, token: str, moves: int) -> bytes:
    """The state of the rank at `address` after so many moves; PeerLost if it does not hand it over."""
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=FETCH_SECONDS)
    try:
        connection.request("GET", f"/{moves}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, HTTPException) as error:
        raise PeerLost(f"the rank at {address} did not hand its state over: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise PeerLost(f"the rank at {address} did not hand its state over: {answer.status} {answer.reason}")
    return data
