"""GET /credentials: the credentials of the project, without their values."""

from budflow.api.examples import CREDENTIAL
from budflow.api.route import Example, Route
from budflow.services.list_credentials import CredentialsView, ListCredentials, list_credentials

ROUTE = Route(
    "GET",
    "/credentials",
    list_credentials,
    ListCredentials,
    CredentialsView,
    Example(
        answer={"credentials": [{**CREDENTIAL, "fields": None}], "next_cursor": None},
        parameters={"kind": "bearer", "limit": 50},
    ),
)
