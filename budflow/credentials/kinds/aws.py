"""aws: an access key of AWS, or of a service that is signed to like AWS (Signature Version 4)."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, ClassVar
from urllib.parse import quote, unquote_to_bytes, urlsplit

from pydantic import Field

from budflow.credentials.header_secret import HeaderSecret
from budflow.model.credential_kind import CredentialKind
from budflow.model.http import HttpRequest
from budflow.model.secret import Secret, SecretText

#: What AWS itself calls its regions. Other vendors' have names such as `auto`, and no STS.
AWS_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]")
#: Beside S3's own, the services that ask for the hash of the body in a header.
BODY_HASH_SERVICES = frozenset({"s3", "s3-object-lambda", "s3-outposts", "aoss"})
STS = "sts"
PROBE_TIMEOUT_SECONDS = 10.0
PROBE_RESPONSE_BYTES_MAX = 64 * 1024


class Aws(CredentialKind):
    """An access key of AWS, or of a storage that is signed to like S3. Requests are signed with Signature Version 4.

    It is tried by asking STS who it is, which every AWS key may do: add `sts.REGION.amazonaws.com` to the hosts.
    """

    name: ClassVar[str] = "aws"
    sends_secrets: ClassVar[bool] = False

    access_key_id: str = Field(
        pattern=r"^[A-Za-z0-9_.-]+$",
        max_length=128,
        description="Id of the access key. It is no secret.",
        examples=["AKIAIOSFODNN7EXAMPLE"],
    )
    secret_access_key: Annotated[
        Secret,
        SecretText(max_length=256, pattern=r"^[\x21-\x7e]+$", meaning="It must be one line of ASCII without spaces."),
    ] = Field(description="Secret access key.", examples=["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"])
    session_token: HeaderSecret | None = Field(
        default=None,
        description="Session token, where the access key is a temporary one.",
        examples=["IQoJb3JpZ2luX2Vj"],
    )
    region: str = Field(
        pattern=r"^[a-z0-9-]{2,64}$",
        description="Region of the service that is called.",
        examples=["eu-central-1", "us-east-1", "auto"],
    )
    service: str = Field(
        pattern=r"^[a-z0-9-]{2,64}$",
        description="Name that the service signs by, mostly the first part of its host.",
        examples=["s3", "sqs", "dynamodb", "execute-api"],
    )

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """Signature Version 4 in headers, over all headers and the body. The address is written as AWS encodes it."""
        body = request.body or b""
        stamp = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        signed = replace(request, url=_encoded(request.url)).with_header("X-Amz-Date", stamp)
        if self.session_token is not None:
            signed = signed.with_header("X-Amz-Security-Token", self.session_token.reveal())
        service = STS if urlsplit(request.url).hostname == self._sts_host() else self.service
        if service in BODY_HASH_SERVICES:
            signed = signed.with_header("X-Amz-Content-SHA256", hashlib.sha256(body).hexdigest())
        return signed.with_header("Authorization", self._authorization(signed, service, stamp))

    def probe(self) -> HttpRequest | None:
        """Who am I? STS answers that to every key of AWS (GetCallerIdentity). None for other vendors' regions."""
        if AWS_REGION.fullmatch(self.region) is None:
            return None
        return HttpRequest(
            method="POST",
            url=f"https://{self._sts_host()}/",
            headers=(("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")),
            body=b"Action=GetCallerIdentity&Version=2011-06-15",
            timeout_seconds=PROBE_TIMEOUT_SECONDS,
            follow_redirects=False,
            response_bytes_max=PROBE_RESPONSE_BYTES_MAX,
        )

    def _sts_host(self) -> str:
        return f"sts.{self.region}.amazonaws.com{'.cn' if self.region.startswith('cn-') else ''}"

    def _authorization(self, request: HttpRequest, service: str, stamp: str) -> str:
        """The value of the header. Step by step: what does it at once takes its own time and logs all headers."""
        # Takes 0.1 s to import, and most servers have no such credential.
        from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415 - see above
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - see above
        from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415 - see above

        keys = ReadOnlyCredentials(self.access_key_id, self.secret_access_key.reveal(), None)
        signer = (S3SigV4Auth if service.startswith("s3") else SigV4Auth)(keys, service, self.region)
        sent = AWSRequest(method=request.method, url=request.url, data=request.body)
        for name, value in request.headers:
            if name.lower() != "authorization":
                sent.headers[name] = value
        sent.context["timestamp"] = stamp
        signature = signer.signature(signer.string_to_sign(sent, signer.canonical_request(sent)), sent)
        names = signer.signed_headers(signer.headers_to_sign(sent))
        return f"AWS4-HMAC-SHA256 Credential={signer.scope(sent)}, SignedHeaders={names}, Signature={signature}"


def _encoded(url: str) -> str:
    """The same address with everything encoded that AWS expects to be, in path and query."""
    parts = urlsplit(url)
    path = "/".join(_quoted(segment) for segment in parts.path.split("/")) or "/"
    query = "&".join(
        "=".join(_quoted(side.replace("+", " ")) for side in pair.split("=", 1)) for pair in parts.query.split("&")
    )
    return parts._replace(path=path, query=query).geturl()


def _quoted(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")
