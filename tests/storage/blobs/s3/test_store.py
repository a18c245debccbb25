"""Blobs in S3: what holds there beyond what every blob store does, also when the network and the service misbehave."""

import base64
import hashlib
import io
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from budflow.errors import BudflowError
from budflow.execution.blobs import BlobCorrupt, BlobUnreadable, BlobUnwritable
from budflow.log import configure
from budflow.settings import Settings
from budflow.storage.blobs.place import S3Place
from budflow.storage.blobs.s3 import writer as writing
from budflow.storage.blobs.s3.bucket import HASTY, Bucket
from budflow.storage.blobs.s3.store import S3Blobs
from tests.s3_server import ENVIRONMENT
from tests.storage.blobs.faulty_proxy import SECRET, FaultyProxy
from tests.storage.blobs.s3.conftest import ATTEMPTS, hurried
from tests.storage.blobs.stores import FUTURE, LONG_AGO, StoredInS3, everything, put

MIB = 1024 * 1024
PART = 64 * 1024
DATA = bytes(range(256)) * 40


def checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


@pytest.mark.parametrize(
    ("method", "fault"),
    [("PUT", "500 InternalError"), ("PUT", "hang up"), ("PUT", "lose"), ("GET", "503 SlowDown"), ("DELETE", "lose")],
)
def test_what_fails_once_is_tried_again(blobs: S3Blobs, proxy: FaultyProxy, method: str, fault: str) -> None:
    proxy.faults.append((method, fault))

    ref = put(blobs, DATA)

    assert blobs.read("default", ref.sha256, 0, len(DATA)) == DATA
    assert blobs.collect("default", ref.sha256, older_than=FUTURE)
    assert not proxy.faults
    assert everything(blobs) == []


def test_what_keeps_failing_is_told_after_a_few_tries(blobs: S3Blobs, proxy: FaultyProxy) -> None:
    proxy.faults.extend([("PUT", "503 SlowDown")] * 10)

    with pytest.raises(BlobUnwritable, match="it asks for fewer requests") as failed:
        put(blobs, DATA)

    assert len(proxy.of("PUT")) == ATTEMPTS
    assert "Try again later" in failed.value.hint
    assert failed.value.details == {"because": "SlowDown"}


def test_an_answer_that_breaks_off_is_gone_on_with(blobs: S3Blobs, proxy: FaultyProxy) -> None:
    data = os.urandom(3 * MIB)
    ref = put(blobs, data)
    blobs.read("default", ref.sha256, 0, 1)
    proxy.passed.clear()
    proxy.faults.append(("GET", "cut"))

    assert blobs.read("default", ref.sha256, MIB, 2 * MIB) == data[MIB:]

    assert [one.headers["Range"] for one in proxy.of("GET")] == [
        f"bytes={MIB}-{3 * MIB - 1}",
        f"bytes={2 * MIB}-{3 * MIB - 1}",
    ]


def test_answers_that_keep_breaking_off_are_told(blobs: S3Blobs, proxy: FaultyProxy) -> None:
    ref = put(blobs, DATA)
    proxy.faults.extend([("GET", "cut")] * 10)

    with pytest.raises(BlobUnreadable, match=r"Blobs cannot be read in s3://.*/some/where/ at .*: it broke off"):
        blobs.read("default", ref.sha256, 0, len(DATA))


def test_other_bytes_than_were_written_are_noticed(blobs: S3Blobs, proxy: FaultyProxy) -> None:
    ref = put(blobs, DATA)
    proxy.faults.append(("GET", "mangle"))

    with pytest.raises(BlobCorrupt, match=ref.sha256):
        blobs.read("default", ref.sha256, 0, 10)

    assert blobs.read("default", ref.sha256, 0, 10) == DATA[:10], "and are not kept"


def test_an_object_that_became_shorter_is_noticed(blobs: S3Blobs, in_s3: StoredInS3) -> None:
    ref = put(blobs, DATA)
    blobs.read("default", ref.sha256, 0, 0)
    in_s3.replace("default", ref.sha256, DATA[:100])

    with pytest.raises(BlobUnreadable, match="not as long as it was"):
        blobs.read("default", ref.sha256, 0, len(DATA))


def test_every_request_says_what_it_must_have_brought(
    blobs: S3Blobs, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", PART)
    data = os.urandom(2 * PART + 100)

    put(blobs, DATA)
    put(blobs, data)

    said = {one.headers["x-amz-checksum-sha256"] for one in proxy.of("PUT")}
    parts = [data[:PART], data[PART : 2 * PART], data[2 * PART :]]
    assert said == {checksum(DATA), *map(checksum, parts)}
    assert all(checksum(one.body) == one.headers["x-amz-checksum-sha256"] for one in proxy.of("PUT"))


def test_parts_of_which_one_cannot_be_brought_are_forgotten(
    blobs: S3Blobs, proxy: FaultyProxy, in_s3: StoredInS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", PART)
    proxy.faults.extend([("PUT", "500 InternalError")] * 10)
    writer = blobs.open_writer("default")
    writer.write(bytes(3 * PART))

    with pytest.raises(BlobUnwritable):
        writer.finish()

    assert in_s3.unfinished() == 0
    proxy.faults.clear()
    ref = writer.finish()
    assert ref.size_bytes == 3 * PART, "and it can be tried again"
    assert blobs.read("default", ref.sha256, 2 * PART, 2 * PART) == bytes(PART)


def test_an_upload_whose_last_answer_is_lost_is_done(
    blobs: S3Blobs, proxy: FaultyProxy, in_s3: StoredInS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", PART)
    answers: Iterator[Callable[[], object]] = iter([lambda: None, lambda: proxy.faults.append(("POST", "lose"))])
    proxy.faults.extend([("POST", "pass"), ("PUT", next(answers)), ("PUT", next(answers))])

    ref = put(blobs, bytes(2 * PART))

    assert not proxy.faults
    assert in_s3.copies("default", ref.sha256) == 1
    assert blobs.read("default", ref.sha256, 0, 2 * PART) == bytes(2 * PART)


def test_what_is_written_anew_while_an_old_copy_is_removed_stays(
    blobs: S3Blobs, proxy: FaultyProxy, in_s3: StoredInS3, s3_place: S3Place
) -> None:
    """The collector has looked already, and found it old, when somebody writes the same bytes."""
    ref = put(in_s3.blobs, DATA)
    in_s3.age("default", ref.sha256)
    blobs.bucket.client.meta.events.register("after-call.s3.ListObjectsV2", in_s3._make_old)
    proxy.faults.append(("DELETE", lambda: put(in_s3.blobs, DATA)))

    blobs.collect("default", ref.sha256, older_than=LONG_AGO + 1)

    assert in_s3.copies("default", ref.sha256) == 1
    assert S3Blobs(s3_place).read("default", ref.sha256, 0, len(DATA)) == DATA
    assert list(in_s3.blobs.old_blobs(older_than=LONG_AGO + 1)) == []


def test_a_blob_is_written_though_its_older_copies_cannot_be_removed(
    blobs: S3Blobs, proxy: FaultyProxy, in_s3: StoredInS3
) -> None:
    put(blobs, DATA)
    proxy.faults.append(("DELETE", "403 AccessDenied"))

    ref = put(blobs, DATA)

    assert in_s3.copies("default", ref.sha256) == 2
    assert put(blobs, DATA) == ref
    assert in_s3.copies("default", ref.sha256) == 1
    assert everything(blobs) == [("default", ref.sha256)]


def test_who_reads_on_makes_few_requests(blobs: S3Blobs, proxy: FaultyProxy) -> None:
    data = os.urandom(4 * MIB)
    ref = put(blobs, data)
    proxy.passed.clear()

    read = b"".join(blobs.read("default", ref.sha256, start, 65_536) for start in range(0, len(data), 65_536))

    assert read == data
    assert len(proxy.of("GET")) == 5, "and not 64"


def test_a_service_that_cannot_list_uploads_has_none(blobs: S3Blobs, proxy: FaultyProxy) -> None:
    proxy.faults.append(("GET", "501 NotImplemented"))

    assert blobs.remove_unfinished(older_than=FUTURE) == 0


def test_objects_are_listed_page_by_page(in_s3: StoredInS3, s3_place: S3Place) -> None:
    refs = {put(in_s3.blobs, bytes([number])).sha256 for number in range(5)}

    found = list(Bucket(s3_place).objects("some/where/", page=2))

    assert {one.key.split("/")[-2] for one in found} == refs
    assert all(one.size_bytes == 1 and one.at > LONG_AGO for one in found)


def test_what_others_keep_in_the_bucket_is_left_alone(in_s3: StoredInS3, s3_place: S3Place) -> None:
    in_s3.client.put_object(Bucket=s3_place.bucket, Key="some/where-else/projects/default/abc/1", Body=b"x")
    in_s3.client.create_multipart_upload(Bucket=s3_place.bucket, Key="some/where-else/upload")

    assert everything(in_s3.blobs) == []
    assert in_s3.blobs.remove_unfinished(older_than=FUTURE) == 0
    assert in_s3.unfinished() == 1


@pytest.mark.parametrize(
    ("fault", "why", "hint"),
    [
        ("404 NoSuchBucket", "the bucket does not exist", "Make the bucket"),
        ("403 InvalidAccessKeyId", "the access key is not known", "AWS_ACCESS_KEY_ID"),
        ("403 SignatureDoesNotMatch", "the secret access key is wrong", "AWS_SECRET_ACCESS_KEY"),
        ("400 ExpiredToken", "the credentials have expired", "AWS_ACCESS_KEY_ID"),
        ("403 AccessDenied", "access is denied", "s3:PutObject"),
        ("403 Other", "access is denied", "s3:PutObject"),
        ("400 AuthorizationHeaderMalformed", "the region is wrong", "region="),
        ("403 RequestTimeTooSkewed", "the clocks differ", "Set the clock"),
        ("400 BadDigest", "it got other bytes than were sent", "faulty network"),
        ("418 Teapot", r"it answered 418 \(Teapot\)", "what the service behind it logs"),
        ("noise", "does not speak S3", "endpoint_url"),
    ],
)
def test_what_is_wrong_is_said_in_our_words(
    blobs: S3Blobs, proxy: FaultyProxy, fault: str, why: str, hint: str
) -> None:
    proxy.faults.extend([("GET", fault)] * 10)
    with pytest.raises(BlobUnreadable, match=why) as unreadable:
        blobs.read("default", "abc", 0, 1)
    if fault != "noise":  # The answer to a PUT has no body that could be looked at.
        proxy.faults.extend([("PUT", fault)] * 10)
        with pytest.raises(BlobUnwritable, match=why) as unwritable:
            put(blobs, DATA)
        assert hint in unwritable.value.hint

    assert hint in unreadable.value.hint
    assert SECRET not in f"{unreadable.value.message} {unreadable.value.details}"


def test_a_bucket_that_does_not_exist(s3_place: S3Place) -> None:
    blobs = hurried(replace(s3_place, bucket="there-is-none"))

    for attempt in (lambda: put(blobs, DATA), lambda: put(blobs, bytes(20 * MIB)), blobs.check):
        with pytest.raises(BudflowError, match="the bucket does not exist") as failed:
            attempt()
        assert "Make the bucket" in failed.value.hint


def test_nobody_at_the_address(s3_place: S3Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # It does not listen: whoever connects is refused.
        blobs = hurried(replace(s3_place, endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}"))

        for attempt in (lambda: put(blobs, DATA), lambda: blobs.read("default", "abc", 0, 1), blobs.check):
            with pytest.raises(BudflowError, match="it cannot be reached") as failed:
                attempt()
            assert "endpoint_url" in failed.value.hint


def test_a_service_that_does_not_answer(s3_place: S3Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        blobs = hurried(replace(s3_place, endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        blobs.bucket.patience = replace(blobs.bucket.patience, attempts=1, read_seconds=0.1)

        with pytest.raises(BlobUnreadable, match="it does not answer in time"):
            blobs.read("default", "abc", 0, 1)


async def test_who_reads_on_an_event_loop_is_told_sooner(s3_place: S3Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        blobs = S3Blobs(replace(s3_place, endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        blobs.hasty.patience = replace(HASTY, attempts=1, read_seconds=0.1)

        with pytest.raises(BlobUnreadable, match="it does not answer in time"):
            blobs.read("default", "abc", 0, 1)

    assert HASTY.attempts * HASTY.read_seconds < Settings().lease_seconds


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "there are no credentials"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "the credentials are incomplete"),
        ({"AWS_PROFILE": "nobody"}, "the profile that AWS_PROFILE names does not exist"),
    ],
)
def test_credentials_that_are_not_there(
    s3_place: S3Place, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str | None], why: str
) -> None:
    for name, value in variables.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)

    with pytest.raises(BlobUnreadable, match=why) as unreadable:
        S3Blobs(s3_place).check()
    with pytest.raises(BlobUnwritable, match=why):
        put(S3Blobs(s3_place), DATA)

    assert "AWS_ACCESS_KEY_ID" in unreadable.value.hint


def test_a_full_disk_of_this_machine(in_s3: StoredInS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/not/there")

    for attempt in (lambda: in_s3.blobs.open_writer("default"), in_s3.blobs.scratch):
        with pytest.raises(BlobUnwritable, match="temporary file") as failed:
            attempt()
        assert "TMPDIR" in failed.value.hint


def test_no_credentials_in_logs_and_errors(blobs: S3Blobs, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token-for-tests")
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    lines = io.StringIO()
    configure("debug", lines)
    proxy.faults.append(("GET", "403 AccessDenied"))

    with pytest.raises(BlobUnreadable) as failed:
        blobs.read("default", "abc", 0, 1)
    put(blobs, DATA)
    logging.getLogger("budflow").error("told", exc_info=failed.value)

    said = f"{lines.getvalue()} {failed.value.message} {failed.value.hint} {failed.value.details}"
    assert "told" in said
    for secret in (ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], ENVIRONMENT["AWS_ACCESS_KEY_ID"], "a-session-token", "AWS4-"):
        assert secret not in said


def test_a_check_with_writing_leaves_nothing(blobs: S3Blobs, in_s3: StoredInS3) -> None:
    blobs.check(writing=True)

    assert in_s3.keys() == []
