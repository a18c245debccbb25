"""The door of a secret link: what comes by one is answered as a page or as JSON, and neither repeats the link."""

from collections.abc import Awaitable, Callable, Mapping
from html import escape

from budflow.asgi.exchange import Answer, ClientGone, Scope, Send, refusal, send_answer
from budflow.asgi.page import page, page_answer
from budflow.asgi.strangers import for_strangers
from budflow.errors import BudflowError
from budflow.log import Log

#: On every answer to a link, page or not.
GUARDS = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),  # The address is a secret.
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "noindex"),
    ("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
)

#: Gets the headers by name, and whether a browser asks for a page.
Serve = Callable[[Mapping[str, str], bool], Awaitable[Answer]]


async def answer_link(
    scope: Scope, send: Send, serve: Serve, *, prefix: str, public: tuple[type[BudflowError], ...], log: Log, event: str
) -> None:
    """Send what `serve` answers to a link below `prefix`. Errors that are not `public` are logged as `event`."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    as_page = "text/html" in headers.get("accept", "")
    try:
        answer = await serve(headers, as_page)
    except ClientGone:
        return
    except Exception as error:  # noqa: BLE001 - the edge: a stranger gets a problem document, the log the rest
        answer = _refused(for_strangers(error, public, log, event), prefix, as_page=as_page)
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send_answer(Answer(answer.status, (*answer.headers, *GUARDS), body), send)


def _refused(error: BudflowError, prefix: str, *, as_page: bool) -> Answer:
    # The path holds the token, which is a secret: it is not repeated.
    document = refusal(error, prefix)
    if not as_page:
        return document
    more = tuple(one for one in document.headers if one[0] != "Content-Type")
    text = page(error.message, f"<p>{escape(error.hint)}</p><p>{escape(error.code)}</p>")
    return page_answer(text, error.http_status, more)
