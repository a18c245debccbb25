"""What a credential puts into a header: a secret value that stays one value, and the name of a header it may set."""

from typing import Annotated

from pydantic import AfterValidator

from budflow.model.secret import Secret, SecretText
from budflow.nodes.http.headers import HeaderName, check_framing

#: RFC 9110, 5.5: without control characters, and without spaces around it, which would not arrive.
HEADER_TEXT = r"^[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?$"
HEADER_TEXT_MEANING = "It must be one line without control characters, and without spaces or line ends around it."

HeaderSecret = Annotated[Secret, SecretText(max_length=8_192, pattern=HEADER_TEXT, meaning=HEADER_TEXT_MEANING)]


def _settable(name: str) -> str:
    check_framing({name: ""})
    if name.lower() == "host":
        raise ValueError("The header Host says which server is meant, which the address of the request does.")
    return name


#: The name of a header that is not the connection's own.
SettableHeader = Annotated[HeaderName, AfterValidator(_settable)]
