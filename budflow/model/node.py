"""How a node type is declared: one function with `@node(…)` above it, from which schema, docs and checks follow.

The engine owns the loop over items, retries, `on_error`, lineage and effects; a node's function owns only its subject.
Kinds: `item` (async, one item a call), `batch` (sync, any slice of the items), `list` (sync, all items at once) and
`control` (pure, decides what happens next).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from inspect import cleandoc
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from budflow.errors import BudflowError
from budflow.model.failure import Failure, NodeError
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.item import Item, Json
from budflow.model.workflow import Effect

Kind = Literal["item", "batch", "list", "control"]
Ports = tuple[str, ...] | Callable[[Mapping[str, Any]], tuple[str, ...]]
ERROR_PORT = "error"


class Params(BaseModel):
    """The parameters of a node type. Any string in them may be an expression, unless its field is marked `Static`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class StaticMark:
    """The mark behind `Static`."""


#: `path: Annotated[str, Static]`: a parameter that is fixed when the workflow is saved and takes no expression.
Static = StaticMark()

P = TypeVar("P", bound=Params)


class HttpCapability(Protocol):
    """The guarded way out: refuses private, link-local and metadata addresses unless the settings allow them."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Raises a BudflowError with `http.…` code; `retriable` on it says whether trying again may help."""
        ...


@dataclass(frozen=True, slots=True)
class Call(Generic[P]):
    """What an `item` node gets for one item.

    `key` is the idempotency key: equal for every attempt at this item, in this process or after a crash.
    """

    item: Item
    params: P
    key: str
    now: datetime
    http: HttpCapability


@dataclass(slots=True)
class Batch(Generic[P]):
    """What a `batch` or `list` node gets: the items of all its ports, one after the other, in declared order.

    An index is the ordinal in that concatenation. `resolve(index)` evaluates the parameters for one item.
    """

    items: Sequence[Item]
    ports: Mapping[str, range]
    resolve: Callable[[int | None], P]
    now: datetime
    failed: dict[int, BudflowError] = field(default_factory=dict)

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
    """What a `batch` or `list` node gives back. An item that is put on no port is dropped on purpose."""

    ports: dict[str, tuple[list[Item | None], list[int]]] = field(default_factory=dict)
    failed: dict[int, BudflowError] = field(default_factory=dict)

    def pass_on(self, port: str, index: int) -> None:
        """Send input item `index` on, unchanged."""
        items, lineage = self.ports.setdefault(port, ([], []))
        items.append(None)  # The engine puts the input item here.
        lineage.append(index)

    def emit(self, port: str, value: Item | Json, source: int = -1) -> None:
        """Send a new item that was made from input item `source` (-1: from none, or from several)."""
        items, lineage = self.ports.setdefault(port, ([], []))
        items.append(value if isinstance(value, Item) else Item(value))
        lineage.append(source)

    def fail(self, index: int, error: BudflowError) -> None:
        """Input item `index` failed; what happens to it is the node's `on_error`."""
        self.failed[index] = error


# --- control nodes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin(Generic[P]):
    """The node is reached by `items` items; `params` were evaluated with the first."""

    params: P
    items: int


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The workflow called as number `call` has ended; `failure` is None where it succeeded."""

    call: int
    failure: Failure | None


ControlEvent = Begin[Any] | CallEnded


@dataclass(frozen=True, slots=True)
class CallWorkflow:
    """Run another workflow with this node's input items; answered by CallEnded with the same number."""

    call: int
    workflow_id: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the request that triggered the execution."""

    status_code: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class FromInputs:
    """The node's input items."""


@dataclass(frozen=True, slots=True)
class FromCall:
    """The result items of the call with this number."""

    call: int


@dataclass(frozen=True, slots=True)
class Settle:
    """The node is done; a port that is not named stays empty."""

    outputs: Mapping[str, FromInputs | FromCall]


@dataclass(frozen=True, slots=True)
class Fail:
    """The node failed; what follows is its `on_error`."""

    failure: Failure


ControlCommand = CallWorkflow | Respond | Settle | Fail
ControlState = Mapping[str, Any] | None


class ControlFunction(Protocol):
    """Pure: the same state and event give the same commands. The state is small JSON, None at the beginning."""

    def __call__(self, state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]: ...


# --- the declaration -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Example:
    """Shown to people and agents, and replayed by a test.

    `given` are items (or items a port), `expect` the items a port; `answers` stand in for the HTTP servers that the
    example speaks to, in order; `callee` is what a called workflow returns; `responds` is the answer to the trigger.
    """

    title: str
    params: Mapping[str, Any]
    given: Sequence[Json] | Mapping[str, Sequence[Json]]
    expect: Mapping[str, Sequence[Json]]
    answers: Sequence[HttpResponse] = ()
    callee: Sequence[Json] = ()
    responds: Respond | None = None


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node type as declared. `call` has the shape that its kind asks for."""

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

    def input_ports(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The input ports for these raw parameters, which may be faulty."""
        return self.inputs(params) if callable(self.inputs) else self.inputs

    def output_ports(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The output ports for these raw parameters, which may be faulty; without the port `error`."""
        return self.outputs(params) if callable(self.outputs) else self.outputs

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
) -> Callable[[Callable[..., Any]], NodeSpec]:
    """Declare a node type. The function's docstring is its description; the docstring's first line its summary."""

    def declare(call: Callable[..., Any]) -> NodeSpec:
        description = cleandoc(call.__doc__ or "")
        if not description:
            raise NodeError(f"The node type {name} has no docstring.")
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
        )

    return declare
