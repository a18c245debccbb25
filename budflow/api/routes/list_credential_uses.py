"""GET /credentials/{credential}/uses: who used a credential, where and when."""

from budflow.api.examples import CREDENTIAL_ID, EXECUTION_ID, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.list_credential_uses import CredentialUsesView, ListCredentialUses, list_credential_uses

_USE = {
    "used_at": "2026-01-05T09:01:00Z",
    "workflow_id": WORKFLOW_ID,
    "version": 1,
    "execution_id": EXECUTION_ID,
    "node": "price[3]",
    "slot": "auth",
    "author": "owner",
    "principal": "owner",
}

ROUTE = Route(
    "GET",
    "/credentials/{credential}/uses",
    list_credential_uses,
    ListCredentialUses,
    CredentialUsesView,
    Example(answer={"uses": [_USE], "next_cursor": None}, parameters={"credential": CREDENTIAL_ID, "limit": 50}),
)
