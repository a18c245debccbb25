"""Who asks: every use case takes a principal and checks the permission that it declares."""

from dataclasses import dataclass
from typing import Literal

from budflow.errors import BudflowError

Door = Literal["api", "mcp", "cli", "webhook"]
DEFAULT_PROJECT = "default"

#: Every permission there is, with what it allows. A door declares one of these; the docs list them.
PERMISSIONS: dict[str, str] = {
    "node:read": "Search the node types and read what they take and give.",
    "workflow:read": "Read workflows and their versions; validate a document.",
    "workflow:write": "Create, change and delete workflows.",
    "workflow:publish": "Arm and disarm a workflow's triggers.",
    "execution:read": "Read executions, their nodes, items, events and logs.",
    "execution:run": "Start and cancel executions.",
    "execution:write": "Remove executions that are not to be kept any longer.",
    "credential:read": "List credentials by name and kind, and read who used them; never their values.",
    "credential:write": "Create, change, grant, test and delete credentials.",
    "credential:request": "Ask a person for a credential by a link.",
    "server:read": "Read the server's status.",
    "server:rotate_keys": "Wrap all credentials with a new encryption key.",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something known to the server, in one project, coming in by one door."""

    id: str
    project_id: str = DEFAULT_PROJECT
    permissions: frozenset[str] = frozenset()
    door: Door = "api"

    def require(self, permission: str) -> None:
        """Raise PermissionMissing unless this principal holds `permission`."""
        if permission not in self.permissions:
            raise PermissionMissing(f"This needs the permission {permission}.", permission=permission)


OWNER = Principal(id="owner", permissions=frozenset(PERMISSIONS))
#: Whoever collects the figures of a server, such as Prometheus.
METRICS_READER = Principal(id="metrics", permissions=frozenset({"server:read"}))


class PermissionMissing(BudflowError):
    """You may not do this."""

    code = "auth.permission_missing"
    http_status = 403
    hint = "Ask the owner of the project for the permission, or use a key that has it."


class KeyRefused(BudflowError):
    """The key is missing or unknown."""

    code = "auth.key_refused"
    http_status = 401
    hint = "Send `Authorization: Bearer KEY`; the owner key stands in the file owner.key of the data directory."
