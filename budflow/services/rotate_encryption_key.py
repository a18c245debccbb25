"""rotate_encryption_key: wrap all credentials with a new encryption key while the server goes on using them."""

import asyncio
from collections import Counter

from pydantic import Field

from budflow.errors import BudflowError
from budflow.model.credential import CredentialRecord, CredentialUnreadable
from budflow.model.principal import Principal
from budflow.services.credential_ports import EncryptionKeyMissing
from budflow.services.use_case import RequestModel, Services, View, use_case

PAGE = 100
#: How often one credential may be changed by others while it is being wrapped.
TRIES = 10


class RotateEncryptionKey(RequestModel):
    """Nothing is asked: which key is the newest is a matter of the server."""


class CredentialLeftView(View):
    """A credential that is still wrapped with an older key."""

    id: str
    project_id: str
    name: str
    key_id: str = Field(description="The key that it is wrapped with.")
    code: str = Field(description="Why, as an error's code.")
    message: str


class KeyRotationView(View):
    """What a rotation did."""

    key_id: str = Field(description="The key that everything is wrapped with now.")
    made: bool = Field(description="Whether this server keeps its keys itself, and so made this one or had made it.")
    rewrapped: int = Field(description="How many credentials were wrapped anew.")
    left: list[CredentialLeftView] = Field(description="Those that could not be, and stay as they are.")
    unused_keys: list[str] = Field(
        description="Older keys that the server has and no credential needs: take them out of BUDFLOW_ENCRYPTION_KEYS. "
        "One that the server keeps itself it removes, the latest use of which was just now at the next rotation."
    )


class CredentialKeepsChanging(BudflowError):
    """The credential was changed each time that it was about to be wrapped anew."""

    code = "credential.keeps_changing"
    http_status = 409
    hint = "Rotate again."


@use_case("server:rotate_keys")
async def rotate_encryption_key(
    services: Services, principal: Principal, request: RotateEncryptionKey
) -> KeyRotationView:
    """Wrap all credentials with the newest encryption key. A server that keeps its keys itself makes a new one.

    What was sealed stays as it is, and in use. A rotation that did not end is taken up where it was. Credentials that
    cannot be read are named in the answer and hold up nothing. Raises EncryptionKeysUnwritable.
    """
    cipher = services.cipher
    made = cipher.add_key()
    rewrapped, left = await _rewrap_all(services)
    # Nothing is awaited between the two: who seals meanwhile does it with the newest key, which is never dropped.
    in_use = await services.store.list_key_ids()
    cipher.drop_keys(in_use)
    return KeyRotationView(
        key_id=cipher.newest,
        made=made,
        rewrapped=rewrapped,
        left=left,
        unused_keys=sorted(cipher.known - in_use - {cipher.newest}),
    )


async def _rewrap_all(services: Services) -> tuple[int, list[CredentialLeftView]]:
    """Wrap with the newest key what is wrapped otherwise; how many, and which could not be."""
    done: set[str] = set()
    left: dict[str, CredentialLeftView] = {}
    tries: Counter[str] = Counter()
    limit = PAGE
    while True:
        found = await services.store.list_wrapped_otherwise(services.cipher.newest, limit=limit)
        # One that another server wraps with its own newest key right after is not done twice: it would never end.
        page = [record for record in found if record.id not in done and record.id not in left][:PAGE]
        if not page:
            if len(found) < limit:
                return len(done), list(left.values())
            limit *= 2  # Others may stand behind so many that cannot be wrapped.
            continue
        # Together, so that many share a transaction.
        for record, answer in zip(page, await asyncio.gather(*(_rewrap(services, one) for one in page)), strict=True):
            tries[record.id] += 1
            if isinstance(answer, BudflowError):
                left[record.id] = _left(record, answer)
            elif answer:
                done.add(record.id)
            elif tries[record.id] == TRIES:
                left[record.id] = _left(record, CredentialKeepsChanging())


async def _rewrap(services: Services, record: CredentialRecord) -> bool | BudflowError:
    """Whether it was wrapped anew: not where it was changed meanwhile. The error where it cannot be read."""
    try:
        return await services.store.rewrap_credential(record, services.cipher.rewrap(record))
    except (CredentialUnreadable, EncryptionKeyMissing) as error:
        return error


def _left(record: CredentialRecord, error: BudflowError) -> CredentialLeftView:
    return CredentialLeftView(
        id=record.id,
        project_id=record.project_id,
        name=record.name,
        key_id=record.sealed.key_id,
        code=error.code,
        message=error.message,
    )
