"""http.request: send one HTTP request for each item."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import orjson
from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from budflow.errors import BudflowError
from budflow.model.credential_kind import CredentialSlot, OpenCredential
from budflow.model.failure import NodeError
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.item import Item
from budflow.model.node import Call, Example, Params, Static, node
from budflow.model.redaction import NO_REDACTION, Redaction
from budflow.model.secret import Secret
from budflow.model.workflow import Effect
from budflow.nodes.http.headers import HeaderName, HeaderValue, check_framing
from budflow.nodes.http.response_body import read_body, text_of

METHODS_ONCE = frozenset({"POST", "PATCH"})
#: Besides 5xx, the statuses that say "later": request timeout, too early, too many requests (RFC 9110, 8470, 6585).
STATUS_RETRIABLE = frozenset({408, 425, 429})
MIB = 1024 * 1024
#: A secret comes from an expression only: it is no part of what can be written.
RequestHeaders = dict[HeaderName, HeaderValue | SkipJsonSchema[Secret]]
PHRASES = {int(status): status.phrase for status in HTTPStatus}
EXCERPT_CHARACTERS_MAX = 200
#: The slot of the credential that signs the request.
AUTH = "auth"


class HttpStatusRefused(NodeError):
    """The server answered with an error status."""

    code = "http.status"
    hint = "Read the answer in the message; set `fail_on_status` to false to go on with such answers as items."

    def __init__(self, message: str | None = None, *, hint: str | None = None, status: int = 0, **details: Any) -> None:
        super().__init__(message, hint=hint, status=status, **details)
        self.retriable = status in STATUS_RETRIABLE or status >= 500


class HttpBodyUnfit(NodeError):
    """The body cannot be sent as JSON."""

    code = "http.body_unfit"
    hint = "Give an object, a list, a text, a number, a boolean or a date, or send `body_text`."


class HttpRequestParams(Params):
    """The request, and what is made of the answer."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    url: str = Field(
        pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]",
        max_length=8192,
        description="Absolute address with http:// or https://, such as https://api.example.com/orders/{{ $json.id }}.",
    )
    method: Annotated[Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"], Static] = Field(
        default="GET",
        description="HTTP method. POST and PATCH are done once only: they are sent with an Idempotency-Key header, "
        "and after a crash the workflow's `on_crash` decides. The others may be sent again.",
    )
    query: dict[str, Any | SkipJsonSchema[Secret]] = Field(
        default_factory=dict,
        description="Parameters added to the query of the address, encoded for you. A list repeats the name; null "
        "leaves it out. A value may be a secret, such as {{ $secrets.auth.token }}.",
    )
    headers: RequestHeaders = Field(
        default_factory=dict,
        max_length=64,
        description="Headers by name. A value may be a secret, such as {{ $secrets.auth.token }}.",
    )
    body: Any = Field(default=None, description="Body sent as JSON, such as {{ $json }} or an object. Null sends none.")
    body_text: str | None = Field(
        default=None,
        description="Body sent as this text in UTF-8, as text/plain unless a Content-Type header is given. Not "
        "together with `body`.",
    )
    timeout_seconds: float = Field(
        default=30, gt=0, le=600, description="Seconds until the whole answer must be there, redirects included."
    )
    follow_redirects: bool = Field(default=True, description="Follow redirects, as browsers do.")
    response: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="How the body of the answer is read: by its Content-Type (`auto`), always as `json`, or as `text`.",
    )
    fail_on_status: bool = Field(
        default=True, description="Fail the item when the status is 400 or more; 408, 425, 429 and 5xx can be retried."
    )
    response_bytes_max: int = Field(
        default=10 * MIB, ge=1, le=100 * MIB, description="Largest body of an answer in bytes; a larger one fails."
    )

    @field_validator("headers")
    @classmethod
    def _headers_are_free(cls, headers: RequestHeaders) -> RequestHeaders:
        return check_framing(headers)

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.body_text is not None:
            raise ValueError("Give `body` or `body_text`, not both.")
        return self


def request_effect(params: HttpRequestParams) -> Effect:
    """RFC 9110, 9.2.2: all but POST and PATCH may be repeated."""
    return "once" if params.method in METHODS_ONCE else "idempotent"


@node(
    "http.request",
    kind="item",
    effect=request_effect,
    params=HttpRequestParams,
    credentials={AUTH: CredentialSlot("Signs the request, as the kind of the credential does it.")},
    examples=[
        Example(
            title="Look a product up",
            params={"url": "https://shop.example/products/{{ $json.sku }}", "query": {"currency": "EUR"}},
            given=[{"sku": "A1"}],
            answers=[
                HttpResponse(
                    200,
                    (("Content-Type", "application/json"),),
                    b'{"sku": "A1", "price": 5}',
                    "https://shop.example/products/A1?currency=EUR",
                )
            ],
            expect={
                "main": [
                    {
                        "status": 200,
                        "headers": {"content-type": "application/json"},
                        "body": {"sku": "A1", "price": 5},
                    }
                ]
            },
        ),
        Example(
            title="Create an order, for each item one",
            params={
                "method": "POST",
                "url": "https://shop.example/orders",
                "headers": {"X-Source": "budflow"},
                "body": {"customer": "{{ $json.customer }}", "total": "{{ $json.total }}"},
            },
            given=[{"customer": "Ada", "total": 12}],
            answers=[HttpResponse(201, (), b"", "https://shop.example/orders")],
            expect={"main": [{"status": 201, "headers": {}, "body": None}]},
        ),
        Example(
            title="Failed items leave by `error` with `on_error` `error_output`",
            params={"url": "https://shop.example/products/{{ $json.sku }}"},
            given=[{"sku": "unknown"}],
            answers=[HttpResponse(404, (), b"no such product", "https://shop.example/products/unknown")],
            expect={"error": [{"sku": "unknown"}]},
        ),
    ],
)
async def send_request(call: Call[HttpRequestParams]) -> Item:
    """Send one HTTP request for each item; the answer leaves by `main` as `{status, headers, body}`.

    Use it to call any API. The result replaces the item's fields: reach the earlier ones as `$node.KEY.json`, or join
    them again with `flow.merge` by position. Header names are in lower case. Private addresses are refused unless the
    server's settings allow them. Items are sent concurrently; give the node `retry` for servers that fail at times.

    To sign in, give the node a credential, `"credentials": {"auth": "crm-token"}`, and leave out the header or the
    parameter of the query that it sets: with both the item fails. It is sent to the hosts that the credential allows
    and to no other; redirected to another server the request goes on without it. Its secrets are masked in the answer.
    Where `headers` or `query` read `$secrets.auth`, what they say is all that is sent of it: nothing else is signed.
    """
    request, credential = _request(call.params, call.key, call.traceparent), call.credentials.get(AUTH)
    response = await _send(call, request, credential)
    if call.params.fail_on_status and response.status >= 400:
        raise _refused(request, response, NO_REDACTION if credential is None else credential.redaction)
    return Item(
        {
            "status": response.status,
            "headers": _headers_of(response),
            "body": read_body(response, call.params.response),
        }
    )


async def _send(call: Call[HttpRequestParams], request: HttpRequest, credential: OpenCredential | None) -> HttpResponse:
    """Send it, and log what came of that: never the path, the query, headers or bodies, in which secrets may stand."""
    began = time.perf_counter()
    what = f"{request.method} {urlsplit(request.url).hostname}"
    try:
        response = await call.http.send(request, credential)
    except BudflowError as error:
        what += f": {error.code}"
        call.log.warning(what, duration_ms=_since(began))
        raise
    fields: dict[str, Any] = {"status": response.status, "duration_ms": _since(began)}
    if response.url != request.url and _place_of(response.url) != _place_of(request.url):
        fields["redirected_to"] = urlsplit(response.url).hostname
    write = call.log.info if response.status < 400 else call.log.warning
    write(f"{what}: {response.status} {PHRASES.get(response.status, '')}".rstrip(), **fields)
    return response


def _place_of(url: str) -> tuple[str, str | None, int | None, str]:
    """What a redirect changes of an address; its query apart."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.hostname, parts.port, unquote(parts.path) or "/"


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


def _request(params: HttpRequestParams, key: str, traceparent: str | None) -> HttpRequest:
    given = {name.lower() for name in params.headers}
    headers = [(name, value) for name, value in params.headers.items() if not isinstance(value, Secret)]
    body: bytes | None = None
    if params.body is not None:
        try:
            body = orjson.dumps(params.body)
        except TypeError as error:
            raise HttpBodyUnfit(f"The body cannot be sent as JSON: {error}.") from error
    elif params.body_text is not None:
        body = params.body_text.encode()
    if body is not None and "content-type" not in given:
        media_type = "application/json" if params.body is not None else "text/plain; charset=utf-8"
        headers.append(("Content-Type", media_type))
    if request_effect(params) == "once" and "idempotency-key" not in given:
        headers.append(("Idempotency-Key", key))
    if traceparent is not None and "traceparent" not in given:
        headers.append(("traceparent", traceparent))
    return HttpRequest(
        method=params.method,
        url=_address(
            params.url, {name: value for name, value in params.query.items() if not isinstance(value, Secret)}
        ),
        headers=tuple(headers),
        body=body,
        timeout_seconds=params.timeout_seconds,
        follow_redirects=params.follow_redirects,
        response_bytes_max=params.response_bytes_max,
        secret_headers=_secrets(params.headers),
        secret_query=_secrets(params.query),
    )


def _secrets(values: Mapping[str, Any]) -> tuple[tuple[str, Secret], ...]:
    return tuple((name, value) for name, value in values.items() if isinstance(value, Secret))


def _address(url: str, query: dict[str, Any]) -> str:
    """The address with `query` behind what it already asks."""
    pairs = [
        (name, _query_text(value))
        for name, values in query.items()
        for value in (values if isinstance(values, list | tuple) else [values])
        if value is not None
    ]
    if not pairs:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(pairs))))))


def _query_text(value: Any) -> str:
    """Texts as they are, everything else as JSON writes it: true, 1.5, {"a":1}."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _headers_of(response: HttpResponse) -> dict[str, str | list[str]]:
    """By lower-case name; repeated ones joined by commas but for Set-Cookie, which is a list (RFC 9110, 5.3)."""
    headers: dict[str, str | list[str]] = {}
    for name, value in response.headers:
        lower = name.lower()
        before = headers.get(lower)
        if lower == "set-cookie":
            headers[lower] = [*(before if isinstance(before, list) else []), value]
        else:
            headers[lower] = value if before is None else f"{before}, {value}"
    return headers


def _refused(request: HttpRequest, response: HttpResponse, redaction: Redaction) -> HttpStatusRefused:
    """The failure names method, host and status, but not the query, in which credentials may stand."""
    phrase = PHRASES.get(response.status, "")
    text = redaction.text(text_of(response))  # Before it is cut: half of a secret would not be known for one.
    excerpt = " ".join(text[: 4 * EXCERPT_CHARACTERS_MAX].split())[:EXCERPT_CHARACTERS_MAX]
    answer = f"{response.status} {phrase}".strip()
    host = urlsplit(request.url).hostname or "the server"
    return HttpStatusRefused(
        f"{request.method} to {host} was answered with {answer}{f': {excerpt}' if excerpt else '.'}",
        status=response.status,
    )
