"""A small HTTP service on loopback that knows who owns a repository: what the demo's workflow asks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class _Owners(BaseHTTPRequestHandler):
    """Answers `GET /owners/{owner}/{repository}`."""

    def do_GET(self) -> None:
        """Name the owners: the first is the account that the repository belongs to."""
        _, _, name = self.path.partition("/owners/")
        found = bool(name)
        body = json.dumps({"owners": [name.partition("/")[0], "platform-team"]} if found else {"error": "unknown"})
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Say nothing: the demo tells what happens."""


@contextmanager
def owners_service() -> Iterator[str]:
    """Run the service in a thread; gives its `host:port`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Owners)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
