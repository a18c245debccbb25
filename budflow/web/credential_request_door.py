"""The door of credential requests: an ASGI application by which a person enters a value that nobody else shall see.

GET only shows what is asked, since mail scanners and link previews follow links; POST stores the credential. What
came in is never repeated, neither in an answer nor in the log.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from budflow.asgi.body import BodyMalformed, parse_body
from budflow.asgi.exchange import Answer, BodySlow, BodyTooLarge, Receive, Scope, Send, read_body
from budflow.asgi.link import answer_link
from budflow.asgi.page import page_answer, view_answer
from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.credential import CredentialNameTaken
from budflow.model.principal import Principal
from budflow.model.problem import Problem, pointer
from budflow.services.answer_credential_request import (
    AnswerCredentialRequest,
    CredentialEnteredView,
    answer_credential_request,
)
from budflow.services.credential_links import PREFIX
from budflow.services.credential_ports import RequestUsed
from budflow.services.credential_values import CredentialInvalid
from budflow.services.kind_fields import fields_of
from budflow.services.read_credential_request import (
    AskedCredentialView,
    ReadCredentialRequest,
    read_credential_request,
)
from budflow.services.use_case import Services
from budflow.web.credential_request_page import HOSTS, asking_page, entered_page
from budflow.web.value_form import lines_of, texts_of, values_of

#: Who answers by a link; what it allows is in what was asked.
BEARER = Principal("link", permissions=frozenset({"credential:request", "credential:write"}))
FORM = "application/x-www-form-urlencoded"
METHODS = ("GET", "HEAD", "POST")
BODY_BYTES_MAX = 256 * 1024

log = get_log(__name__)


class RequestMethodNotAllowed(BudflowError):
    """The link of a credential request is read by GET and answered by POST."""

    code = "credential.request_method_not_allowed"
    http_status = 405
    hint = "Use one of the methods in `Allow`."


class RequestCrossSite(BudflowError):
    """The form was sent by a page of another site."""

    code = "credential.request_cross_site"
    http_status = 403
    hint = "Open the link itself and enter the value there."


#: What is written for strangers; of all others they are told no more than that something went wrong.
_PUBLIC = (
    RequestUsed,
    RequestMethodNotAllowed,
    RequestCrossSite,
    CredentialInvalid,
    CredentialNameTaken,
    BodyMalformed,
    BodySlow,
    BodyTooLarge,
)


class CredentialRequestDoor:
    """An ASGI application for every path below `/credential-request/`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        serve = partial(self._serve, scope, receive)
        await answer_link(scope, send, serve, prefix=PREFIX, public=_PUBLIC, log=log, event="credential_request.failed")

    async def _serve(self, scope: Scope, receive: Receive, headers: Mapping[str, str], as_page: bool) -> Answer:
        if scope["method"] not in METHODS:
            raise RequestMethodNotAllowed(allowed=METHODS)
        token = scope["path"].removeprefix(PREFIX)
        asked = await read_credential_request(self._services, BEARER, _read(token))
        if scope["method"] != "POST":
            return page_answer(asking_page(asked, asked.hosts)) if as_page else view_answer(asked)
        # What a browser says by itself (Fetch Metadata); `Origin` is null, since the page sends no referrer.
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise RequestCrossSite
        body = await read_body(scope["headers"], receive, BODY_BYTES_MAX)
        sent = _sent(headers.get("content-type"), body, asked)
        try:
            entered = await self._enter(token, sent)
        except (CredentialInvalid, CredentialNameTaken) as error:
            if not as_page:
                raise
            return _asked_again(asked, sent, error)
        return page_answer(entered_page(entered)) if as_page else view_answer(entered)

    async def _enter(self, token: str, sent: Mapping[str, Any]) -> CredentialEnteredView:
        try:
            request = AnswerCredentialRequest.model_validate({**sent, "token": token})
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False, include_context=False)
            raise CredentialInvalid(problems=tuple(map(_problem, details))) from None  # Its own would quote the input.
        return await answer_credential_request(self._services, BEARER, request)


def _read(token: str) -> ReadCredentialRequest:
    try:
        return ReadCredentialRequest(token=token)
    except ValidationError:
        raise RequestUsed from None  # Whatever it is, it is no token.


def _sent(content_type: str | None, body: bytes, asked: AskedCredentialView) -> dict[str, Any]:
    """What was sent, as the request of the use case has it, from JSON or from the page's form."""
    sent = parse_body(content_type, body)
    if not isinstance(sent, dict):
        raise BodyMalformed("The body is neither a JSON object nor a form.")
    if not (content_type or "").startswith(FORM):
        return sent
    hosts = texts_of(sent, HOSTS)
    values = values_of(fields_of(asked.kind.values), sent)
    return {"values": values, "hosts": lines_of(hosts[0]) if hosts else None}


def _asked_again(asked: AskedCredentialView, sent: Mapping[str, Any], error: BudflowError) -> Answer:
    """The form once more. The hosts stay as the person cut them down, so that they are not wide again unnoticed."""
    own = (Problem(error.code, "", error.message, error.hint),)
    problems = error.problems if isinstance(error, CredentialInvalid) else own
    hosts = sent.get("hosts")
    kept = hosts if hosts and not any(problem.path.startswith("/hosts") for problem in problems) else asked.hosts
    return page_answer(asking_page(asked, kept, problems), error.http_status)


def _problem(detail: Mapping[str, Any]) -> Problem:
    """One of pydantic's errors about the request around the values, without what came in."""
    advice = "Send an object with `values`, and `hosts` if there shall be fewer."
    if detail["type"] == "extra_forbidden":  # Its name may be a value in the wrong place.
        return Problem("credential.unknown_field", "", "There is a field that nobody asked for.", advice)
    said = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
    return Problem("credential.invalid_value", pointer(*detail["loc"]), f"{said}.", advice)
