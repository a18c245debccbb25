"""Pages for a browser that opens a secret link: their frame, their headers, and nothing in them that runs."""

from html import escape

from budflow.asgi.exchange import Answer, refusal
from budflow.errors import BudflowError
from budflow.services.use_case import View

MEDIA_TYPE = "text/html; charset=utf-8"
#: On every answer to a link, page or not.
LINK_GUARDS = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),  # The address is a secret.
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "noindex"),
    ("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
)


def page(title: str, inner: str) -> str:
    """A whole document; `inner` is HTML, `title` is not."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>BudFlow</title></head>'
        f"<body><h1>{escape(title)}</h1>{inner}</body></html>"
    )


def page_answer(text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A page as a response."""
    return Answer(status, (("Content-Type", MEDIA_TYPE), *headers), text.encode())


def view_answer(view: View) -> Answer:
    """A view as JSON, for who asked for no page."""
    return Answer(200, (("Content-Type", "application/json"),), view.model_dump_json().encode())


def refused_link(error: BudflowError, prefix: str, *, as_page: bool) -> Answer:
    """Why a link below `prefix` does not work, or what was sent to it was not taken."""
    # The path holds the token, which is a secret: it is not repeated.
    document = refusal(error, prefix)
    if not as_page:
        return document
    more = tuple(one for one in document.headers if one[0] != "Content-Type")
    text = page(error.message, f"<p>{escape(error.hint)}</p><p>{escape(error.code)}</p>")
    return page_answer(text, error.http_status, more)
