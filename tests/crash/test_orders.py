"""Orders: what the check makes of a server that cannot say now what became of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx2
import pytest

from tests.crash.orders import Order, settle, statuses
from tests.crash.server import Server
from tests.crash.shape import SHAPES

ORDER = Order("fault-1", SHAPES["chain"], {}, execution_id="exe_a")
NOT_NOW = httpx2.Response(503, json={"code": "storage.unavailable"})
UNKNOWN = httpx2.Response(404, json={"code": "execution.not_found"})


@dataclass(frozen=True)
class Told:
    """A server of which only the answers matter."""

    client: httpx2.Client


def status(value: str) -> httpx2.Response:
    return httpx2.Response(200, json={"execution": {"status": value}})


def answering(*answers: httpx2.Response) -> Server:
    """A server that gives these answers, and then the last of them for good."""
    given: Iterator[httpx2.Response] = iter(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        found = next(given, answers[-1])
        return httpx2.Response(found.status_code, content=found.content, request=request)

    return cast("Server", Told(httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://here")))


@pytest.mark.parametrize(("end", "known"), [(status("succeeded"), "succeeded"), (UNKNOWN, "unknown")])
def test_a_server_that_cannot_say_now_is_asked_again(end: Any, known: str) -> None:
    assert settle(answering(NOT_NOW, status("running"), NOT_NOW, end), [ORDER], 10) == {"fault-1": known}


def test_a_server_that_can_never_say_leaves_the_order_without_an_end() -> None:
    assert settle(answering(status("running"), NOT_NOW), [ORDER], 0.2) == {"fault-1": "unavailable"}


def test_any_other_error_of_the_server_is_no_answer() -> None:
    with pytest.raises(httpx2.HTTPStatusError):
        statuses(answering(httpx2.Response(500)), [ORDER])
