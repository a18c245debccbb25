"""What `blob_url` says: the directory or the bucket in which the blobs are."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from budflow.errors import BudflowError

#: Any longer, and a key of ours could be longer than the 1,024 bytes that S3 allows.
PREFIX_BYTES_MAX = 256

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]*")  # What S3's documentation calls safe.


class BlobUrlRefused(BudflowError):
    """The `blob_url` names no place for blobs."""

    code = "blob.url_refused"
    http_status = 500
    hint = (
        "Write it as file:///an/absolute/directory or as s3://bucket/prefix, or leave it out: then they are in the "
        "data directory. What may follow s3://bucket/prefix is ?endpoint_url=https://…&region=…&addressing=virtual."
    )


@dataclass(frozen=True, slots=True)
class S3Place:
    """Below which prefix of which bucket. The prefix is empty or ends with a slash.

    Without `endpoint_url` and `region` they are what AWS's own settings on this machine say. `addressing`: whether the
    bucket's name stands in the path or in the host of a request.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"

    def __str__(self) -> str:
        """For people; there is nothing secret in it."""
        return f"s3://{self.bucket}/{self.prefix}" + (f" at {self.endpoint_url}" if self.endpoint_url else "")


def read_blob_url(url: str) -> Path | S3Place:
    """Where the blobs are. Raises BlobUrlRefused, which repeats nothing that could be a secret."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BlobUrlRefused("`blob_url` is no URL.") from error
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query or parts.fragment:
            raise BlobUrlRefused("`blob_url` must be file:// and an absolute path.")
        return path
    if parts.scheme != "s3":
        raise BlobUrlRefused(f"`blob_url` begins with {parts.scheme or 'no scheme'}; it must be file:// or s3://.")
    if "@" in parts.netloc:
        raise BlobUrlRefused(
            "`blob_url` must not hold credentials.",
            hint="Give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in another way that boto3 knows.",
        )
    if not _BUCKET.fullmatch(parts.netloc):
        raise BlobUrlRefused("`blob_url` names no bucket: a name has 3 to 63 of a-z, 0-9, dot and hyphen.")
    return _with_options(parts.netloc, _prefix(parts.path), parts.query, parts.fragment)


def _prefix(path: str) -> str:
    prefix = path.strip("/")
    if not _PREFIX.fullmatch(prefix) or len(prefix) > PREFIX_BYTES_MAX or {"", ".", ".."} & set(prefix.split("/")[1:]):
        raise BlobUrlRefused(
            f"The prefix in `blob_url` may have {PREFIX_BYTES_MAX} letters, digits and !_.*'()- between single slashes."
        )
    return f"{prefix}/" if prefix else ""


def _with_options(bucket: str, prefix: str, query: str, fragment: str) -> S3Place:
    given = parse_qsl(query, keep_blank_values=True)
    options = dict(given)
    unknown = sorted(options.keys() - {"endpoint_url", "region", "addressing"})
    if unknown or fragment or len(options) != len(given):
        raise BlobUrlRefused("Behind ? in `blob_url` may stand endpoint_url, region and addressing, each once.")
    endpoint_url, region, addressing = (options.get(name) for name in ("endpoint_url", "region", "addressing"))
    if endpoint_url is not None and not _is_endpoint(endpoint_url):
        raise BlobUrlRefused("The `endpoint_url` in `blob_url` must be http:// or https:// and a host.")
    if region is not None and not _REGION.fullmatch(region):
        raise BlobUrlRefused("The `region` in `blob_url` must be a name such as eu-central-1.")
    if addressing not in (None, "path", "virtual"):
        raise BlobUrlRefused("The `addressing` in `blob_url` must be path or virtual.")
    if addressing is None:
        # AWS wants the name in the host; most others cannot do that without a wildcard in the DNS.
        addressing = "auto" if endpoint_url is None else "path"
    return S3Place(bucket, prefix, endpoint_url, region, addressing)  # type: ignore[arg-type] # is one of the three


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_valid and plain
