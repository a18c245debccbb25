"""docs/reference/credential-kinds.md: every kind of credentials, from its declaration."""

from collections.abc import Iterator, Mapping
from typing import Any

from budflow.credentials.find_kinds import find_kinds
from budflow.model.credential_kind import CredentialKind
from budflow.model.secret import SECRET_KEYWORD
from generator.markdown import Page, code, json_block, page, sentence, table
from generator.schema import rows


def pages() -> Iterator[Page]:
    """The one page."""
    kinds = find_kinds()
    yield page(
        "reference/credential-kinds.md",
        "# Kinds of credentials",
        "A credential is of one of these kinds. The kind says which values it has, checks them when they are entered, "
        "and knows how a request is signed with them. Values are written and never read: secret ones are shown as "
        "`***` everywhere, and no answer of the API, of MCP or of the [command line](cli.md) holds any. A credential "
        "whose kind signs requests names the `hosts` it may be sent to; to others nothing is sent.",
        table(
            ["kind", "what it is", "signs HTTP requests"],
            (
                [f"[{code(name)}](#{name})", _summary(kind), "yes" if kind.signs() else "no"]
                for name, kind in kinds.items()
            ),
        ),
        *(part for name, kind in kinds.items() for part in _section(name, kind)),
    )


def _section(name: str, kind: type[CredentialKind]) -> Iterator[str]:
    schema = kind.model_json_schema()
    yield f"## {code(name)}"
    yield "\n\n".join(sentence(paragraph) for paragraph in (kind.__doc__ or "").split("\n\n"))
    secret = {field for field, shape in schema["properties"].items() if SECRET_KEYWORD in str(shape)}
    shown = {**schema, "properties": {field: _plain(shape) for field, shape in schema["properties"].items()}}
    yield table(
        ["field", "secret", "type", "default", "meaning"],
        (
            [code(row.name), "yes" if row.name in secret else "", row.type, row.default, row.description]
            for row in rows(shown)
        ),
    )
    yield "Values, for example:"
    told = {field: shape["examples"][0] for field, shape in schema["properties"].items() if _is_told(shape)}
    yield json_block(schema["examples"][0] if "examples" in schema else told)


def _summary(kind: type[CredentialKind]) -> str:
    return sentence((kind.__doc__ or "").split("\n\n")[0])


def _is_told(shape: Mapping[str, Any]) -> bool:
    """Whether an example shows the field: one that may be left out mostly is."""
    return "examples" in shape and "default" not in shape


def _plain(shape: Any) -> Any:
    """The field's schema without patterns: what they mean stands in the description."""
    if isinstance(shape, list):
        return [_plain(part) for part in shape]
    if not isinstance(shape, dict):
        return shape
    return {keyword: _plain(part) for keyword, part in shape.items() if keyword not in ("pattern", "patternProperties")}
