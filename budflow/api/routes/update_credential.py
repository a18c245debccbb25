"""PATCH /credentials/{credential}: change what the body names; the rest stays."""

from budflow.api.examples import CREDENTIAL
from budflow.api.route import Example, Route
from budflow.services.credential_views import CredentialView
from budflow.services.update_credential import UpdateCredential, update_credential

ROUTE = Route(
    "PATCH",
    "/credentials/{credential}",
    update_credential,
    UpdateCredential,
    CredentialView,
    Example(
        answer={**CREDENTIAL, "revision": 2, "updated_at": "2026-01-06T09:00:00Z"},
        parameters={"credential": "crm-token"},
        body={"values": {"token": "crm-4f1b9a6e02d7"}, "expected_revision": 1},
    ),
)
