"""A package index for tests: the simple API (PEP 503) on loopback, with wheels that the tests make themselves."""

import hashlib
import io
import threading
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: A name that only the tests' resolver knows.
HOST = "packages.test"


@dataclass
class PackageServer:
    """What it has, by path, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/simple"

    def add(self, name: str, file: str, data: bytes, *, digest: str | None = None) -> None:
        """Offer a file; `digest` is what the index says of it."""
        self.files[f"/files/{file}"] = data
        link = f'<a href="/files/{file}#sha256={digest or hashlib.sha256(data).hexdigest()}">{file}</a>'
        page = self.files.get(f"/simple/{name}/", b"<!DOCTYPE html>\n")
        self.files[f"/simple/{name}/"] = page + link.encode() + b"<br>\n"

    def add_wheel(
        self, name: str, version: str, files: Mapping[str, str], *, requires: str = "", digest: str | None = None
    ) -> None:
        """Offer a package for every machine."""
        self.add(name, f"{name}-{version}-py3-none-any.whl", wheel(name, version, files, requires), digest=digest)


def wheel(name: str, version: str, files: Mapping[str, str], requires: str = "") -> bytes:
    """A wheel (PyPA's binary distribution format) of text files."""
    info = f"{name}-{version}.dist-info"
    depends = f"Requires-Dist: {requires}\n" if requires else ""
    texts = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{depends}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_record_digest(text)},{len(text)}\n" for path, text in texts.items())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in {**texts, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return packed.getvalue()


@contextmanager
def serving_packages() -> Iterator[PackageServer]:
    """Serve, on a free port of 127.0.0.1."""
    packages = PackageServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            packages.asked.append(self.path)
            body = packages.files.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", "text/html" if self.path.startswith("/simple/") else "application/zip")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET  # noqa: N815 the name is http.server's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    packages.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield packages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _record_digest(text: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
