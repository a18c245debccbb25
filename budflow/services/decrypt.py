"""From a stored row to an open credential: the one place where what is sealed becomes what a node may use."""

from pydantic import ValidationError

from budflow.model.credential import CredentialRecord, CredentialUnfit
from budflow.model.credential_kind import STORED, CredentialKind, OpenCredential
from budflow.services.credential_ports import Cipher


def decrypt(record: CredentialRecord, kind: type[CredentialKind], cipher: Cipher) -> OpenCredential:
    """The credential of a row. Raises CredentialUnreadable, EncryptionKeyMissing and CredentialUnfit."""
    values = _values(kind, cipher.open(record))
    if values is None:
        raise CredentialUnfit(
            f"What the credential `{record.name}` holds does not fit the kind {record.kind} of this release.",
            hint="Enter its value anew.",
            credential=record.name,
        )
    return OpenCredential(record.id, record.name, record.kind, values, record.hosts)


def _values(kind: type[CredentialKind], plain: bytes) -> CredentialKind | None:
    # An error raised in here would keep hold of the values, in its frames and as its context.
    try:
        return kind.model_validate_json(plain, context=STORED)
    except ValidationError:
        return None
