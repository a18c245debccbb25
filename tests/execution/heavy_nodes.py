"""Node types that only tests need, and the composition of a runner that knows them too; importable in every process."""

import os
import signal
import time
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import Field

from budflow.credentials.kinds.bearer import Bearer
from budflow.execution.ports import Heavy
from budflow.model.credential_kind import CredentialSlot, OpenCredential
from budflow.model.execution import Place
from budflow.model.failure import NodeError
from budflow.model.item import Json
from budflow.model.node import Batch, Call, Example, Outputs, Params, node
from budflow.nodes.registry import Registry, build
from budflow.runner import Runner, open_runner

NO_EXAMPLES: list[Example] = []


def bearer(token: str, *hosts: str) -> OpenCredential:
    """An opened credential of a kind that every process knows."""
    return OpenCredential("crd_crm", "crm", "bearer", Bearer.model_validate({"token": token}), hosts)


class BlockParams(Params):
    seconds: float = Field()
    mark: str | None = Field(default=None, description="A file to make when it begins.")


@node("test.where", kind="list", params=Params, examples=NO_EXAMPLES, heavy=True)
def where(batch: Batch[Params]) -> Outputs:
    """Tell the process it runs in."""
    outputs = Outputs()
    outputs.emit("main", {"pid": os.getpid()})
    return outputs


@node("test.block", kind="list", params=BlockParams, examples=NO_EXAMPLES, heavy=True)
def block(batch: Batch[BlockParams]) -> Outputs:
    """Compute for a while without ever giving way."""
    if batch.params.mark is not None:
        Path(batch.params.mark).touch()
    time.sleep(batch.params.seconds)
    return Outputs()


class LoudParams(Params):
    seconds: float = Field(description="How long it takes before its last two lines.")
    until: str = Field(description="The file that it waits for before the last line.")


@node("test.loud", kind="list", params=LoudParams, examples=NO_EXAMPLES, heavy=True)
def loud(batch: Batch[LoudParams]) -> Outputs:
    """Log without ever giving way."""
    for number in range(3):
        said = f"line {number}"
        batch.log.info(said, pid=os.getpid())
    time.sleep(batch.params.seconds)
    batch.log.for_item(0).warning("line 3")
    deadline = time.monotonic() + 30
    while not Path(batch.params.until).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    batch.log.info("line 4")
    return Outputs()


@node("test.die", kind="list", params=Params, examples=NO_EXAMPLES, heavy=True)
def die(batch: Batch[Params]) -> Outputs:
    """End the process it runs in."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Outputs()


class CarelessParams(Params):
    does: Literal["tell", "hash", "crash"] = Field(default="tell", description="What it does with the token.")
    wants: str | None = Field(default=None, description="The hash of the only token that it takes.")


class TokenStale(NodeError):
    """The token is not the wanted one."""

    code = "test.token_stale"
    retriable = True


@node(
    "test.careless",
    kind="item",
    effect="idempotent",
    params=CarelessParams,
    examples=NO_EXAMPLES,
    credentials={"auth": CredentialSlot("A token to be careless with.", kinds=("bearer",), required=True)},
)
async def careless(call: Call[CarelessParams]) -> Json:
    """Quote the token, as careless servers and careless code do."""
    values = call.credentials["auth"].values
    assert isinstance(values, Bearer)
    token = values.token.reveal()
    hashed = sha256(token.encode()).hexdigest()
    if call.params.wants not in (None, hashed):
        raise TokenStale(f"{token} is old")
    if call.params.does == "crash":
        raise ValueError(f"could not parse {token} nor {token.encode().hex()}")
    if call.params.does == "hash":
        return {"pid": os.getpid(), "hash": hashed}
    return {"pid": os.getpid(), "token": token, "header": [f"Bearer {token}", token.encode().hex()]}


TESTING = Registry([*build().types(), where, block, loud, die, careless])


def open_test_runner(
    http_allow: tuple[str, ...] = ("127.0.0.1",), place: Place | None = None, heavy: Heavy | None = None
) -> Runner:
    """As `open_runner`, with the types above."""
    opened = open_runner(http_allow, place, heavy)
    return Runner(TESTING, opened.tools, opened.close)
