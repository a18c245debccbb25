"""Runs inside of a build container, as `python -I -c`: tells where files are, locks or installs requirements with uv.

Of the standard library only. Its network is loopback and the egress proxy's socket: it listens there, and carries what
is sent to the socket.
"""

import asyncio
import html
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

Forward = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

UV = "/usr/local/bin/uv"
CACHE = ".uv"
LOCK = ".lock"
CHUNK_BYTES = 64 * 1024
PAGE_BYTES_MAX = 64 * 1024 * 1024
PAGE_SECONDS = 60


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


def _forwarder(egress_socket: str) -> Forward:
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled at the end, where uv leaves connections open: asyncio would print that as an error.
        with suppress(OSError, asyncio.CancelledError):
            up_reader, up_writer = await asyncio.open_unix_connection(egress_socket)
            await asyncio.gather(_carry(reader, up_writer), _carry(up_reader, writer))
            up_writer.close()
        writer.close()

    return forward


def _print_hosts(index: str, file: Path, proxy: str) -> int:
    """Where the files lie that a package's page links to (PEP 503): scheme and host, a line each."""
    name = re.sub(r"[-_.]+", "-", file.read_text("utf-8")).lower()
    opener = build_opener(ProxyHandler({"http": proxy, "https": proxy}))
    request = Request(f"{index.rstrip('/')}/{name}/", headers={"Accept": "text/html"})  # noqa: S310 - by HTTP alone
    try:
        with opener.open(request, timeout=PAGE_SECONDS) as answer:
            page, text = answer.geturl(), answer.read(PAGE_BYTES_MAX).decode(errors="replace")
    except HTTPError:
        return 0  # Of a package that there is not, uv tells more.
    except OSError as error:
        sys.stderr.write(f"The package index cannot be reached: {error}\n")
        return 1
    links = re.findall(r"""href\s*=\s*["']([^"']+)""", text)
    parts = {urlsplit(urljoin(page, html.unescape(link)))[:2] for link in links}
    sys.stdout.write("".join(f"{scheme}://{host}\n" for scheme, host in sorted(parts)))
    return 0


async def main(step: str, sockets: str, packages: str, index: str) -> int:
    """Lock `requirements.in`, tell the hosts of its files, or install `requirements.txt`; a status."""
    server = await asyncio.start_server(_forwarder(f"{sockets}/egress.sock"), "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if step == "hosts":
        return await asyncio.to_thread(_print_hosts, index, Path(sockets, "requirements.in"), proxy)
    cache = f"{packages}/{CACHE}"
    environment = {
        "HOME": "/tmp",  # noqa: S108 the container's own, a file system of its own
        "PATH": "/usr/local/bin",
        "SSL_CERT_FILE": os.environ.get("SSL_CERT_FILE", ""),
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "UV_CONCURRENT_DOWNLOADS": "8",
        "UV_HTTP_RETRIES": "2",
        "RAYON_NUM_THREADS": "4",
    }
    shared = ["--no-config", "--no-progress", "--color", "never", "--cache-dir", cache, "--python", sys.executable]
    shared += ["--no-python-downloads", "--only-binary", ":all:", *(["--default-index", index] if index else [])]
    if step == "lock":
        command = ["compile", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        command += ["-o", f"{packages}/{LOCK}"]
        command += ["--no-strip-extras", f"{sockets}/requirements.in"]
    else:
        command = ["install", "--require-hashes", "--no-deps", "--link-mode", "hardlink", "--compile-bytecode"]
        command += ["--target", packages, "-r", f"{sockets}/requirements.txt"]
    uv = await asyncio.create_subprocess_exec(UV, "pip", command[0], *shared, *command[1:], env=environment)
    status = await uv.wait()
    server.close()
    return status


if __name__ == "__main__":
    ended = asyncio.run(main(*sys.argv[1:]))
    directory = Path(sys.argv[3])
    if ended == 0 and sys.argv[1] == "lock":
        sys.stdout.write((directory / LOCK).read_text("utf-8"))
        sys.stdout.flush()
    shutil.rmtree(directory / CACHE, ignore_errors=True)
    sys.exit(ended)
