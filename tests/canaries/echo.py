"""The other side of a leak: an HTTP server that sends back whatever it gets, in every form, and remembers it."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

COMMON = ("accept", "accept-encoding", "connection", "host", "user-agent")
MANY = 21_000  # More items than stay in a journal: they go to a blob.


class Echo(ThreadingHTTPServer):
    """`received` are the heads and bodies that came; what is below `/hold` is answered once `released` is set."""

    daemon_threads = True

    def __init__(self, away: "Echo | None" = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[bytes] = []
        self.away = away
        self.held = threading.Event()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed hangs up: nothing to tell."""


@contextmanager
def echo_servers() -> Iterator[tuple[Echo, Echo]]:
    """One that may get the credentials, and another to which it redirects."""
    with Echo() as away, Echo(away) as echo:
        threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in (away, echo)]
        for thread in threads:
            thread.start()
        try:
            yield echo, away
        finally:
            for server in (away, echo):
                server.released.set()
                server.shutdown()
            for thread in threads:
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Echo

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        head = f"{self.command} {self.path}\r\n{self.headers}".encode()
        self.server.received.append(head + body)
        path = self.path.partition("?")[0]
        if path.startswith("/hold") and not self.server.released.is_set():
            self.server.held.set()
            self.server.released.wait(60)
        if path.startswith("/digest") and not (self.headers.get("Authorization") or "").startswith("Digest "):
            challenge = 'Digest realm="canary", qop="auth", algorithm=SHA-256, nonce="n0nce", opaque="0paque"'
            self._answer(401, _echo(head, body), ("WWW-Authenticate", challenge))
        elif path.startswith("/away") and self.server.away is not None:
            self._answer(302, b"", ("Location", f"{self.server.away.url}/echo"))
        elif path.startswith("/near"):
            self._answer(307, b"", ("Location", f"/echo?{self.path.partition('?')[2]}"))
        elif path.startswith("/fail/"):
            self._answer(int(path.rpartition("/")[2]), head + body, kind="text/plain")
        elif path.startswith("/text"):
            self._answer(200, head + body, kind="text/plain")
        elif path.startswith("/many"):
            self._answer(200, json.dumps([{"n": n, "seen": self._seen()} for n in range(MANY)]).encode())
        else:
            self._answer(200, _echo(head, body))

    do_POST = do_PUT = do_GET  # noqa: N815 - the names that the library looks for

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str], kind: str = "application/json") -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.send_header("X-Seen", self._seen()[:4000])
        self.end_headers()
        self.wfile.write(body)

    def _seen(self) -> str:
        """The values of the headers that not every request has."""
        return " | ".join(value for name, value in self.headers.items() if name.lower() not in COMMON)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library gives it
        """Say nothing."""


def _echo(head: bytes, body: bytes) -> bytes:
    text = head.decode("latin-1")
    return json.dumps(
        {
            "head": text,
            "lines": text.split("\r\n"),
            "base64": [base64.b64encode(b"x" * shift + head).decode() for shift in range(3)],
            "hex": head.hex(),
            "url": quote(text, safe=""),
            "json": json.dumps(json.dumps(text)),
            "keys": dict.fromkeys(text.split("\r\n"), 1),
            "body": body.decode("latin-1"),
        }
    ).encode()
