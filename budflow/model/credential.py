"""Credentials as stored data: what is sealed, who may use it where, requests for one, and who used it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from budflow.errors import BudflowError

NAME_PATTERN = r"^(?!crd_)[a-z][a-z0-9._-]{0,63}$"
HOSTS_MAX = 50
GRANTS_MAX = 200


class CredentialNotFound(BudflowError):
    """There is no such credential."""

    code = "credential.not_found"
    http_status = 404
    hint = (
        "List those of the project with `list_credentials` or `budflow credential list`; ask for one that is missing. "
        "Who used a deleted one is told by its id."
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


#: In place of a slot: somebody tried the credential by hand.
TESTED = "test"


@dataclass(frozen=True, slots=True)
class CredentialUse:
    """A node of an execution used a credential: what the audit keeps. `node` is the node's path.

    `author` saved the version and `principal` started the execution. Where somebody tried the credential by hand, the
    slot is TESTED and there is neither workflow nor execution: those texts are empty, and the version is 0.
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
