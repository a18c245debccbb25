"""POST /credentials: store a credential, encrypted."""

from budflow.api.examples import CREDENTIAL
from budflow.api.route import Example, Route
from budflow.services.create_credential import CreateCredential, create_credential
from budflow.services.credential_views import CredentialView

ROUTE = Route(
    "POST",
    "/credentials",
    create_credential,
    CreateCredential,
    CredentialView,
    Example(
        answer=CREDENTIAL,
        body={
            "kind": "bearer",
            "name": "crm-token",
            "values": {"token": "crm-4f1b9a6e02d7"},
            "hosts": ["crm.example"],
            "probe": {"method": "GET", "url": "https://crm.example/me"},
        },
    ),
    status=201,
)
