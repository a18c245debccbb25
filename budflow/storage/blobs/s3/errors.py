"""What S3 or the way to it says, in our words: why it failed and what to do. Nothing of an answer is repeated."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectionError as CannotConnect,
    ConnectTimeoutError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from budflow.execution.blobs import BlobUnreadable, BlobUnwritable
from budflow.storage.blobs.place import S3Place

#: Everything that boto3 raises when a request fails.
FAILURES = (BotoCoreError, ClientError, ResponseParserError)

_KEYS = (
    "Look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or at where else boto3 finds credentials on this machine: "
    "a profile, a role, the instance's metadata."
)
_RIGHTS = (
    "Allow it s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject and "
    "s3:AbortMultipartUpload on this bucket."
)
_REGION = "Set the bucket's region in `blob_url`: s3://bucket/prefix?region=…"
_SLOW = "Try again later; if it stays so, fewer executions at once (`running_max`) ask less of it."
_REACH = "Is `endpoint_url` in `blob_url` right, does its name resolve here, and may this machine connect to it?"

#: S3's error codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_CODES: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("the bucket does not exist", "Make the bucket, or correct `blob_url`."),
    "InvalidAccessKeyId": ("the access key is not known there", _KEYS),
    "SignatureDoesNotMatch": ("the secret access key is wrong", _KEYS),
    "ExpiredToken": ("the credentials have expired", _KEYS),
    "InvalidToken": ("the session token is wrong", _KEYS),
    "AccessDenied": ("access is denied", _RIGHTS),
    "AllAccessDisabled": ("access is denied", _RIGHTS),
    "AuthorizationHeaderMalformed": ("the region is wrong", _REGION),
    "PermanentRedirect": ("the bucket is in another region", _REGION),
    "TemporaryRedirect": ("the bucket is in another region", _REGION),
    "IllegalLocationConstraintException": ("the bucket is in another region", _REGION),
    "RequestTimeTooSkewed": ("the clocks differ", "Set the clock of this machine; S3 allows 15 minutes."),
    "SlowDown": ("it asks for fewer requests", _SLOW),
    "ServiceUnavailable": ("it is overloaded", _SLOW),
    "RequestTimeout": ("it waited too long for us", _SLOW),
    "BadDigest": ("it got other bytes than were sent", "Look for a faulty network or proxy on the way to it."),
    "XAmzContentSHA256Mismatch": ("it got other bytes than were sent", "Look for a faulty proxy on the way to it."),
    "QuotaExceeded": ("it is full", "Make room there."),
    "XMinioStorageFull": ("it is full", "Make room there."),
    "NoSuchUpload": ("the upload was aborted by somebody else", "Does a lifecycle rule abort uploads too early?"),
}

#: What happens before there is an answer; the first that fits.
_CONNECTING: tuple[tuple[type[Exception], str, str], ...] = (
    (NoCredentialsError, "there are no credentials", _KEYS),
    (PartialCredentialsError, "the credentials are incomplete", _KEYS),
    (ProfileNotFound, "the profile that AWS_PROFILE names does not exist", _KEYS),
    (SSLError, "its certificate is not trusted here", "Give its authority in AWS_CA_BUNDLE, or correct the address."),
    (ProxyConnectionError, "the proxy cannot be reached", "Look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY."),
    (ConnectTimeoutError, "it cannot be reached in time", _REACH),
    (CannotConnect, "it cannot be reached", _REACH),
    (ReadTimeoutError, "it does not answer in time", _SLOW),
    (ConnectionClosedError, "it broke off", _SLOW),
    (ResponseStreamingError, "it broke off", _SLOW),
    (IncompleteReadError, "it broke off", _SLOW),
    (ResponseParserError, "its answer is not one of S3", _REACH),
)


@contextmanager
def told(kind: type[BlobUnreadable | BlobUnwritable], place: S3Place) -> Iterator[None]:
    """Raise what boto3 raises as `kind`, with why and what to do."""
    try:
        yield
    except FAILURES as error:
        raise failed(kind, place, error) from error


def failed(
    kind: type[BlobUnreadable | BlobUnwritable], place: S3Place, error: Exception
) -> BlobUnreadable | BlobUnwritable:
    """The error to raise for one of boto3's."""
    what = "read" if issubclass(kind, BlobUnreadable) else "written"
    why, hint = _explained(error)
    return kind(f"Blobs cannot be {what} in {place}: {why}.", hint=hint, because=code_of(error))


def code_of(error: Exception) -> str:
    """S3's code of the error, or the name of what kept us from getting an answer."""
    if not isinstance(error, ClientError):
        return type(error).__name__
    return str(error.response.get("Error", {}).get("Code", "")) or "none"


def _explained(error: Exception) -> tuple[str, str]:
    for kind, why, hint in _CONNECTING:
        if isinstance(error, kind):
            return why, hint
    code = code_of(error)
    if code in _CODES:
        return _CODES[code]
    if not isinstance(error, ClientError):
        return f"boto3 gave up ({code})", "Look at AWS's settings on this machine, and at `blob_url`."
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code.isdigit():  # What is no XML of S3's has no other code than its status.
        return f"what answers {code} there does not speak S3", _REACH
    if status == 403:
        return "access is denied", _RIGHTS
    return f"it answered {status} ({code})", "Look at what the service behind it logs."
