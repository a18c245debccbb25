"""The resume door: an ASGI application below `/resume/` by which people and systems without an account answer waits.

GET only shows what is asked, since mail scanners and link previews follow links; POST answers.
"""

from typing import Any
from urllib.parse import parse_qs

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.execution import ExecutionNotFound, WaitClosed
from budflow.model.identity import new_id
from budflow.model.principal import PermissionMissing, Principal
from budflow.nodes.flow.wait import AnswerInvalid
from budflow.services.answer_resume_link import AnswerResumeLink, answer_resume_link
from budflow.services.problem_document import InternalError
from budflow.services.read_resume_link import ReadResumeLink, WaitAmbiguous, read_resume_link
from budflow.services.resume_links import PREFIX, LinkExpired, LinkInvalid
from budflow.services.use_case import Services, View
from budflow.triggers import resume_page
from budflow.triggers.webhook import BodyMalformed, parse_body
from budflow.triggers.webhook_answer import Answer, refusal
from budflow.triggers.webhook_door import (
    ClientGone,
    Receive,
    Scope,
    Send,
    WebhookBodySlow,
    WebhookBodyTooLarge,
    WebhookUnavailable,
    read_body,
    send_answer,
)

#: Who answers by a link; what it allows beyond these is in the link itself.
BEARER = Principal("link", permissions=frozenset({"execution:read", "execution:run"}))
FORM = "application/x-www-form-urlencoded"
METHODS = ("GET", "HEAD", "POST")
_GUARDS = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),  # The address is a secret.
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "noindex"),
    ("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
)

log = get_log(__name__)


class LinkMethodNotAllowed(BudflowError):
    """A resume link is read by GET and answered by POST."""

    code = "wait.link_method_not_allowed"
    http_status = 405
    hint = "Use one of the methods in `Allow`."


#: What is written for strangers; of all others they are told no more than that something went wrong.
_PUBLIC = (
    LinkInvalid,
    LinkExpired,
    LinkMethodNotAllowed,
    WaitClosed,
    WaitAmbiguous,
    AnswerInvalid,
    PermissionMissing,
    ExecutionNotFound,
    BodyMalformed,
    WebhookBodySlow,
    WebhookBodyTooLarge,
)


class ResumeDoor:
    """An ASGI application for every path below `/resume/`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        as_page = "text/html" in headers.get("accept", "")
        try:
            answer = await self._serve(scope, receive, headers, as_page=as_page)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge: a stranger gets a problem document, the log the rest
            answer = _refused(_for_strangers(error), as_page=as_page)
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send_answer(Answer(answer.status, (*answer.headers, *_GUARDS), body), send)

    async def _serve(self, scope: Scope, receive: Receive, headers: dict[str, str], *, as_page: bool) -> Answer:
        if scope["method"] not in METHODS:
            raise LinkMethodNotAllowed(allowed=METHODS)
        token = scope["path"].removeprefix(PREFIX)
        node = parse_qs(scope["query_string"].decode("latin-1")).get("node", [None])[0]
        if scope["method"] != "POST":
            asked = await read_resume_link(self._services, BEARER, ReadResumeLink(token=token, node=node))
            return _page(resume_page.asking_page(asked)) if as_page else _json(asked)
        self._services.links.read(token)  # Before the body is read: only who has a link may send one.
        body = await read_body(scope["headers"], receive, self._services.settings.webhook_body_bytes_max)
        kind = headers.get("content-type")
        answered = await answer_resume_link(
            self._services,
            BEARER,
            AnswerResumeLink(
                token=token, node=node, answer=parse_body(kind, body), texts=(kind or "").startswith(FORM)
            ),
        )
        return _page(resume_page.answered_page()) if as_page else _json(answered)


def _json(view: View) -> Answer:
    return Answer(200, (("Content-Type", "application/json"),), view.model_dump_json().encode())


def _page(page: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status, (("Content-Type", resume_page.MEDIA_TYPE), *headers), page.encode())


def _refused(error: BudflowError, *, as_page: bool) -> Answer:
    # The path holds the token, which is a secret: it is not repeated.
    document = refusal(error, PREFIX)
    if not as_page:
        return document
    more: Any = (one for one in document.headers if one[0] != "Content-Type")
    return _page(resume_page.refused_page(error), error.http_status, tuple(more))


def _for_strangers(error: Exception) -> BudflowError:
    if isinstance(error, _PUBLIC):
        return error
    error_id = new_id("err")
    log.error("resume.failed", error_id=error_id, exc_info=error)
    if isinstance(error, BudflowError) and error.http_status == WebhookUnavailable.http_status:
        return WebhookUnavailable()
    return InternalError(error_id=error_id)
