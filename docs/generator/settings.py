"""docs/reference/settings.md: every setting of a server."""

from collections.abc import Iterator
from typing import Any

from budflow.nodes.trigger.webhook import SECRET_VARIABLE_PREFIX
from budflow.settings import Settings
from generator.markdown import Page, code, page, table
from generator.schema import type_of


def pages() -> Iterator[Page]:
    """The one page."""
    schema = Settings.model_json_schema()
    rows = (
        [code(f"BUDFLOW_{name.upper()}"), code(name), *_about(declared, schema.get("$defs", {}))]
        for name, declared in schema["properties"].items()
    )
    yield page(
        "reference/settings.md",
        "# Settings",
        "Each setting is a variable in the environment or a line of a TOML file. A variable wins over the file, the "
        "file over the default; an unknown line in the file is an error. A list in a variable is separated by commas.",
        table(["variable", "in the file", "type", "default", "meaning"], rows),
        "## Secrets of webhooks",
        f"The shared secret that a [`trigger.webhook`](../nodes/trigger/webhook.md) names stands in the server's "
        f"environment as {code(SECRET_VARIABLE_PREFIX + 'NAME')}, never in a workflow or in the file. See "
        "[Webhooks](../guides/webhooks.md).",
        "## Examples",
        "[`configs/laptop.toml`](../../configs/laptop.toml), [`configs/ray-local.toml`](../../configs/ray-local.toml) "
        "and [`configs/cluster.toml`](../../configs/cluster.toml); [Deployment](../deployment.md) explains them.",
    )


def _about(declared: dict[str, Any], definitions: dict[str, Any]) -> tuple[str, str, str]:
    default = declared.get("default")
    shown = "none" if default in (None, []) else code(default if isinstance(default, str) else repr(default).lower())
    return type_of(declared, definitions), shown, declared["description"]
