"""A source of credentials that tests fill and make fail, and a kind of credential and node types for it."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from budflow.errors import BudflowError
from budflow.execution.ports import CredentialUser
from budflow.model.credential import CredentialNotFound
from budflow.model.credential_kind import CredentialKind, CredentialSlot, OpenCredential
from budflow.model.failure import NodeError
from budflow.model.http import HttpRequest
from budflow.model.item import Json
from budflow.model.node import Batch, Call, Example, Outputs, Params, node
from budflow.model.secret import Secret, SecretText

NO_EXAMPLES: list[Example] = []
ANYBODY = CredentialUser("default", "wf_1", "test")


class Token(CredentialKind):
    """A token that is sent as it is."""

    name: ClassVar[str] = "token"
    token: Annotated[Secret, SecretText()] = Field(description="The token.")

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """Put it into a header."""
        return request.with_header("X-Token", self.token.reveal())


class Vault:
    """Meets CredentialSource. `fault` is raised instead of opening anything; while `gate` is closed it hangs.

    `asked` are all asks, and `opened` what was handed out.
    """

    def __init__(self, **secrets: str) -> None:
        self._credentials: dict[str, OpenCredential] = {}
        self.asked: list[tuple[CredentialUser, str, tuple[str, ...]]] = []
        self.opened: list[OpenCredential] = []
        self.fault: BudflowError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        for name, secret in secrets.items():
            self.put(name, secret)

    def put(self, name: str, secret: str, credential_id: str | None = None) -> None:
        """Have a credential, instead of one of this name."""
        values = Token(token=secret)
        self.keep(OpenCredential(credential_id or f"crd_{name}", name, "token", values, ("*",)))

    def keep(self, credential: OpenCredential) -> None:
        """The same, of any kind."""
        self._credentials[credential.name] = credential

    def take_away(self, name: str) -> None:
        """Revoke it."""
        del self._credentials[name]

    def forget(self, credential_id: str) -> None:
        """See CredentialSource."""

    async def open(self, user: CredentialUser, reference: str, kinds: tuple[str, ...]) -> OpenCredential:
        """See CredentialSource."""
        self.asked.append((user, reference, kinds))
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        if reference not in self._credentials:
            raise CredentialNotFound(f"There is no credential `{reference}`.")
        self.opened.append(self._credentials[reference])
        return self._credentials[reference]


class SendParams(Params):
    """How to send, and how to fail."""

    url: str = Field("https://example.com/", description="Where to.")
    crash: bool = Field(default=False, description="Raise an error of Python that quotes the secret.")


class Quoted(NodeError):
    """The other side refused the token."""

    code = "test.quoted"
    retriable = True


def secret_of(call: Call[Any], slot: str) -> str:
    """The token in a slot of the node."""
    values = call.credentials[slot].values
    assert isinstance(values, Token)
    return values.token.reveal()


AUTH = CredentialSlot("Shown to the other side.", kinds=("token",), required=True)


@node("test.send", kind="item", effect="once", params=SendParams, examples=NO_EXAMPLES, credentials={"auth": AUTH})
async def send(call: Call[SendParams]) -> Json:
    """Send the secret; what comes back quotes it, as careless servers and careless code do."""
    secret = secret_of(call, "auth")
    request = HttpRequest("POST", call.params.url, (("X-Token", secret),), call.key.encode(), 5, False, 1000)
    response = await call.http.send(request)
    if call.params.crash:
        raise ValueError(f"could not parse {secret}")
    if response.status >= 400:
        raise Quoted(f"{secret} is not known", hint=f"Look at {secret}.")
    return {"status": response.status, "echo": {"headers": [f"token {secret}"], secret: call.item.json}}


@node(
    "test.join",
    kind="item",
    params=SendParams,
    examples=NO_EXAMPLES,
    credentials={"first": AUTH, "second": AUTH},
)
async def join(call: Call[SendParams]) -> Json:
    """Give both secrets away."""
    return {"both": f"{secret_of(call, 'first')} {secret_of(call, 'second')}"}


@node(
    "test.heavy_send",
    kind="item",
    params=SendParams,
    examples=NO_EXAMPLES,
    heavy=True,
    credentials={"auth": AUTH},
)
async def heavy_send(call: Call[SendParams]) -> Json:
    """Give the secret away, in another process."""
    return {"secret": secret_of(call, "auth")}


@node(
    "test.door",
    kind="batch",
    params=Params,
    trigger=True,
    examples=NO_EXAMPLES,
    credentials={"signature": CredentialSlot("Checked by the door.", at_door=True)},
)
def door(batch: Batch[Params]) -> Outputs:
    """Pass on what came in by the door."""
    outputs = Outputs()
    for index in range(len(batch.items)):
        outputs.pass_on("main", index)
    return outputs
