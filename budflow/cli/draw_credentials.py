"""What people see of credentials: what they are and who used them, never what is in them."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budflow.cli.draw import moment
from budflow.cli.report import facts, table
from budflow.services.kind_fields import fields_of


def grants_text(grants: Mapping[str, Any]) -> str:
    """Who may use a credential, as `--grant` takes it."""
    some = ["project"] if grants["project"] else []
    some += [f"principal:{one}" for one in grants["principals"]]
    some += [f"workflow:{one}" for one in grants["workflows"]]
    return ", ".join(some) or "nobody"


def credentials_table(credentials: Sequence[Mapping[str, Any]]) -> Table:
    """A row each."""
    rows = [
        (one["name"], one["kind"], ", ".join(one["hosts"]), grants_text(one["grants"]), one["id"])
        for one in credentials
    ]
    return table("name", "kind", "hosts", "granted to", "id", rows=rows)


def credential_page(view: Mapping[str, Any]) -> Table:
    """One credential, whole."""
    probe = view["probe"]
    values = "they cannot be decrypted" if view["fields"] is None else ", ".join(view["fields"])
    return facts(
        {
            "id": view["id"],
            "name": view["name"],
            "kind": view["kind"],
            "values": values,
            "hosts": ", ".join(view["hosts"]) or "none",
            "granted to": grants_text(view["grants"]),
            "tested by": probe and f"{probe['method']} {probe['url']}",
            "revision": view["revision"],
            "created": f"{moment(view['created_at'])} by {view['created_by']}",
            "changed": moment(view["updated_at"]),
        }
    )


def uses_table(uses: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each time that a node was given the credential, or somebody tried it."""
    rows = [
        (
            moment(one["used_at"]),
            f"{one['workflow_id']} version {one['version']}" if one["workflow_id"] else "tried by hand",
            one["node"] or "",
            one["execution_id"] or "",
            one["author"],
            one["principal"],
        )
        for one in uses
    ]
    return table("when", "workflow", "node", "execution", "saved by", "started by", rows=rows)


def kinds_table(kinds: Sequence[Mapping[str, Any]]) -> Table:
    """A row each."""
    rows = [(one["name"], one["summary"], "yes" if one["signs"] else "") for one in kinds]
    return table("kind", "what it is", "for http.request", rows=rows)


def kind_page(kind: Mapping[str, Any]) -> RenderableType:
    """A kind with its fields."""
    rows = [
        (
            one.name,
            "secret" if one.secret else "",
            "yes" if one.required else "",
            one.default,
            one.description + (f" One of: {', '.join(one.options)}." if one.options else ""),
        )
        for one in fields_of(kind["values"])
    ]
    columns = ("field", "secret", "required", "default", "what it is")
    return Group(Text(f"{kind['name']}: {kind['summary']}"), table(*columns, rows=rows))


def rotation_text(view: Mapping[str, Any]) -> RenderableType:
    """What a rotation did, and what is left to do."""
    which = "a new key" if view["made"] else "the newest key"
    parts: list[RenderableType] = [Text(f"Wrapped anew: {view['rewrapped']}, with {which} ({view['key_id']})")]
    if view["left"]:
        rows = [(one["name"], one["id"], one["key_id"], f"{one['message']} [{one['code']}]") for one in view["left"]]
        parts.append(table("left as it was", "id", "key", "why", rows=rows))
    if view["unused_keys"]:
        given = "take them out of BUDFLOW_ENCRYPTION_KEYS, and the file encryption.keys away where they stand there"
        then = "the next rotation forgets them" if view["made"] else given
        parts.append(Text(f"Not needed any more: {', '.join(view['unused_keys'])}; {then}"))
    return Group(*parts)
