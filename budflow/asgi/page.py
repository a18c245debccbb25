"""Pages for a browser that opens a secret link: their frame, and nothing in them that runs."""

from html import escape

from budflow.asgi.exchange import Answer
from budflow.services.use_case import View

MEDIA_TYPE = "text/html; charset=utf-8"


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
