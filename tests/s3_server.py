"""A real server that speaks S3, for tests: moto in a process of its own, with a bucket for each test."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers import CannotStart

START_SECONDS = 60.0
LOOK_SECONDS = 0.01
#: All that boto3 reads; nothing of this machine gets in.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "a-key-for-tests",
    "AWS_SECRET_ACCESS_KEY": "a-secret-for-tests",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class S3Server:
    """Moto on a free port of 127.0.0.1; what it keeps is in its memory."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._client: Any = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def start(cls) -> "S3Server":
        """Start a server."""
        server = cls(Path(tempfile.mkdtemp(prefix="budflow-s3-")), _free_port())
        with (server.directory / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(server.port)],
                stdout=log,
                stderr=log,
                cwd=server.directory,
                env={**os.environ, "S3_UPLOAD_PART_MIN_SIZE": "1"},  # Else no part is smaller than 5 MiB.
                start_new_session=True,  # It outlives the worker of pytest-xdist that started it.
            )
        (server.directory / "pid").write_text(str(process.pid))
        process.returncode = 0  # Nobody waits for it, and Python need not warn of that.
        try:
            server._until_it_answers()
        except CannotStart:
            server.stop()
            raise
        return server

    def stop(self) -> None:
        """End the server and remove its directory."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.directory / "pid").read_text()), signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def new_bucket(self) -> str:
        """The name of a bucket that belongs to one test."""
        name = f"test-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=name)
        return name

    def client(self) -> Any:
        """A client, to look behind what is tested."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.session.Session(
                aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
            ).client(
                "s3",
                endpoint_url=self.address,
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}),
            )
        return self._client

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise CannotStart(f"S3 cannot start: {(self.directory / 'log').read_text()[-1000:]}") from None
                time.sleep(LOOK_SECONDS)


def set_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 find the credentials of the tests, and no others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
