"""1 GB in ten blobs of random bytes, written by pieces of 1 MiB and read by pieces of 64 KiB, in a process of its own.

S3 is moto, a stand-in for tests in a process on the same machine: it makes a copy of the whole object for every request
and is most of what is measured. Memory is the most that the writing and reading process ever had.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure
from budflow.storage.blobs.open import open_blobs

TITLE = "Blobs in a directory and in S3"
BLOBS = 10
BLOB_BYTES = 100 * 1024 * 1024
WRITTEN_BYTES = 1024 * 1024
READ_BYTES = 64 * 1024
MEBIBYTES_MAX = 200
START_SECONDS = 30.0
BUCKET = "bench"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


async def measure() -> list[Figure]:
    """Both stores, one after the other."""
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        figures = await asyncio.to_thread(_measured, "directory", f"file://{folder}/blobs")
        with _moto(Path(folder)) as address:
            url = f"s3://{BUCKET}/blobs?endpoint_url={address}&region=us-east-1"
            return figures + await asyncio.to_thread(_measured, "S3 (moto)", url)


def _measured(name: str, url: str) -> list[Figure]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, url],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    total = BLOBS * BLOB_BYTES / 1e6
    return [
        Figure(f"{name}: written", f"{found['write']:.1f} s = {total / found['write']:.0f} MB/s"),
        Figure(f"{name}: read", f"{found['read']:.1f} s = {total / found['read']:.0f} MB/s"),
        Figure(
            f"{name}: peak memory", f"{found['peak']:.0f} MB", f"< {MEBIBYTES_MAX} MB", found["peak"] < MEBIBYTES_MAX
        ),
    ]


@contextmanager
def _moto(folder: Path) -> Iterator[str]:
    """The address of an S3 with the bucket."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with (folder / "moto.log").open("w") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        moto = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until_it_answers(port)
        from botocore.session import Session  # noqa: PLC0415 - few cases need it

        session = Session()
        session.set_credentials("bench", "bench")
        address = f"http://127.0.0.1:{port}"
        session.create_client("s3", "us-east-1", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        moto.kill()
        moto.wait()


def _until_it_answers(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _work(url: str) -> dict[str, float]:
    """Write and read all of it; seconds and mebibytes."""
    blobs = open_blobs(url, Path("/nowhere"))
    piece = os.urandom(WRITTEN_BYTES)
    refs = []
    began = time.perf_counter()
    for number in range(BLOBS):
        writer = blobs.open_writer("bench")
        for start in range(0, BLOB_BYTES, WRITTEN_BYTES):
            writer.write(f"{number} {start} ".encode().ljust(64) + piece[64:])
        refs.append(writer.finish())
    written = time.perf_counter()
    for ref in refs:
        for start in range(0, BLOB_BYTES, READ_BYTES):
            blobs.read("bench", ref.sha256, start, READ_BYTES)
    read = time.perf_counter()
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return {"write": written - began, "read": read - written, "peak": int(line.split()[1]) / 1024}


if __name__ == "__main__":
    print(json.dumps(_work(sys.argv[1])))
