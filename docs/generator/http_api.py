"""docs/reference/http-api.md: every operation, from the OpenAPI document that a server gives."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from budflow.api.app import create_api
from budflow.settings import Settings
from generator.markdown import Page, block, code, json_text, page, table
from generator.schema import rows, type_of

ADDRESS = "http://127.0.0.1:8710"


def pages() -> Iterator[Page]:
    """The one page."""
    document = openapi()
    schemas = document["components"]["schemas"]
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    operations.sort(key=lambda found: (found[2]["tags"], found[1]))
    yield page(
        "reference/http-api.md",
        "# HTTP API",
        INTRODUCTION,
        table(
            ["method", "path", "what it does", "permission"],
            ([code(found[0]), code(found[1]), _link(*found), _permission(found[2])] for found in operations),
        ),
        *(_section(method, path, operation, schemas) for method, path, operation in operations),
    )


def openapi() -> dict[str, Any]:
    """The document as a server gives it; describing the routes calls none of them."""
    services = SimpleNamespace(settings=Settings.model_construct(host="127.0.0.1"))
    runtime = SimpleNamespace(
        services=services, keys=None, webhook_door=None, resume_door=None, credential_request_door=None
    )
    return create_api(runtime).openapi()


def _default(parameter: Mapping[str, Any]) -> str:
    return "required" if parameter["required"] else code(json_text(parameter["schema"].get("default")))


def _permission(operation: Mapping[str, Any]) -> str:
    return code(operation["x-permission"]) if "x-permission" in operation else "none"


def _section(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [f"## {method} {path}", " ".join(operation.get("description", operation["summary"]).split())]
    asked = [
        [
            code(one["name"]),
            f"{one['in']}, {_default(one)}",
            type_of(one["schema"], schemas),
            one.get("description", ""),
        ]
        for one in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    asked += [
        [code(row.name), f"body, {row.default}", row.type, row.description]
        for row in rows(body.get("schema", {}), schemas)
    ]
    if asked:
        parts.append(table(["field", "where, default", "type", "meaning"], asked))
    if "x-permission" in operation:
        parts += ["Example:", block("sh", _curl(method, path, operation, body.get("example")))]
    status, answer = next(iter(operation["responses"].items()))
    for media_type, content in answer.get("content", {}).items():
        example = content.get("example")
        shown = example if isinstance(example, str) else json_text(example)
        parts += [
            f"Answers {status} with {code(media_type)}:",
            block("json" if "json" in media_type else "text", shown),
        ]
    return "\n\n".join(parts)


def _curl(method: str, path: str, operation: Mapping[str, Any], body: Any) -> str:
    url = path
    query = []
    for parameter in operation.get("parameters", ()):
        if "example" not in parameter:
            continue
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        elif parameter["in"] == "query":
            query.append(f"{parameter['name']}={parameter['example']}")
    url = f"{ADDRESS}{url}{'?' if query else ''}{'&'.join(query)}"
    words = ["curl", *(["-X", method] if method != "GET" else []), f"'{url}'", '-H "Authorization: Bearer $KEY"']
    if body is not None:
        words += ["\\\n  -H 'Content-Type: application/json' -d", f"'{json_text(body)}'"]
    return " ".join(words)


def _link(method: str, path: str, operation: Mapping[str, Any]) -> str:
    """The summary as a link to the section, by GitHub's anchor of its heading."""
    heading = f"{method} {path}".lower().replace(" ", "-")
    anchor = "".join(char for char in heading if char.isalnum() or char in "-_")
    return f"[{operation['summary']}](#{anchor})"


INTRODUCTION = """
Everything is under `/api/v1`; a running server describes itself at `/api/v1/openapi.json` and `/api/v1/docs`. Requests
carry `Authorization: Bearer KEY`: on a server of your own the key stands in the file `owner.key` of the data directory,
so that `KEY=$(cat ~/.budflow/owner.key)`. Errors are problem documents (RFC 9457) with a `code` and a `hint`, see
[Errors](errors.md). Webhooks are another door, see [Webhooks](../guides/webhooks.md).
"""
