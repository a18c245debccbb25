"""How a node type is declared: one function with `@node(…)` above it, from which schema, docs and checks follow.

The engine owns the loop over items, retries, `on_error`, lineage and effects; a node's function owns only its subject.
Kinds: `item` (async, one item a call), `batch` (sync, any slice of the items), `list` (all items at once) and
`control` (pure, decides what happens next). A `list` node gives one Outputs, or is a generator, plain or async, that
gives part after part: then neither what it takes nor what it gives need ever be in memory as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from inspect import cleandoc, isasyncgenfunction
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from budflow.errors import BudflowError
from budflow.model.blobs import NO_BLOBS, BlobsCapability
from budflow.model.control import NO_BODIES, Bodies, Respond
from budflow.model.credential_kind import CredentialSlot, OpenCredential
from budflow.model.failure import NodeError
from budflow.model.files import NO_FILES, FilesCapability
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.item import Item, ItemList, Json
from budflow.model.log import NO_LOG, LogCapability
from budflow.model.sandbox import NO_SANDBOX, SandboxCapability
from budflow.model.spilled import Spilled
from budflow.model.static_data import NO_STATIC, StaticData
from budflow.model.workflow import Effect

Kind = Literal["item", "batch", "list", "control"]
Ports = tuple[str, ...] | Callable[[Mapping[str, Any]], tuple[str, ...]]
ERROR_PORT = "error"
#: How many items a generator deals with between two parts, so that it takes some milliseconds.
PART_ITEMS = 1_000


class Params(BaseModel):
    """The parameters of a node type. Any string in them may be an expression, unless its field is marked `Static` or
    `Verbatim`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class StaticMark:
    """The mark behind `Static`."""


#: `path: Annotated[str, Static]`: a parameter that is fixed when the workflow is saved and takes no expression.
Static = StaticMark()


@dataclass(frozen=True, slots=True)
class VerbatimMark:
    """The mark behind `Verbatim`."""


#: `code: Annotated[str, Verbatim]`: a parameter that is taken as it is written: `{{` in it begins no expression.
#: Only a field of a node type's own parameters can have it, not one of a model inside them.
Verbatim = VerbatimMark()

P = TypeVar("P", bound=Params)


class HttpCapability(Protocol):
    """The guarded way out: refuses private, link-local and metadata addresses unless the settings allow them."""

    async def send(self, request: HttpRequest, credential: OpenCredential | None = None) -> HttpResponse:
        """Send it, signed where there is a credential, and never to a host that the credential does not allow.

        Raises HostRefused, or a BudflowError with `http.…` code; `retriable` on it says whether trying again may help.
        """
        ...


@dataclass(frozen=True, slots=True)
class Call(Generic[P]):
    """What an `item` node gets for one item.

    `key` is the idempotency key: equal for every attempt at this item, in this process or after a crash. `traceparent`
    names the trace of the execution, for requests to be sent with (W3C Trace Context). `credentials` are those that
    the author gave the node, by slot.
    """

    item: Item
    params: P
    key: str
    now: datetime
    http: HttpCapability
    files: FilesCapability = NO_FILES
    traceparent: str | None = None
    static: StaticData = NO_STATIC
    credentials: Mapping[str, OpenCredential] = field(default_factory=dict)
    log: LogCapability = NO_LOG
    blobs: BlobsCapability = NO_BLOBS


@dataclass(slots=True)
class Batch(Generic[P]):
    """What a `batch` or `list` node gets: the items of all its ports, one after the other, in declared order.

    An index is the ordinal in that concatenation. `resolve(index)` evaluates the parameters for one item; those that do
    not depend on it are the same object for all. Where the items are `spilled`, go through them once and in order: they
    are read from blobs. `put_aside` keeps items outside of memory for as long as the node runs. Only an async generator
    can use `blobs` and `sandbox`. `key` is the idempotency key of the whole list: equal for every attempt. `name` says
    for people whose work this is: `workflow/execution/node`.
    """

    items: Sequence[Item]
    ports: Mapping[str, range]
    resolve: Callable[[int | None], P]
    now: datetime
    failed: dict[int, BudflowError] = field(default_factory=dict)
    files: FilesCapability = NO_FILES
    put_aside: Callable[[ItemList], ItemList] = lambda items: items
    static: StaticData = NO_STATIC
    log: LogCapability = NO_LOG
    blobs: BlobsCapability = NO_BLOBS
    sandbox: SandboxCapability = NO_SANDBOX
    key: str = ""
    name: str = ""

    @property
    def spilled(self) -> bool:
        """Whether the items are too many for memory."""
        return isinstance(self.items, Spilled)

    def each(self, port: str | None = None) -> Iterator[tuple[int, P]]:
        """Index and evaluated parameters of every item (of one port); one whose parameters fail counts as failed."""
        for index in range(len(self.items)) if port is None else self.ports[port]:
            try:
                params = self.resolve(index)
            except BudflowError as error:
                self.failed[index] = error
                continue
            yield index, params

    @property
    def params(self) -> P:
        """The parameters evaluated once, with the first item (or none): for what holds for the whole list."""
        return self.resolve(0 if self.items else None)

    def port(self, name: str) -> Sequence[Item]:
        """The items that came in by one port."""
        where = self.ports[name]
        return self.items[where.start : where.stop]


@dataclass(slots=True)
class Outputs:
    """What a `batch` or `list` node gives back. An item that is put on no port is dropped on purpose.

    `rejected` are the port, the place there and the error of new items that failed.
    """

    ports: dict[str, tuple[list[Item | None], list[int]]] = field(default_factory=dict)
    failed: dict[int, BudflowError] = field(default_factory=dict)
    rejected: list[tuple[str, int, BudflowError]] = field(default_factory=list)

    def pass_on(self, port: str, index: int) -> None:
        """Send input item `index` on, unchanged."""
        items, lineage = self._port(port)
        items.append(None)  # The engine puts the input item here.
        lineage.append(index)

    def emit(self, port: str, value: Item | Json, source: int = -1) -> None:
        """Send a new item that was made from input item `source` (-1: from none, or from several)."""
        items, lineage = self._port(port)
        items.append(value if isinstance(value, Item) else Item(value))
        lineage.append(source)

    def reject(self, port: str, value: Item | Json, error: BudflowError, source: int = -1) -> None:
        """A new item failed; what happens to it is the node's `on_error`. Without an error it would leave by `port`."""
        self.emit(port, value, source)
        self.rejected.append((port, len(self.ports[port][0]) - 1, error))

    def _port(self, port: str) -> tuple[list[Item | None], list[int]]:
        # Asked for every item, so that nothing is made where it is there already.
        found = self.ports.get(port)
        if found is None:
            found = self.ports[port] = ([], [])
        return found

    def fail(self, index: int, error: BudflowError) -> None:
        """Input item `index` failed; what happens to it is the node's `on_error`."""
        self.failed[index] = error


def passed_on(port: str, indices: Iterable[int]) -> Iterator[Outputs]:
    """Input items sent on unchanged by one port, some at a time."""
    outputs = Outputs()
    for count, index in enumerate(indices, 1):
        outputs.pass_on(port, index)
        if count % PART_ITEMS == 0:
            yield outputs
            outputs = Outputs()
    yield outputs


# --- the declaration -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Example:
    """Shown to people and agents, and replayed by a test.

    `given` are items (or items a port), `expect` the items a port; `answers` stand in for the HTTP servers that the
    example speaks to, in order; `callee` is what a called workflow returns; `responds` is the answer to the trigger;
    `bodies` are the inner graphs, as in a document; `answered` answers the first wait, None lets its time elapse.
    `files` are the contents by path of the files that it finds, `writes` of those that it leaves. `tables` are the rows
    of those that the given items carry, in order, `makes` those of the items that leave by the first port.
    """

    title: str
    params: Mapping[str, Any]
    given: Sequence[Json] | Mapping[str, Sequence[Json]]
    expect: Mapping[str, Sequence[Json]]
    answers: Sequence[HttpResponse] = ()
    callee: Sequence[Json] = ()
    responds: Respond | None = None
    bodies: Mapping[str, Any] = field(default_factory=dict)
    answered: Any = None
    files: Mapping[str, str] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Sequence[Json]] = ()
    makes: Sequence[Sequence[Json]] = ()


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node type as declared. `call` has the shape that its kind asks for.

    `feed` names a control node's parameter that, where it is not left out, gives a list for each input item: the
    elements of all of them are then the node's items. One that is no object becomes an item `{"value": …}`; a null from
    an expression is an empty list. A type with `static` gets the static data of the node and of its workflow.
    `credentials` are the slots for credentials that it has; only an `item` node and a trigger have any. `runtime_env`
    names the environment without which its Ray tasks do not run; only a heavy node has one. One that is `sandboxed`
    runs an author's code, in the sandbox of the execution's project; only an async generator can.
    """

    name: str
    version: int
    kind: Kind
    params: type[Params]
    call: Callable[..., Any]
    summary: str
    description: str
    examples: tuple[Example, ...]
    effect: Effect | Callable[[Any], Effect] = "pure"
    inputs: Ports = ("main",)
    outputs: Ports = ("main",)
    trigger: bool = False
    run_on_empty: bool = False
    heavy: bool = False
    bodies: Bodies = NO_BODIES
    feed: str | None = None
    static: bool = False
    credentials: Mapping[str, CredentialSlot] = field(default_factory=dict)
    runtime_env: str | None = None
    sandboxed: bool = False

    def input_ports(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The input ports for these raw parameters, which may be faulty."""
        return self.inputs(params) if callable(self.inputs) else self.inputs

    def output_ports(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The output ports for these raw parameters, which may be faulty; without the port `error`."""
        return self.outputs(params) if callable(self.outputs) else self.outputs

    @property
    def awaits(self) -> bool:
        """Whether a `list` node waits for something while it gives its parts."""
        return isasyncgenfunction(self.call)

    def effect_of(self, params: Params) -> Effect:
        """What running it with these parameters does to the world outside."""
        return self.effect(params) if callable(self.effect) else self.effect


def node(
    name: str,
    *,
    kind: Kind,
    params: type[Params],
    examples: Sequence[Example],
    version: int = 1,
    effect: Effect | Callable[[Any], Effect] = "pure",
    inputs: Ports = ("main",),
    outputs: Ports = ("main",),
    trigger: bool = False,
    run_on_empty: bool = False,
    heavy: bool = False,
    bodies: Bodies = NO_BODIES,
    feed: str | None = None,
    static: bool = False,
    credentials: Mapping[str, CredentialSlot] | None = None,
    runtime_env: str | None = None,
    sandboxed: bool = False,
) -> Callable[[Callable[..., Any]], NodeSpec]:
    """Declare a node type. The function's docstring is its description; the docstring's first line its summary."""

    def declare(call: Callable[..., Any]) -> NodeSpec:
        description = cleandoc(call.__doc__ or "")
        if not description:
            raise NodeError(f"The node type {name} has no docstring.")
        if credentials and kind != "item" and not trigger:
            raise NodeError(
                f"The node type {name} has slots for credentials, which only `item` nodes and triggers have."
            )
        if runtime_env is not None and not heavy:
            raise NodeError(f"The node type {name} names a runtime environment, which only heavy ones have.")
        if sandboxed and not (kind == "list" and isasyncgenfunction(call)):
            raise NodeError(f"The node type {name} is to be sandboxed, which only an async generator can be.")
        return NodeSpec(
            name=name,
            version=version,
            kind=kind,
            params=params,
            call=call,
            summary=description.splitlines()[0],
            description=description,
            examples=tuple(examples),
            effect=effect,
            inputs=() if trigger else inputs,
            outputs=outputs,
            trigger=trigger,
            run_on_empty=run_on_empty,
            heavy=heavy,
            bodies=bodies,
            feed=feed,
            static=static,
            credentials=credentials or {},
            runtime_env=runtime_env,
            sandboxed=sandboxed,
        )

    return declare
