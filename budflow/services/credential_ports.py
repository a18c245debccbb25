"""What the use cases of credentials need from outside: their store, the cipher, and a way to try one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from budflow.errors import BudflowError
from budflow.execution.ports import CredentialSource
from budflow.model.credential import CredentialRecord, CredentialRequest, CredentialUse, Sealed
from budflow.model.credential_kind import CredentialKind, OpenCredential, Probed
from budflow.model.http import HttpRequest

#: Requests of a project that wait for an answer at the same time.
REQUESTS_OPEN_MAX = 200

#: The kinds of credentials this server knows, by name.
Kinds = Mapping[str, type[CredentialKind]]

#: The cursor of a page of uses, as its store gives and takes it.
USES_CURSOR_PATTERN = r"^[0-9]{1,16}~[0-9]{1,18}$"


class EncryptionKeyMissing(BudflowError):
    """The server does not have the encryption key of a stored credential."""

    code = "encryption.key_missing"
    http_status = 500
    hint = (
        "Give it to this server, from a backup or as the others have it: in `BUDFLOW_ENCRYPTION_KEYS`, or as the file "
        "`encryption.keys` of the data directory. Where it is gone for good, the credential's values are too: start "
        "with `BUDFLOW_ENCRYPTION_KEYS_LOST=true` and enter them anew by `budflow credential update NAME --prompt`."
    )


class TooManyRequests(BudflowError):
    """Too many requests for credentials wait for an answer."""

    code = "credential.too_many_requests"
    http_status = 429
    hint = "Have some of them answered; each ends by itself after an hour."


class RequestUsed(BudflowError):
    """The link was used already, or has expired."""

    code = "credential.request_used"
    http_status = 410
    hint = "Ask for a new link."


@dataclass(frozen=True, slots=True)
class UsesPage:
    """Part of an audit, newest first; `next_cursor` continues it and is None at the end."""

    uses: tuple[CredentialUse, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class CredentialsPage:
    """Part of the list of credentials, by name; `next_cursor` continues it and is None at the end."""

    credentials: tuple[CredentialRecord, ...]
    next_cursor: str | None


class CredentialStore(Protocol):
    """Credentials as they are at rest, the requests for them and the audit of their uses."""

    async def add_credential(self, record: CredentialRecord, *, request_id: str | None = None) -> None:
        """Insert a credential; with `request_id` the request is answered by it in the same transaction.

        Raises CredentialNameTaken, and RequestUsed where the request was answered already or its time is over at the
        record's `created_at`; then nothing changes.
        """
        ...

    async def get_credential(self, project_id: str, reference: str) -> CredentialRecord | None:
        """The one with this name or id."""
        ...

    async def list_credentials(
        self,
        project_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        kind: str | None = None,
        name: str | None = None,
    ) -> CredentialsPage:
        """By name; `name` keeps those whose name contains it. The cursor is the last name seen."""
        ...

    async def update_credential(self, record: CredentialRecord, *, expected: CredentialRecord) -> None:
        """Replace the row, if it is still as `expected` but for how its data key is wrapped.

        What `expected` and `record` have equally in `sealed` stays as it is in the row, where it may have been wrapped
        anew meanwhile. Raises CredentialConflict, CredentialNotFound and CredentialNameTaken.
        """
        ...

    async def delete_credential(self, project_id: str, credential_id: str) -> bool:
        """Remove it; its uses stay. False when there is none."""
        ...

    async def list_key_ids(self) -> frozenset[str]:
        """The ids of the keys of the server with which any credential is wrapped."""
        ...

    async def list_wrapped_otherwise(self, key_id: str, *, limit: int) -> list[CredentialRecord]:
        """Some credentials, of all projects, that are not wrapped with this key."""
        ...

    async def rewrap_credential(self, record: CredentialRecord, sealed: Sealed) -> bool:
        """Replace how the data key is wrapped, if it still is as in `record`; whether it was."""
        ...

    async def add_credential_use(self, use: CredentialUse) -> None:
        """Write a use to the audit that belongs to no execution; durable when this returns."""
        ...

    async def list_credential_uses(
        self, project_id: str, credential_id: str, *, limit: int, cursor: str | None = None
    ) -> UsesPage:
        """Newest first, also of a credential that is gone. The cursor matches USES_CURSOR_PATTERN."""
        ...

    async def delete_old_uses(self, before: datetime) -> None:
        """Forget the uses, and the requests that expired, before this time."""
        ...

    async def add_credential_request(self, request: CredentialRequest, *, open_max: int = REQUESTS_OPEN_MAX) -> None:
        """Insert a request. Raises TooManyRequests where `open_max` of the project can be answered at its time."""
        ...

    async def get_credential_request(self, token_hash: str) -> CredentialRequest | None: ...


class Cipher(Protocol):
    """Seals the values of credentials: see budflow.credentials.cipher."""

    def seal(self, record: CredentialRecord, values: bytes) -> Sealed:
        """Encrypt the values of a record, bound to its id, project, kind, revision and hosts; `sealed` is not read."""
        ...

    def open(self, record: CredentialRecord) -> bytes:
        """The values. Raises CredentialUnreadable and EncryptionKeyMissing."""
        ...

    def rewrap(self, record: CredentialRecord) -> Sealed:
        """The same box with its data key wrapped by the newest key. Raises as `open` does."""
        ...

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        ...

    @property
    def known(self) -> frozenset[str]:
        """The ids of all keys that it has."""
        ...

    def add_key(self) -> bool:
        """Make a new newest key and keep it durably, where this server keeps its keys itself; whether it does.

        Where the last rotation did not end, its key is the newest already, and none is made.
        """
        ...

    def drop_keys(self, in_use: frozenset[str]) -> None:
        """Forget the keys that nothing is wrapped with any more, where this server keeps them itself."""
        ...


class CredentialCache(CredentialSource, Protocol):
    """Opens credentials for nodes, and remembers for a while what it opened."""

    def forget(self, credential_id: str) -> None:
        """The credential was changed or deleted: its next use reads it anew."""
        ...


class Prober(Protocol):
    """Tries a credential by a real and harmless call."""

    async def probe(self, credential: OpenCredential, request: HttpRequest | None) -> Probed:
        """Send the request that the user named, or do what the kind knows. What the other side does raises nothing."""
        ...
