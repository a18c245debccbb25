"""What comes by a secret link is answered to whoever has it, and no answer repeats the link."""

from collections.abc import Mapping
from functools import partial

from budflow.asgi.exchange import Answer, ClientGone, Receive, Scope, Send
from budflow.asgi.link import GUARDS, answer_link
from budflow.asgi.page import page_answer
from budflow.log import get_log
from budflow.model.execution import ExecutionNotFound
from tests.exchange import Exchange

log = get_log("budflow.asgi.test")


def linked(outcome: Answer | Exception, method: str = "GET", accept: str = "text/html") -> Exchange:
    """A request to `/door/secret`, which is answered so, or fails."""

    async def serve(_headers: Mapping[str, str], _as_page: bool) -> Answer:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await answer_link(scope, send, serve, prefix="/door/", public=(ExecutionNotFound,), log=log, event="x.failed")

    return Exchange(app, method, "/door/secret", {"accept": accept})


async def test_every_answer_has_the_guards() -> None:
    refused = partial(linked, ExecutionNotFound("Not there."))
    for exchange in (linked(page_answer("hello")), refused(), refused(accept="*/*")):
        headers = await exchange.headers()
        assert {name: headers[name.lower()] for name, _ in GUARDS} == dict(GUARDS)


async def test_why_it_is_refused_is_told_in_the_form_that_was_asked_for_without_the_link() -> None:
    for accept, kind in (("text/html", b"<!DOCTYPE"), ("application/json", b'{"')):
        exchange = linked(ExecutionNotFound("Not there."), accept=accept)
        assert await exchange.status() == 404
        body = await exchange.chunk()
        assert body.startswith(kind)
        assert b"Not there." in body
        assert b"secret" not in body


async def test_what_was_not_written_for_strangers_is_not_told() -> None:
    exchange = linked(ValueError("canary"))
    assert await exchange.status() == 500
    assert b"canary" not in await exchange.chunk()


async def test_head_is_answered_without_a_body_and_who_hung_up_not_at_all() -> None:
    exchange = linked(page_answer("hello"), method="HEAD")
    assert (await exchange.status(), await exchange.chunk()) == (200, b"")

    gone = linked(ClientGone())
    await gone.task
    assert not gone.answered
