"""Large lists in S3, in a real server: nothing of them in its directory, and all of them there for the next server."""

import os
import signal
from pathlib import Path

import orjson
import pytest

from tests.processes import command, eventually, serving
from tests.s3_server import ENVIRONMENT, S3Server
from tests.server.test_large_file import DOCUMENT, check, make, nodes

pytestmark = pytest.mark.process

FILE_BYTES = 5_000_000
SECONDS = 60.0


def test_lists_go_through_a_bucket_and_outlive_the_server(tmp_path: Path, s3_server: S3Server, s3_url: str) -> None:
    files, data_dir, bucket = tmp_path / "files", tmp_path / "data", s3_url.split("/")[2]
    files.mkdir()
    data_dir.mkdir(mode=0o700)
    count = make(files / "in.jsonl", FILE_BYTES)
    settings = {
        "BUDFLOW_FILE_ROOTS": str(files),
        "BUDFLOW_BLOB_URL": s3_url,
        "BUDFLOW_EXECUTOR": os.environ.get("BUDFLOW_TEST_EXECUTOR", "inprocess"),
    }

    with serving(data_dir, **settings) as server:
        execution_id = server.start(server.create(DOCUMENT))
        eventually(lambda: nodes(server, execution_id)["read"]["status"] == "succeeded", "the file is read", SECONDS)
        server.tell(signal.SIGKILL)
        server.process.wait()
    with serving(data_dir, **settings) as server:
        eventually(lambda: server.status_of(execution_id) not in ("queued", "running"), "the end", SECONDS)
        assert server.status_of(execution_id) == "succeeded"
        assert nodes(server, execution_id)["read"]["runs"] == 1
        shown = orjson.loads(command(data_dir, "status", "--json").stdout)["server"]["blobs"]

    check(files / "out.jsonl", count)
    assert (shown["works"], shown["place"].startswith(f"s3://{bucket}/blobs/ at http://127.0.0.1:")) == (True, True)
    assert len(s3_server.client().list_objects_v2(Bucket=bucket)["Contents"]) >= 2, "what was read, what the loop gave"
    assert not (data_dir / "blobs").exists()


def test_where_s3_is_away_the_node_fails_and_says_why(tmp_path: Path, s3_url: str) -> None:
    files = tmp_path / "files"
    files.mkdir()
    make(files / "in.jsonl", FILE_BYTES)
    away = s3_url.replace("s3://test", "s3://no-test")

    with serving(tmp_path, BUDFLOW_FILE_ROOTS=str(files), BUDFLOW_BLOB_URL=away, BUDFLOW_LOG_LEVEL="debug") as server:
        execution_id = server.start(server.create(DOCUMENT))
        eventually(lambda: server.status_of(execution_id) == "failed", "the end", SECONDS)
        error = server.client.get(f"/executions/{execution_id}").json()["execution"]["failure"]
        server.tell(signal.SIGTERM)
        _, said = server.wait()

    assert error["code"] == "blob.unwritable"
    assert "the bucket does not exist" in error["message"]
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in said
    assert "AWS4-HMAC" not in said
