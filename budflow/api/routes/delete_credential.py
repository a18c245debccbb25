"""DELETE /credentials/{credential}: remove a credential; the audit of its uses stays."""

from budflow.api.examples import CREDENTIAL_ID
from budflow.api.route import Example, Route
from budflow.services.delete_credential import CredentialDeletedView, DeleteCredential, delete_credential

ROUTE = Route(
    "DELETE",
    "/credentials/{credential}",
    delete_credential,
    DeleteCredential,
    CredentialDeletedView,
    Example(answer={"deleted": CREDENTIAL_ID}, parameters={"credential": "crm-token"}),
)
