"""aws: requests are signed with Signature Version 4."""

import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.credentials.kinds.aws import Aws
from tests.credentials.kinds.requests import header, request

#: The credentials, the time and the signatures of AWS's test suite for Signature Version 4.
SUITE_KEYS = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "region": "us-east-1",
    "service": "service",
}
SUITE = Aws.model_validate(SUITE_KEYS)
SUITE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SUITE_SCOPE = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
#: Those of the Amazon S3 API Reference, "Signature Calculations for the Authorization Header".
S3 = Aws.model_validate(
    {
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "region": "us-east-1",
        "service": "s3",
    }
)
S3_TIME = datetime(2013, 5, 24, tzinfo=UTC)
BUCKET = "https://examplebucket.s3.amazonaws.com"


def aws(**values: Any) -> Aws:
    return Aws.model_validate({**SUITE_KEYS, **values})


def signature(value: str) -> str:
    return value.partition("Signature=")[2]


@pytest.mark.parametrize(
    ("asked", "signed_headers", "expected"),
    [
        (
            request("https://example.amazonaws.com/"),
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            request("https://example.amazonaws.com/", method="POST"),
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            request("https://example.amazonaws.com/?Param2=value2&Param1=value1"),
            "host;x-amz-date",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            request(
                "https://example.amazonaws.com/",
                headers=[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
            ),
            "host;my-header1;x-amz-date",
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            request(
                "https://example.amazonaws.com/",
                method="POST",
                headers=[("Content-Type", "application/x-www-form-urlencoded")],
                body=b"Param1=value1",
            ),
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_signatures_are_those_of_the_test_suite(asked: Any, signed_headers: str, expected: str) -> None:
    value = header(SUITE.sign(asked, SUITE_TIME), "Authorization")

    assert value == f"{SUITE_SCOPE}, SignedHeaders={signed_headers}, Signature={expected}"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            request(f"{BUCKET}/test.txt", headers=[("Range", "bytes=0-9")]),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            request(
                f"{BUCKET}/test$file.text",
                method="PUT",
                headers=[("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                body=b"Welcome to Amazon S3.",
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (request(f"{BUCKET}/?lifecycle"), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            request(f"{BUCKET}/?max-keys=2&prefix=J"),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_signatures_for_s3_are_those_of_its_reference(asked: Any, expected: str) -> None:
    assert signature(header(S3.sign(asked, S3_TIME), "Authorization")) == expected


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (f"{BUCKET}/test$file(1).text", f"{BUCKET}/test%24file%281%29.text"),
        (f"{BUCKET}/a%2fb/%7e", f"{BUCKET}/a%2Fb/~"),
        (f"{BUCKET}?prefix=a/b+c&list-type=2&d=e=f&acl", f"{BUCKET}/?prefix=a%2Fb%20c&list-type=2&d=e%3Df&acl"),
    ],
)
def test_the_address_is_sent_as_it_is_signed(asked: str, sent: str) -> None:
    assert S3.sign(request(asked), S3_TIME).url == sent


def test_a_query_gives_one_signature_however_it_was_encoded() -> None:
    values = {
        header(S3.sign(request(f"{BUCKET}/?{query}"), S3_TIME), "Authorization")
        for query in ("prefix=a/b c", "prefix=a%2Fb+c", "prefix=a%2fb%20c")
    }

    assert len(values) == 1


def test_a_session_token_is_sent_and_signed() -> None:
    signed = aws(session_token="IQoJ-token").sign(request("https://example.amazonaws.com/"), SUITE_TIME)

    assert header(signed, "X-Amz-Security-Token") == "IQoJ-token"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in header(signed, "Authorization")


def test_the_time_is_signed_in_utc() -> None:
    there = SUITE_TIME.astimezone(timezone(timedelta(hours=9)))

    assert SUITE.sign(request(), there) == SUITE.sign(request(), SUITE_TIME)


def test_what_was_signed_before_is_replaced() -> None:
    once = SUITE.sign(request(), SUITE_TIME)

    assert SUITE.sign(once, SUITE_TIME) == once


def test_what_the_connection_may_change_is_not_signed() -> None:
    signed = SUITE.sign(request(headers=[("User-Agent", "x"), ("traceparent", "00-1-2-01")]), SUITE_TIME)

    assert "SignedHeaders=host;x-amz-date," in header(signed, "Authorization")


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "sts.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_it_is_tried_by_asking_sts_who_it_is(region: str, host: str) -> None:
    kind = aws(region=region, service="s3")

    probe = kind.probe()

    assert probe is not None
    assert (probe.method, probe.url) == ("POST", f"https://{host}/")
    assert probe.body == b"Action=GetCallerIdentity&Version=2011-06-15"
    assert f"/20150830/{region}/sts/aws4_request" in header(kind.sign(probe, SUITE_TIME), "Authorization")


def test_a_vendor_without_sts_is_not_tried() -> None:
    assert aws(region="auto", service="s3").probe() is None


def test_nothing_of_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        aws(session_token="canary-token").sign(request(), SUITE_TIME)

    assert caplog.text == ""


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("access_key_id", "AKID/canary"),
        ("secret_access_key", "canary canary"),
        ("secret_access_key", "canary\n"),
        ("session_token", "canary\r\nX-Evil: 1"),
        ("region", "eu-central-1.canary.example/"),
        ("service", "S3 canary"),
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(field: str, text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        aws(**{field: text})

    assert "canary" not in str(refused.value)
