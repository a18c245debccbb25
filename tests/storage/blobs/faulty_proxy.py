"""A proxy before a real S3 that misbehaves when it is told to, and remembers what passed through it."""

import http.client
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

#: What a service says with its errors is not to be repeated.
SECRET = "shh-what-a-service-says"
_OWN = frozenset({"connection", "transfer-encoding", "content-length"})


class Passed(NamedTuple):
    """A request that came; `path` is with its query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class FaultyProxy:
    """`faults` are done to the next requests with their method, one each: (method, what).

    What is a status and a code of S3 to answer with, such as `503 SlowDown`; `hang up` for no answer, `lose` for none
    though it is done; `cut` for half of the body, `mangle` for other bytes, `noise` for no XML; or something to call
    before it passes.
    """

    def __init__(self, port: int) -> None:
        self.faults: deque[tuple[str, str | Callable[[], object]]] = deque()
        self.passed: list[Passed] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, port))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def of(self, method: str) -> list[Passed]:
        """Requests with this method, in the order in which they came."""
        return [one for one in self.passed if one.method == method]

    def note(self, request: Passed) -> str | Callable[[], object] | None:
        """The fault that it meets."""
        with self._lock:
            self.passed.append(request)
            for fault in self.faults:
                if fault[0] == request.method:
                    self.faults.remove(fault)
                    return fault[1]
        return None

    @contextmanager
    def running(self) -> Iterator["FaultyProxy"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def _handler(proxy: FaultyProxy, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Passed(self.command, self.path, dict(self.headers), body)
            fault = proxy.note(request)
            if fault == "hang up":
                self.close_connection = True
            elif fault == "noise":
                self.answer(200, {}, b"<html>Welcome")
            elif isinstance(fault, str) and fault[0].isdigit():
                status, code = fault.split()
                said = f"<Error><Code>{code}</Code><Message>Said {SECRET}</Message></Error>".encode()
                self.answer(int(status), {"Content-Type": "application/xml"}, said)
            else:
                if callable(fault):
                    fault()
                self.answer(*self.forward(request), fault=fault)

        do_GET = do_PUT = do_POST = do_DELETE = do  # noqa: N815 - http.server looks for these names

        def forward(self, request: Passed) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request(request.method, request.path, request.body, request.headers)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        def answer(self, status: int, headers: dict[str, str], body: bytes, fault: Any = None) -> None:
            if fault == "lose":
                self.close_connection = True
                return
            if fault == "mangle":
                body = bytes(len(body))
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _OWN:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
            self.close_connection = fault == "cut"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
            pass

    return Handler
