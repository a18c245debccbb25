"""The form for the values of a credential: its inputs, and from what a browser sends back to the values."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from budflow.services.kind_fields import KindField, number_of

#: Before the name of each field, so that none has the name of another input of the page.
PREFIX = "value."
#: How many names with values a form takes for a field that maps one to the other, such as headers.
PAIRS = 5
#: No browser keeps what is entered here.
_OFF = ' autocomplete="off" autocapitalize="none" spellcheck="false"'
_INPUTS = {"text": "text", "secret": "password", "number": "number"}


def inputs_html(fields: Sequence[KindField], problems: Mapping[str, Sequence[str]]) -> str:
    """The inputs; `problems` are messages by the name of the field that they are about. Nothing but defaults is filled
    in.
    """
    return "".join(_input(field, problems.get(field.name, ())) for field in fields)


def values_of(fields: Sequence[KindField], form: Mapping[str, Any]) -> dict[str, Any]:
    """The values that were entered, in the types of their fields. What was left empty is left out; what does not fit
    stays as it is, to be refused.
    """
    return dict(_values(fields, form))


def texts_of(form: Mapping[str, Any], name: str) -> list[str]:
    """All texts that a form sent under a name."""
    found = form.get(name, [])
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str)]


def lines_of(text: str) -> list[str]:
    """The lines of a text area that are not empty."""
    return [line for line in map(str.strip, text.splitlines()) if line]


def _input(field: KindField, problems: Sequence[str]) -> str:
    name, required = escape(PREFIX + field.name), " required" if field.required else ""
    told = "".join(f"<br><strong>{escape(problem)}</strong>" for problem in problems)
    about = f"<small>{escape(field.description)}</small>{told}"
    title = f"<b>{escape(field.name)}</b>{'' if field.required else ' (optional)'}"
    match field.shape:
        case "lines" | "list":
            inner = f'<textarea name="{name}" rows="8" cols="70"{_OFF}{required}></textarea>'
        case "boolean":
            checked = " checked" if field.default == "True" else ""
            inner = f'<input type="checkbox" name="{name}" value="true"{checked}>'
        case "choice":
            inner = f'<select name="{name}"{required}>{"".join(_options(field))}</select>'
        case "pairs":
            return f"<fieldset><legend>{title}</legend>{about}{_pairs(field)}</fieldset>"
        case shape:
            kind, step = _INPUTS[shape], ' step="any"' if shape == "number" else ""
            inner = (
                f'<input type="{kind}" name="{name}" size="70" value="{escape(field.default)}"{step}{_OFF}{required}>'
            )
    return f"<p><label>{title}<br>{about}<br>{inner}</label></p>"


def _options(field: KindField) -> Iterator[str]:
    if not field.required and not field.default:
        yield '<option value=""></option>'
    for option in field.options:
        selected = " selected" if option == field.default else ""
        yield f"<option{selected}>{escape(option)}</option>"


def _pairs(field: KindField) -> str:
    kind = "password" if field.secret else "text"
    name = escape(PREFIX + field.name)
    row = (
        f'<p><label>Name <input type="text" name="{name}.name"{_OFF}></label> '
        f'<label>Value <input type="{kind}" name="{name}.value" size="50"{_OFF}></label></p>'
    )
    return row * PAIRS


def _values(fields: Sequence[KindField], form: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field in fields:
        sent = PREFIX + field.name
        texts = texts_of(form, sent)
        text = texts[0] if texts else ""
        match field.shape:
            case "boolean":
                yield field.name, text == "true"
            case "pairs":
                names, values = texts_of(form, f"{sent}.name"), texts_of(form, f"{sent}.value")
                if pairs := {name: value for name, value in zip(names, values, strict=False) if name or value}:
                    yield field.name, pairs
            case "list":
                if lines := lines_of(text):
                    yield field.name, lines
            case "number" if text:
                yield field.name, number_of(text)
            case "lines" if text.strip():
                # Browsers send every line end as CR LF (WHATWG HTML, 4.10.22); keys have LF.
                yield field.name, text.replace("\r\n", "\n")
            case _ if text:
                yield field.name, text
