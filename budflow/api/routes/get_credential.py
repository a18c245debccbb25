"""GET /credentials/{credential}: one credential, without its values."""

from budflow.api.examples import CREDENTIAL
from budflow.api.route import Example, Route
from budflow.services.credential_views import CredentialView
from budflow.services.get_credential import GetCredential, get_credential

ROUTE = Route(
    "GET",
    "/credentials/{credential}",
    get_credential,
    GetCredential,
    CredentialView,
    Example(answer=CREDENTIAL, parameters={"credential": "crm-token"}),
)
