"""Header fields as authors may write them: checked so that no value can smuggle in a second header (RFC 9110, 5.5)."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import StringConstraints

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", max_length=200)]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[^\r\n\x00]*$", max_length=8192)]
Headers = dict[HeaderName, HeaderValue]

#: Set by whoever writes the message to the connection; a value from outside would break its framing.
FRAMING = frozenset({"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


H = TypeVar("H", bound=Mapping[str, object])


def check_framing(headers: H) -> H:
    """Refuse, with ValueError, the headers that only the connection may set."""
    for name in headers:
        if name.lower() in FRAMING:
            raise ValueError(f"The header {name} is set by the connection itself; leave it out.")
    return headers
