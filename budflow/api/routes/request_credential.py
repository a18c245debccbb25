"""POST /credential-requests: ask a person for a credential by a link."""

from budflow.api.route import Example, Route
from budflow.services.request_credential import CredentialRequestView, RequestCredential, request_credential

ROUTE = Route(
    "POST",
    "/credential-requests",
    request_credential,
    RequestCredential,
    CredentialRequestView,
    Example(
        answer={
            "id": "crq_0192f0c1c4d57e5f8a6b7c8d9e0f1021",
            "name": "crm-token",
            "url": "https://flows.example/credential-request/Zs1K0fD4xv2mQ7rJ5tYbN3cLpWgHhUe9aBdEiOqTkM0",
            "expires_at": "2026-01-05T10:00:00Z",
        },
        body={
            "kind": "bearer",
            "name": "crm-token",
            "hosts": ["crm.example"],
            "reason": "To read the prices of orders.",
        },
    ),
    status=201,
)
