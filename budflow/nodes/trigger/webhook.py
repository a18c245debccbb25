"""trigger.webhook: where an execution enters that an HTTP request starts."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from budflow.model.credential_kind import CredentialSlot
from budflow.model.node import Batch, Example, Outputs, Params, Static, node

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
#: The slot of the credential that signatures are checked with.
SIGNATURE = "signature"
SIGNATURE_KINDS = ("hmac",)
SECRET_VARIABLE_PREFIX = "BUDFLOW_SECRET_"  # noqa: S105 - the beginning of a variable's name, not a secret

_SEGMENT = r"(?:[A-Za-z0-9_.~-]+|\{[A-Za-z_][A-Za-z0-9_]*\})"
PATH_PATTERN = rf"^{_SEGMENT}(?:/{_SEGMENT})*$"


class Signature(Params):
    """How the sender signs the body: an HMAC (RFC 2104) over its raw bytes, in a header."""

    secret: Annotated[str, Static] = Field(
        pattern=r"^[A-Z][A-Z0-9_]{0,99}$",
        description="Name of the shared secret, such as GITHUB_WEBHOOK. The secret itself stands in the server's "
        "environment as BUDFLOW_SECRET_ followed by this name, never in the workflow.",
    )
    header: Annotated[str, Static] = Field(
        default="X-Hub-Signature-256",
        pattern=r"^[A-Za-z0-9-]{1,100}$",
        description="Header that carries the signature.",
    )
    algorithm: Annotated[Literal["sha256", "sha512", "sha1"], Static] = Field(
        default="sha256", description="Hash of the HMAC. Choose sha1 only for senders that know nothing else."
    )
    encoding: Annotated[Literal["hex", "base64"], Static] = Field(
        default="hex", description="How the signature is written in the header."
    )
    prefix: Annotated[str, Static] = Field(
        default="sha256=", max_length=50, description="Text before the signature in the header; may be empty."
    )

    @property
    def variable(self) -> str:
        """The environment variable of the server that holds the secret."""
        return SECRET_VARIABLE_PREFIX + self.secret


class WebhookParams(Params):
    """What is served, and how it is answered."""

    path: Annotated[str, Static] = Field(
        pattern=PATH_PATTERN,
        max_length=200,
        description="Path below /webhook/, without a leading slash, such as orders/{shop}. A part in braces matches "
        "one segment and is found under $json.params.",
    )
    methods: Annotated[list[Method], Static] = Field(
        default=["POST"], min_length=1, description="HTTP methods that are answered, each once."
    )
    respond: Annotated[Literal["immediately", "last_node", "respond_node"], Static] = Field(
        default="immediately",
        description="When the sender is answered: `immediately` with the id of the execution; `last_node` at the end "
        "with the items of the node that ran last; `respond_node` when an http.respond node runs.",
    )
    respond_items: Annotated[Literal["first", "all"], Static] = Field(
        default="first",
        description="What `last_node` answers: the first item's json, or the list of the json of all items.",
    )
    signature: Annotated[Signature | None, Static] = Field(
        default=None,
        description="Refuse requests without a valid signature, by a secret in the server's environment. Not together "
        "with a credential in the slot `signature`, which says all of this itself. Without both anybody may call.",
    )

    @field_validator("path")
    @classmethod
    def _path_can_be_matched(cls, path: str) -> str:
        names = re.findall(r"\{(\w+)\}", path)
        if len(names) != len(set(names)):
            raise ValueError("A name in braces may stand only once in the path.")
        if any(segment in (".", "..") for segment in path.split("/")):
            raise ValueError("Clients resolve the segments `.` and `..` away: such a path is never reached.")
        return path

    @field_validator("methods")
    @classmethod
    def _each_method_once(cls, methods: list[Method]) -> list[Method]:
        if len(methods) != len(set(methods)):
            raise ValueError("Each method may stand only once.")
        return methods


@node(
    "trigger.webhook",
    kind="batch",
    params=WebhookParams,
    trigger=True,
    credentials={
        SIGNATURE: CredentialSlot(
            "Refuses requests that are not signed with this secret, as the credential says.",
            kinds=SIGNATURE_KINDS,
            at_door=True,
            instead_of="signature",
        )
    },
    examples=[
        Example(
            title="Receive an order and answer with the result",
            params={"path": "orders/{shop}", "respond": "last_node"},
            given=[
                {
                    "method": "POST",
                    "path": "orders/berlin",
                    "params": {"shop": "berlin"},
                    "query": {"dry_run": "1"},
                    "headers": {"content-type": "application/json"},
                    "body": {"total": 120},
                }
            ],
            expect={
                "main": [
                    {
                        "method": "POST",
                        "path": "orders/berlin",
                        "params": {"shop": "berlin"},
                        "query": {"dry_run": "1"},
                        "headers": {"content-type": "application/json"},
                        "body": {"total": 120},
                    }
                ]
            },
        ),
        Example(
            title="Receive GitHub's push events, refusing forged ones",
            params={"path": "github", "signature": {"secret": "GITHUB_WEBHOOK"}},
            given=[
                {"method": "POST", "path": "github", "params": {}, "query": {}, "headers": {}, "body": {"ref": "main"}}
            ],
            expect={
                "main": [
                    {
                        "method": "POST",
                        "path": "github",
                        "params": {},
                        "query": {},
                        "headers": {},
                        "body": {"ref": "main"},
                    }
                ]
            },
        ),
    ],
)
def receive_webhook(batch: Batch[WebhookParams]) -> Outputs:
    """Start an execution for each HTTP request to /webhook/ and the path, once the workflow is published.

    One item leaves by `main`: `method`, `path`, `params` (the parts of the path in braces), `query`, `headers` (names
    in lower case, without credentials and cookies) and `body` (parsed JSON, the fields of a form, or the text). So
    the body's total is `{{ $json.body.total }}`. To answer with something of your own, set `respond` to
    `respond_node` and add an `http.respond` node.

    To take only signed requests, give it a credential of the kind `hmac`, `"credentials": {"signature": "github"}`: it
    has the shared secret, the header and how the signature is written there, with a timestamp too.
    """
    outputs = Outputs()
    for index in range(len(batch.items)):
        outputs.pass_on("main", index)
    return outputs
