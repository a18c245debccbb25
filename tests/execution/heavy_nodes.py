"""Node types that only tests need, and the composition of a runner that knows them too; importable in every process."""

import os
import signal
import time
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field

from budflow.credentials.kinds.bearer import Bearer
from budflow.execution.heavy import Heavy
from budflow.execution.lists import ListStore
from budflow.model.credential_kind import CredentialSlot, OpenCredential
from budflow.model.execution import Place
from budflow.model.failure import NodeError
from budflow.model.item import Item, Json
from budflow.model.node import Batch, Call, Example, Outputs, Params, node
from budflow.nodes.registry import Registry, build
from budflow.runner import Runner, open_runner
from budflow.runtime_envs import RuntimeEnv
from tests.execution.burning_nodes import burn, heavy_burn

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


@node("test.greeting", kind="list", params=Params, examples=NO_EXAMPLES, heavy=True)
def greeting(batch: Batch[Params]) -> Outputs:
    """Tell what its process has in the variable GREETING, and whether it has the package `greetings`."""
    outputs = Outputs()
    outputs.emit("main", {"greeting": os.environ.get("GREETING"), "package": find_spec("greetings") is not None})
    return outputs


@node("test.broken", kind="list", params=Params, examples=NO_EXAMPLES, heavy=True, runtime_env="broken")
def broken(batch: Batch[Params]) -> Outputs:
    """Never get to run, as its runtime environment cannot be built."""
    return Outputs()


@node("test.untrusted", kind="list", params=Params, examples=NO_EXAMPLES, heavy=True, runtime_env="nowhere")
def untrusted(batch: Batch[Params]) -> Outputs:
    """Need a runtime environment that no operator lets it have."""
    return Outputs()


#: What the session's Ray lets them have.
RUNTIME_ENVS = {
    "greeting": RuntimeEnv(types=("test.greeting",), env_vars={"GREETING": "hello"}),
    "broken": RuntimeEnv(
        types=("test.broken",), installer="pip", packages=("--no-index", "no-such-package==1"), build_seconds=1
    ),
}


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


class WriteBlobParams(Params):
    text: str = Field(description="What is written.")
    times: int = Field(default=1, description="How often, one after the other.")
    piecewise: bool = Field(default=False, description="Whether it is written piece by piece.")


@node("test.write_blob", kind="item", params=WriteBlobParams, examples=NO_EXAMPLES, heavy=True)
async def write_blob(call: Call[WriteBlobParams]) -> Item:
    """Write a blob, and tell the process it was in."""
    text, times = call.params.text.encode(), call.params.times
    if not call.params.piecewise:
        return Item({"pid": os.getpid()}, {"file": await call.blobs.put(text * times, media_type="text/plain")})
    async with call.blobs.write(media_type="text/plain") as sink:
        for _ in range(times):
            await sink.write(text)
    return Item({"pid": os.getpid()}, {"file": sink.ref})


@node("test.read_blob", kind="item", params=Params, examples=NO_EXAMPLES, heavy=True)
async def read_blob(call: Call[Params]) -> Item:
    """Read a blob as a whole and as a stream; tell their hashes, whether it could be changed, and the process."""
    ref = call.item.binary["file"]
    whole = await call.blobs.read(ref)
    streamed = sha256()
    async for piece in call.blobs.stream(ref):
        streamed.update(piece)
    told = {"pid": os.getpid(), "whole": sha256(whole).hexdigest(), "streamed": streamed.hexdigest()}
    return Item({**told, "readonly": whole.readonly}, call.item.binary)


TESTING = Registry(
    [
        *build().types(),
        where,
        block,
        loud,
        die,
        greeting,
        broken,
        untrusted,
        careless,
        write_blob,
        read_blob,
        burn,
        heavy_burn,
    ]
)


def open_test_runner(
    http_allow: tuple[str, ...] = ("127.0.0.1",),
    place: Place | None = None,
    heavy: Heavy | None = None,
    *,
    lists: ListStore | None = None,
) -> Runner:
    """As `open_runner`, with the types above."""
    opened = open_runner(http_allow, place, heavy, lists=lists)
    return Runner(TESTING, opened.tools, opened.close)
