"""http.request."""

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.model.credential_kind import CredentialKind, OpenCredential
from budflow.model.failure import Failure, NodeError
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.secret import Secret
from budflow.nodes.http.request import HttpRequestParams, HttpStatusRefused
from tests.nodes.harness import FakeHttp, Ran, run, spec_of

URL = "https://a.example/x"
TOKEN = OpenCredential("crd_1", "crm", "none", CredentialKind(), ("a.example",))


def respond(status: int = 200, body: bytes = b"", *headers: tuple[str, str]) -> HttpResponse:
    return HttpResponse(status, headers, body, URL)


def send(answer: HttpResponse | NodeError | None = None, **params: Any) -> Ran:
    return run("http.request", {"url": URL, **params}, [{}], answers=[answer or respond()])


def sent(**params: Any) -> HttpRequest:
    [request] = send(**params).requests
    return request


def test_the_credential_in_the_slot_goes_along_to_be_signed_with() -> None:
    http = FakeHttp([respond(), respond()])
    for credentials in ({"auth": TOKEN}, {}):
        run("http.request", {"url": URL}, [{}], answers=http, credentials=credentials)

    assert http.credentials == [TOKEN, None]
    assert http.requests[0] == http.requests[1], "signing is not the node's business"


class Known(CredentialKind):
    """One secret."""

    def secrets(self) -> Iterator[str]:
        yield "canary-of-many-signs"


@pytest.mark.parametrize("before", [5, 185, 199, 790])
def test_the_excerpt_of_an_answer_does_not_end_in_half_a_secret(before: int) -> None:
    # In UTF-16 the guarded client finds no secret, and who masks the failure finds none that was cut.
    body = ("x" * before + "canary-of-many-signs" + " " * 700 + "canary-of-many-signs").encode("utf-16")
    answer = respond(500, body, ("Content-Type", "text/plain; charset=utf-16"))
    opened = OpenCredential("crd_1", "crm", "known", Known(), ("a.example",))

    ran = run("http.request", {"url": URL}, [{}], answers=[answer], credentials={"auth": opened})

    assert "cana" not in ran.failed[0].message


def test_its_slot_takes_every_kind_that_signs() -> None:
    assert {name: (slot.kinds, slot.required) for name, slot in spec_of("http.request").credentials.items()} == {
        "auth": ((), False)
    }


def test_secrets_among_headers_and_query_are_kept_apart_from_what_anybody_may_read() -> None:
    token, key = Secret("canary-1"), Secret("canary-2")
    request = sent(headers={"X-A": "1", "X-Token": token}, query={"a": 1, "key": key}, body_text="")

    assert (request.url, request.headers) == (
        f"{URL}?a=1",
        (("X-A", "1"), ("Content-Type", "text/plain; charset=utf-8")),
    )
    assert (request.secret_headers, request.secret_query) == ((("X-Token", token),), (("key", key),))
    assert "canary" not in repr(request)


def test_a_header_that_is_a_secret_is_there_all_the_same() -> None:
    request = sent(method="POST", headers={"Idempotency-Key": Secret("canary-1")})

    assert request.headers == ()


@pytest.mark.parametrize(
    "params",
    [
        {"url": Secret("https://canary.example/")},
        {"method": "PUT", "body_text": Secret("canary")},
        {"method": "PUT", "body": Secret("canary")},
        {"timeout_seconds": Secret("canary")},
        {"headers": {"Content-Length": Secret("canary")}},
    ],
)
def test_no_other_parameter_takes_a_secret_and_no_error_shows_it(params: dict[str, Any]) -> None:
    [failed] = run("http.request", lambda _json: {"url": URL, **params}, [{}]).failed.values()

    assert "canary" not in f"{failed.message} {failed.hint} {failed.__cause__!r}"  # type: ignore[union-attr] # an error


def test_a_plain_request_has_the_defaults() -> None:
    assert sent() == HttpRequest("GET", URL, (), None, 30.0, True, 10 * 1024 * 1024)


def test_the_answer_replaces_the_item() -> None:
    ran = run("http.request", lambda json: {"url": f"{URL}/{json['n']}"}, [{"n": 1}, {"n": 2}], answers=[respond()] * 2)

    assert ran.ports == {"main": [{"status": 200, "headers": {}, "body": None}] * 2}
    assert [request.url for request in ran.requests] == [f"{URL}/1", f"{URL}/2"]
    assert ran.lineage == {"main": [0, 1]}


@pytest.mark.parametrize(
    ("url", "query", "expected"),
    [
        (URL, {"q": "a b&c"}, f"{URL}?q=a+b%26c"),
        (f"{URL}?k=1#part", {"q": 2}, f"{URL}?k=1&q=2#part"),
        (URL, {"q": [1, True, None, "x"]}, f"{URL}?q=1&q=true&q=x"),
        (URL, {"q": None, "r": []}, URL),
        (URL, {"q": {"a": 1.5}}, f"{URL}?q=%7B%22a%22%3A1.5%7D"),
        (URL, {"ü": "ö"}, f"{URL}?%C3%BC=%C3%B6"),
        (URL, {"q": ""}, f"{URL}?q="),
    ],
)
def test_the_query_is_encoded_behind_what_the_address_asks(url: str, query: dict[str, Any], expected: str) -> None:
    assert sent(url=url, query=query).url == expected


def test_a_body_is_sent_as_json() -> None:
    request = sent(method="PUT", body={"a": [1, None]})

    assert request.body == b'{"a":[1,null]}'
    assert request.headers == (("Content-Type", "application/json"),)


def test_a_text_is_sent_as_it_is_under_the_authors_type() -> None:
    request = sent(method="PUT", body_text="<a>ö</a>", headers={"content-type": "text/xml"})

    assert request.body == "<a>ö</a>".encode()
    assert request.headers == (("content-type", "text/xml"),)


def test_a_text_without_a_type_is_plain() -> None:
    assert sent(method="PUT", body_text="").headers == (("Content-Type", "text/plain; charset=utf-8"),)


@pytest.mark.parametrize("body", [0, False, "", [], {}])
def test_an_empty_value_is_a_body_all_the_same(body: Any) -> None:
    assert sent(method="PUT", body=body).body is not None


def test_a_body_that_is_no_json_fails_the_item() -> None:
    ran = send(method="PUT", body={"a": {1, 2}})

    assert ran.failed[0].code == "http.body_unfit"
    assert ran.requests == []


@pytest.mark.parametrize(
    ("method", "effect"),
    [
        ("GET", "idempotent"),
        ("HEAD", "idempotent"),
        ("OPTIONS", "idempotent"),
        ("PUT", "idempotent"),
        ("DELETE", "idempotent"),
        ("POST", "once"),
        ("PATCH", "once"),
    ],
)
def test_what_is_done_once_carries_an_idempotency_key(method: str, effect: str) -> None:
    params = HttpRequestParams.model_validate({"url": URL, "method": method})

    assert spec_of("http.request").effect_of(params) == effect
    assert (("Idempotency-Key", "key-0") in sent(method=method).headers) is (effect == "once")


def test_the_authors_idempotency_key_wins() -> None:
    assert sent(method="POST", headers={"idempotency-key": "mine"}).headers == (("idempotency-key", "mine"),)


@pytest.mark.parametrize(
    ("status", "retriable"),
    [(400, False), (401, False), (404, False), (408, True), (425, True), (429, True), (500, True), (503, True)],
)
def test_an_error_status_fails_the_item_and_says_whether_to_try_again(status: int, retriable: bool) -> None:
    [failure] = send(respond(status, b"nope")).failed.values()

    assert isinstance(failure, HttpStatusRefused)
    assert Failure.of(failure).code == "http.status"
    assert Failure.of(failure).retriable is retriable
    assert f"answered with {status}" in failure.message


def test_the_failure_shows_the_answer_but_no_credentials_of_the_address() -> None:
    answer = respond(404, b"no\n such   product " + b"x" * 5000)
    ran = send(answer, url="https://user:hidden@a.example/x?token=hidden")

    message = ran.failed[0].message
    assert message.startswith("GET to a.example was answered with 404 Not Found: no such product xxx")
    assert "hidden" not in message
    assert len(message) < 300


def test_a_status_that_nobody_registered_has_no_phrase() -> None:
    assert send(respond(599)).failed[0].message == "GET to a.example was answered with 599."


def test_a_failure_crosses_processes_whole() -> None:
    [failure] = send(respond(503)).failed.values()

    again = pickle.loads(pickle.dumps(failure))

    assert (again.message, again.retriable, again.details) == (failure.message, True, {"status": 503})


def test_an_error_status_is_an_item_when_the_author_wants_it() -> None:
    ran = send(respond(404, b'{"e": 1}', ("Content-Type", "application/json")), fail_on_status=False)

    assert ran.ports["main"] == [{"status": 404, "headers": {"content-type": "application/json"}, "body": {"e": 1}}]


def test_an_error_of_the_way_out_fails_the_item() -> None:
    refused = NodeError("Refused.")

    assert send(refused).failed == {0: refused}


def test_repeated_headers_are_joined_but_for_cookies() -> None:
    answer = respond(200, b"", ("Vary", "a"), ("VARY", "b"), ("Set-Cookie", "x=1"), ("set-cookie", "y=2"))

    assert send(answer).ports["main"][0]["headers"] == {"vary": "a, b", "set-cookie": ["x=1", "y=2"]}


@pytest.mark.parametrize(
    "params",
    [
        {"url": ""},
        {"url": "ftp://a.example/"},
        {"url": "file:///etc/passwd"},
        {"url": "/x"},
        {"url": "https://"},
        {"url": "https:// a.example"},
        {"url": URL, "method": "TRACE"},
        {"url": URL, "body": 1, "body_text": "x"},
        {"url": URL, "timeout_seconds": 0},
        {"url": URL, "timeout_seconds": 601},
        {"url": URL, "headers": {"A": "b\nc: d"}},
        {"url": URL, "headers": {"a b": "c"}},
        {"url": URL, "headers": {"Content-Length": "1"}},
        {"url": URL, "response_bytes_max": 0},
        {"url": URL, "verify": False},
    ],
)
def test_a_request_that_could_not_be_sent_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpRequestParams.model_validate(params)


# --- the log ---


def test_each_request_has_a_line_with_method_host_status_and_time() -> None:
    ran = run(
        "http.request",
        {"url": "https://a.example/{{ $json.n }}?key=hidden", "headers": {"X-Key": "hidden"}},
        [{"n": 1}, {"n": 2}],
        answers=[HttpResponse(201, (), b"", "https://a.example/1?key=hidden"), respond(503, b"hidden")],
    )

    (level, item, message, fields), refused = ran.logged
    assert (level, item, message) == ("info", 0, "GET a.example: 201 Created")
    assert fields == {"status": 201, "duration_ms": fields["duration_ms"]}
    assert fields["duration_ms"] >= 0
    assert refused[:3] == ("warning", 1, "GET a.example: 503 Service Unavailable")
    assert "hidden" not in f"{ran.logged}"


@pytest.mark.parametrize(
    ("url", "answered", "redirected_to"),
    [
        ("https://a.example", "https://a.example/", None),
        ("HTTPS://A.example/a%20b?q=1", "https://a.example/a b", None),
        ("https://a.example/x", "https://a.example/y?key=hidden", "a.example"),
        ("https://a.example/x", "https://b.example/x", "b.example"),
    ],
)
def test_where_a_redirect_led_to_is_logged(url: str, answered: str, redirected_to: str | None) -> None:
    ran = run("http.request", {"url": url}, [{}], answers=[HttpResponse(200, (), b"", answered)])

    assert ran.logged[0][3].get("redirected_to") == redirected_to


def test_a_request_that_failed_has_a_line_with_the_reason() -> None:
    ran = send(HttpStatusRefused("hidden", status=500))

    [(level, _, message, fields)] = ran.logged
    assert (level, message, [*fields]) == ("warning", "GET a.example: http.status", ["duration_ms"])
