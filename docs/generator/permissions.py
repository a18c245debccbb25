"""docs/reference/permissions.md: every permission, and what asks for it."""

from collections.abc import Iterator

from budflow.model.principal import PERMISSIONS
from generator.markdown import Page, code, codes, page, sentence, table
from generator.use_cases import use_cases


def pages() -> Iterator[Page]:
    """The one page."""
    known = use_cases()
    asked = {name: [one.name for one in known if one.permission == name] for name in PERMISSIONS}
    yield page(
        "reference/permissions.md",
        "# Permissions",
        "Every use case declares the one permission it needs and checks it before anything happens, whichever door it "
        "was called by: a route of the [HTTP API](http-api.md), a [tool of MCP](mcp-tools.md), a "
        "[command](cli.md) or a webhook. Without it the answer is `auth.permission_missing`. In this release there are "
        "two principals: the owner, who holds them all, and whoever has the key of `BUDFLOW_METRICS_KEY`, who holds "
        "`server:read`.",
        table(
            ["permission", "allows", "asked for by"],
            ([code(name), about, codes(asked[name])] for name, about in PERMISSIONS.items()),
        ),
        "# Use cases",
        table(
            ["use case", "permission", "what it does"],
            ([code(one.name), code(one.permission), sentence(one.__doc__)] for one in known),
        ),
    )
