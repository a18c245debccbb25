"""Credentials as stored data: what is sealed, who may use it where, requests for one, and who used it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv6Address
from typing import Any

from budflow.errors import BudflowError

NAME_PATTERN = r"^(?!crd_)[a-z][a-z0-9._-]{0,63}$"
#: A host that a credential may be sent to: `api.example.com`, `*.example.com:8443`, `http://crm.internal` or `*`.
HOST_PATTERN = (
    r"^(?:https?://)?(?:\*|(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$"
)
DEFAULT_PORTS = {"http": 80, "https": 443}
HOSTS_MAX = 50
GRANTS_MAX = 200

# RFC 3986, 3.2, in ASCII and without percent-encoded hosts; no label of a name is empty. Whoever is sent to an
# international name is sent to its ASCII form, xn--….
_HOST = r"(?P<host>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])"
_ADDRESS = re.compile(
    rf"(?P<scheme>https?)://(?:[^\s/?#@\\]*@)?{_HOST}(?::(?P<port>[0-9]{{0,5}}))?(?=[/?#]|\Z)", re.IGNORECASE | re.ASCII
)
_PATTERN = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]+))?")


class CredentialNotFound(BudflowError):
    """There is no such credential."""

    code = "credential.not_found"
    http_status = 404
    hint = (
        "List those of the project with `list_credentials` or `budflow credential list`; ask for one that is missing."
    )


class CredentialNameTaken(BudflowError):
    """Another credential of the project has this name."""

    code = "credential.name_taken"
    http_status = 409
    hint = "Choose another name, or change the one that there is."


class CredentialConflict(BudflowError):
    """The credential was changed meanwhile."""

    code = "credential.conflict"
    http_status = 409
    hint = "Read it again and repeat your change with its `revision`."


class CredentialRefused(BudflowError):
    """The workflow may not use this credential."""

    code = "credential.refused"
    http_status = 403
    hint = "Have it granted to the workflow, to its author or to the project: `budflow credential update NAME --grant`."


class CredentialUnfit(BudflowError):
    """The credential is of a kind that cannot be used here."""

    code = "credential.unfit"
    http_status = 422
    hint = "Read the node type to see which kinds it takes."


class CredentialUnreadable(BudflowError):
    """The stored credential cannot be decrypted: it was changed by somebody else than the server."""

    code = "credential.unreadable"
    http_status = 500
    hint = "Enter its value anew. If nobody restored a backup, find out who writes to the database."


class HostRefused(BudflowError):
    """The credential may not be sent to this address."""

    code = "credential.host_refused"
    http_status = 403
    hint = (
        "Add the host to the credential's `hosts`, giving its value anew; plain HTTP must be written as `http://host`."
    )


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value at rest: `box` is encrypted by a data key of its own, which `wrapped_key` holds, encrypted by the key of
    the server whose id is `key_id`. The cipher says how both are laid out.
    """

    key_id: str
    wrapped_key: bytes = field(repr=False)
    box: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grants:
    """Who may use a credential: every workflow of the project, those that certain principals wrote, single workflows.

    The default is nobody.
    """

    project: bool = False
    principals: frozenset[str] = frozenset()
    workflows: frozenset[str] = frozenset()

    def allow(self, *, workflow_id: str, author: str) -> bool:
        """Whether a version of the workflow that `author` saved may use it."""
        return self.project or author in self.principals or workflow_id in self.workflows


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """A stored credential. `revision` counts the changes of what is sealed and of `hosts`, which is sealed with it.

    `probe` is the request that shows whether it works, where the user named one: `{"method": "GET", "url": "…"}`.
    """

    id: str
    project_id: str
    name: str
    kind: str
    revision: int
    hosts: tuple[str, ...]
    grants: Grants
    probe: Mapping[str, Any] | None
    sealed: Sealed
    created_at: datetime
    updated_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class CredentialUse:
    """A node of an execution used a credential: what the audit keeps. `node` is the node's path.

    `author` saved the version and `principal` started the execution.
    """

    project_id: str
    credential_id: str
    used_at: datetime
    workflow_id: str
    version: int
    execution_id: str
    node: str
    slot: str
    author: str
    principal: str


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """Somebody asked a person for a credential. `token_hash` is the SHA-256 of the link's token, in hex.

    Answered at most once: in the transaction that inserts the credential `credential_id`.
    """

    id: str
    project_id: str
    token_hash: str
    kind: str
    name: str
    hosts: tuple[str, ...]
    grants: Grants
    reason: str
    asked_by: str
    created_at: datetime
    expires_at: datetime
    credential_id: str | None = None


def allows(hosts: tuple[str, ...], url: str) -> bool:
    """Whether one of the patterns covers the address. One without `http://` asks for HTTPS; one without a port for the
    scheme's own, but `*` for any. An address that programs could read in more than one way is covered by none.
    """
    matched = _ADDRESS.match(url)
    if matched is None:
        return False
    scheme = matched["scheme"].lower()
    port = int(matched["port"] or DEFAULT_PORTS[scheme])
    return any(_covers(pattern, scheme, _canonical(matched["host"]), port) for pattern in hosts)


def _covers(pattern: str, scheme: str, host: str, port: int) -> bool:
    wanted, _, rest = pattern.rpartition("://")
    matched = _PATTERN.fullmatch(rest)
    if matched is None or scheme != (wanted or "https"):
        return False
    name, own_port = matched["host"], matched["port"]
    if port != (int(own_port) if own_port else port if name == "*" else DEFAULT_PORTS[scheme]):
        return False
    if name == "*":
        return True
    return host.endswith(name[1:]) if name.startswith("*.") else host == _canonical(name)


def _canonical(host: str) -> str:
    """One spelling for each host: small letters, no dot of the root at its end, IPv6 as RFC 5952 writes it."""
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return ""
    return host.lower().removesuffix(".")
