"""The resume door: an ASGI application below `/resume/` by which people and systems without an account answer waits.

GET only shows what is asked, since mail scanners and link previews follow links; POST answers.
"""

from urllib.parse import parse_qs

from budflow.asgi.body import BodyMalformed, parse_body
from budflow.asgi.exchange import (
    Answer,
    BodySlow,
    BodyTooLarge,
    ClientGone,
    Receive,
    Scope,
    Send,
    read_body,
    send_answer,
)
from budflow.asgi.page import LINK_GUARDS, page_answer, refused_link, view_answer
from budflow.asgi.strangers import for_strangers
from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.execution import ExecutionNotFound, WaitClosed
from budflow.model.principal import PermissionMissing, Principal
from budflow.nodes.flow.wait import AnswerInvalid
from budflow.services.answer_resume_link import AnswerResumeLink, answer_resume_link
from budflow.services.read_resume_link import ReadResumeLink, WaitAmbiguous, read_resume_link
from budflow.services.resume_links import PREFIX, LinkExpired, LinkInvalid
from budflow.services.use_case import Services
from budflow.triggers import resume_page

#: Who answers by a link; what it allows beyond these is in the link itself.
BEARER = Principal("link", permissions=frozenset({"execution:read", "execution:run"}))
FORM = "application/x-www-form-urlencoded"
METHODS = ("GET", "HEAD", "POST")

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
    BodySlow,
    BodyTooLarge,
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
            answer = refused_link(for_strangers(error, _PUBLIC, log, "resume.failed"), PREFIX, as_page=as_page)
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send_answer(Answer(answer.status, (*answer.headers, *LINK_GUARDS), body), send)

    async def _serve(self, scope: Scope, receive: Receive, headers: dict[str, str], *, as_page: bool) -> Answer:
        if scope["method"] not in METHODS:
            raise LinkMethodNotAllowed(allowed=METHODS)
        token = scope["path"].removeprefix(PREFIX)
        node = parse_qs(scope["query_string"].decode("latin-1")).get("node", [None])[0]
        if scope["method"] != "POST":
            asked = await read_resume_link(self._services, BEARER, ReadResumeLink(token=token, node=node))
            return page_answer(resume_page.asking_page(asked)) if as_page else view_answer(asked)
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
        return page_answer(resume_page.answered_page()) if as_page else view_answer(answered)
