"""docs/reference/mcp-tools.md: what an agent can call."""

from collections.abc import Iterator

from generator.markdown import Page, code, page, table
from generator.schema import rows
from mcp_server.registry import build
from mcp_server.tool import ANSWER_BYTES_MAX, Tool


def pages() -> Iterator[Page]:
    """The one page."""
    tools = build().values()
    yield page(
        "reference/mcp-tools.md",
        "# MCP tools",
        "The same use cases as the [HTTP API](http-api.md), as an agent sees them: over `budflow mcp` on stdio and "
        "over HTTP at `/mcp`. [Working with agents](../guides/agents.md) says how to connect a client. An answer is "
        f"kept under {ANSWER_BYTES_MAX:,} bytes unless the arguments ask for more; what was left out is said.",
        table(
            ["tool", "what it does", "permission"],
            ([f"[{code(tool.name)}](#{tool.name})", tool.title, code(tool.permission)] for tool in tools),
        ),
        *(_section(tool) for tool in tools),
    )


def _section(tool: Tool) -> str:
    hints = [
        word
        for word, holds in (
            ("reads only", tool.read_only),
            ("may be repeated", tool.idempotent and not tool.read_only),
            ("may change or remove what is there", tool.destructive),
            ("reaches the world outside", tool.open_world),
        )
        if holds
    ]
    about = f"Use case {code(tool.use_case.name)}, permission {code(tool.permission)}"
    arguments = [[code(row.name), row.type, row.default, row.description] for row in rows(tool.input_schema())]
    answer = [[code(row.name), row.type, row.description] for row in rows(tool.output_schema()) if "." not in row.name]
    return "\n\n".join(
        [
            f"## {tool.name}",
            tool.description,
            f"{about}{'; ' if hints else ''}{', '.join(hints)}.",
            table(["argument", "type", "default", "meaning"], arguments) if arguments else "It takes no arguments.",
            "It answers with:",
            table(["field", "type", "meaning"], answer),
        ]
    )
