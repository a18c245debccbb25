"""GET /credential-kinds: what kinds of credentials there are, and what each asks for."""

from budflow.api.examples import BEARER_KIND
from budflow.api.route import Example, Route
from budflow.services.list_credential_kinds import CredentialKindsView, ListCredentialKinds, list_credential_kinds

ROUTE = Route(
    "GET",
    "/credential-kinds",
    list_credential_kinds,
    ListCredentialKinds,
    CredentialKindsView,
    Example(answer={"kinds": [BEARER_KIND]}),
)
