"""The pages that a browser gets for a resume link: what is asked, with a form to answer, and nothing that runs."""

from html import escape
from typing import Any

from budflow.asgi.page import page
from budflow.services.read_resume_link import AskedView

_INPUTS = {"string": "text", "number": "number", "integer": "number"}


def asking_page(asked: AskedView) -> str:
    """What is asked, and a form that posts the answer to the same address."""
    match asked.reason:
        case "approval":
            inner = (
                '<p><label>Comment<br><textarea name="comment" rows="3" cols="60"></textarea></label></p>'
                '<p><button name="approved" value="true">Approve</button> '
                '<button name="approved" value="false">Reject</button></p>'
            )
        case "form":
            inner = "".join(_input(field) for field in asked.fields) + "<p><button>Send</button></p>"
        case _:
            inner = "<p><button>Continue</button></p>"
    until = "" if asked.until is None else f"<p>Until {asked.until:%Y-%m-%d %H:%M} UTC.</p>"
    return page(asked.text or "A workflow waits for you", f'<form method="post">{inner}</form>{until}')


def answered_page() -> str:
    """The answer was taken."""
    return page("Thank you", "<p>Your answer was taken. You may close this page.</p>")


def _input(field: dict[str, Any]) -> str:
    name, label = escape(field["name"]), escape(field.get("label") or field["name"])
    required = " required" if field.get("required") else ""
    if field["type"] == "boolean":
        options = '<option value=""></option><option value="true">Yes</option><option value="false">No</option>'
        return f'<p><label>{label}<br><select name="{name}"{required}>{options}</select></label></p>'
    step = ' step="any"' if field["type"] == "number" else ""
    kind = _INPUTS[field["type"]]
    return f'<p><label>{label}<br><input name="{name}" type="{kind}"{step}{required}></label></p>'
