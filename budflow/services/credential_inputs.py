"""What the requests about credentials have in common: names, hosts, values, grants and probes as they are asked."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from budflow.model.credential import GRANTS_MAX, HOSTS_MAX, NAME_PATTERN, Grants
from budflow.model.host_pattern import HOST_PATTERN

NAME_CHARS_MAX = 64
REFERENCE_CHARS_MAX = 100
HOST_CHARS_MAX = 300
PORT_MAX = 65_535
PROBE_URL_CHARS_MAX = 2_000
PRINCIPAL_PATTERN = r"^[A-Za-z0-9_.@:-]{1,100}$"
WORKFLOW_PATTERN = r"^[A-Za-z0-9_-]{1,100}$"
#: An absolute address in ASCII (RFC 3986) without user name and fragment: nothing in it shall be a secret.
URL_PATTERN = r"https?://[^\x00-\x20\x7f-\U0010ffff/?#@\\]+(?:[/?][^\x00-\x20\x7f-\U0010ffff#]*)?"


def _named(name: str) -> str:
    # By hand: pydantic's own expressions look neither ahead nor behind.
    if len(name) > NAME_CHARS_MAX or re.fullmatch(NAME_PATTERN, name) is None:
        raise ValueError(
            f"begin with a lower-case letter, go on with lower-case letters, digits, `.`, `_` and `-`, "
            f"{NAME_CHARS_MAX} characters at most, and do not begin with `crd_`"
        )
    return name


def _host(pattern: str) -> str:
    lowered = pattern.strip().lower() if len(pattern) <= HOST_CHARS_MAX else ""
    if re.fullmatch(HOST_PATTERN, lowered) is None or _port(lowered) > PORT_MAX:
        raise ValueError(
            "write a host such as `api.example.com`, `*.example.com`, `api.example.com:8443` or `http://crm.internal`, "
            "without a path, and names beyond ASCII as `xn--…`; `*` means every host"
        )
    return lowered.removeprefix("https://")  # Which is what one without a scheme means.


def _port(pattern: str) -> int:
    port = re.search(r":(\d{1,5})$", pattern)
    return 0 if port is None else int(port[1])


def _without_repeats(hosts: list[str]) -> list[str]:
    return list(dict.fromkeys(hosts))


def _address(url: str) -> str:
    if re.fullmatch(URL_PATTERN, url) is None or not _has_host(url):
        raise ValueError(
            "write an absolute address such as `https://api.example.com/me`, without user name and fragment"
        )
    return url


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # A port beyond 65535, half of a bracket.
        return False


CredentialName = Annotated[
    str,
    AfterValidator(_named),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "maxLength": NAME_CHARS_MAX}),
]
Reference = Annotated[str, Field(max_length=REFERENCE_CHARS_MAX, description="The credential's name, or its id.")]
Host = Annotated[str, AfterValidator(_host), WithJsonSchema({"type": "string", "maxLength": HOST_CHARS_MAX})]
Hosts = Annotated[list[Host], AfterValidator(_without_repeats), Field(max_length=HOSTS_MAX)]
#: Written and never read: each field of it says `repr=False`, which keeps it out of whatever prints a request.
Values = Annotated[dict[str, Any], Field(max_length=100)]

HOSTS_DESCRIPTION = (
    "Where it may be sent, over HTTPS: `api.example.com`, `*.example.com`, `api.example.com:8443`; plain HTTP only as "
    "`http://crm.internal`; `*` is every host. Kinds that sign requests need one."
)


class GrantsAsked(BaseModel):
    """Who may use a credential."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    project: bool = Field(False, description="Every workflow of the project.")
    principals: list[Annotated[str, StringConstraints(pattern=PRINCIPAL_PATTERN)]] = Field(
        default_factory=list, max_length=GRANTS_MAX, description="Workflow versions that these saved, such as `owner`."
    )
    workflows: list[Annotated[str, StringConstraints(pattern=WORKFLOW_PATTERN)]] = Field(
        default_factory=list, max_length=GRANTS_MAX, description="These workflows, by id, whoever saved them."
    )

    def to_grants(self) -> Grants:
        """As they are stored."""
        return Grants(self.project, frozenset(self.principals), frozenset(self.workflows))


class ProbeAsked(BaseModel):
    """A harmless request that shows whether a credential works: signed with it, any answer below 400 is good."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    method: Literal["GET", "HEAD", "OPTIONS", "POST"] = Field("GET", description="POST only where nothing comes of it.")
    url: Annotated[str, AfterValidator(_address)] = Field(
        max_length=PROBE_URL_CHARS_MAX,
        description="Absolute, to one of the credential's `hosts`, without anything secret.",
    )
