"""The resume door: an ASGI application below `/resume/` by which people and systems without an account answer waits.

GET only shows what is asked, since mail scanners and link previews follow links; POST answers.
"""

from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qs

from budflow.asgi.body import BodyMalformed, parse_body
from budflow.asgi.exchange import Answer, BodySlow, BodyTooLarge, Receive, Scope, Send, read_body
from budflow.asgi.link import answer_link
from budflow.asgi.page import page_answer, view_answer
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
        serve = partial(self._serve, scope, receive)
        await answer_link(scope, send, serve, prefix=PREFIX, public=_PUBLIC, log=log, event="resume.failed")

    async def _serve(self, scope: Scope, receive: Receive, headers: Mapping[str, str], as_page: bool) -> Answer:
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
