"""The pages for the link of a credential request: who asks for what and why, and a form for the values."""

from collections.abc import Mapping, Sequence
from html import escape

from budflow.asgi.page import page
from budflow.model.problem import Problem
from budflow.services.answer_credential_request import CredentialEnteredView
from budflow.services.credential_views import GrantsView
from budflow.services.kind_fields import fields_of
from budflow.services.read_credential_request import AskedCredentialView
from budflow.web.value_form import inputs_html

HOSTS = "hosts"
_VALUES = "/values/"
#: Where problems stand that are of no field. No field has such a name.
_HOSTS_INPUT, _ABOVE = "/hosts", "/"


def asking_page(asked: AskedCredentialView, hosts: Sequence[str], problems: Sequence[Problem] = ()) -> str:
    """What is asked, and the form. `hosts` stand in it to be cut down; no value ever stands in it.

    `problems` are those of what was sent before, each at its input or, where it has none, above all.
    """
    fields = fields_of(asked.kind.values)
    names = {field.name for field in fields}
    by_field: dict[str, list[str]] = {}
    for problem in problems:
        name = problem.path.removeprefix(_VALUES).partition("/")[0] if problem.path.startswith(_VALUES) else ""
        if name in names:
            by_field.setdefault(name, []).append(problem.message)  # What it is to be stands there anyway.
        else:
            place = _HOSTS_INPUT if problem.path.startswith(f"/{HOSTS}") else _ABOVE
            by_field.setdefault(place, []).append(f"{problem.message} {problem.hint}".strip())
    told = _refused(by_field.get(_ABOVE, ()), any_at_all=bool(problems))
    form = inputs_html(fields, by_field) + _hosts_input(hosts, by_field.get(_HOSTS_INPUT, ()))
    return page(
        f"Enter the credential {asked.name}",
        f"{told}{_facts(asked)}"
        '<form method="post" autocomplete="off">'
        f"{form}<p><button>Store it</button></p></form>"
        "<p>What you enter is stored encrypted and is shown to nobody again, also not to who asked for it. The link "
        "works once. If you did not expect it, enter nothing and close this page.</p>",
    )


def entered_page(entered: CredentialEnteredView) -> str:
    """The credential is stored."""
    said = f"<p>The credential <b>{escape(entered.name)}</b> is stored. You may close this page.</p>"
    return page("Thank you", said)


def _facts(asked: AskedCredentialView) -> str:
    rows: Mapping[str, str] = {
        "Asked by": asked.asked_by,
        "For": asked.reason,
        "Kind": f"{asked.kind.name}: {asked.kind.summary}",
        "Will be sent to": ", ".join(map(_where, asked.hosts)) or "no host",
        "May be used by": _who(asked.grants),
        "Until": f"{asked.expires_at:%Y-%m-%d %H:%M} UTC",
    }
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items()) + "</dl>"


def _where(pattern: str) -> str:
    """A pattern of hosts, and in words what is dangerous about it."""
    host = pattern.removeprefix("http://")
    told = ["every server there is"] if host.partition(":")[0] == "*" else []
    if host != pattern:
        told.append("not encrypted on the way")
    return f"{pattern} ({', '.join(told)})" if told else pattern


def _who(grants: GrantsView) -> str:
    if grants.project:
        return "every workflow of the project"
    some = [f"workflows that {principal} saves" for principal in grants.principals]
    some += [f"the workflow {workflow}" for workflow in grants.workflows]
    return ", ".join(some) or "nobody yet"


def _refused(messages: Sequence[str], *, any_at_all: bool) -> str:
    if not any_at_all:
        return ""
    listed = "".join(f"<li>{escape(message)}</li>" for message in messages)
    return (
        f"<p><strong>Nothing was stored yet. Please enter it once more.</strong></p>{listed and f'<ul>{listed}</ul>'}"
    )


def _hosts_input(hosts: Sequence[str], problems: Sequence[str]) -> str:
    if not hosts and not problems:
        return ""
    told = "".join(f"<br><strong>{escape(problem)}</strong>" for problem in problems)
    return (
        "<p><label><b>Hosts</b><br><small>Where it may be sent, one a line. Take away what you do not want, or write "
        f"api.example.com in place of *.example.com.</small>{told}<br>"
        f'<textarea name="{HOSTS}" rows="3" cols="70">{escape(chr(10).join(hosts))}</textarea></label></p>'
    )
