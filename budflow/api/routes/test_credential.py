"""POST /credentials/{credential}/test: whether it works, by a real and harmless call."""

from budflow.api.route import Example, Route
from budflow.services.test_credential import CredentialTest, CredentialTestView, test_credential

ROUTE = Route(
    "POST",
    "/credentials/{credential}/test",
    test_credential,
    CredentialTest,
    CredentialTestView,
    Example(
        answer={"works": True, "answer": "GET https://crm.example/me was answered with 200 OK."},
        parameters={"credential": "crm-token"},
        body={"probe": {"url": "https://crm.example/me"}},
    ),
)
