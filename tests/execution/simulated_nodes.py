"""Node types for the simulation of the pure core: light ones that say only how many items leave, and hostile ones.

The functions of the light ones are never called: what a node gives is chosen by the simulation. Control nodes are the
real ones, whose functions the core calls, and `sim.hostile`, whose function breaks its contract in many ways.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from budflow.model.control import (
    Begin,
    Bodies,
    BodyEnded,
    CallWorkflow,
    ControlCommand,
    ControlEvent,
    ControlState,
    Fail,
    FromBody,
    FromInputs,
    Resolve,
    Settle,
    StartBody,
    Stopped,
    Wait,
)
from budflow.model.failure import Failure
from budflow.model.node import NodeSpec, Params, Static, node
from budflow.nodes.registry import Registry, build

REAL = (
    "trigger.manual",
    "flow.for_each",
    "flow.while",
    "flow.try_catch",
    "flow.parallel",
    "flow.wait",
    "flow.sub_workflow",
    "flow.rate_limit",
)
FINALLY = "finally"
Way = Literal[
    "raises",
    "raises_late",
    "raises_stopped",
    "settles_stopped",
    "hasty",
    "twice",
    "again",
    "silent",
    "more",
    "lost",
    "fails",
    "odd",
    "calls",
    "resolves",
]


class NoParams(Params):
    """None."""


class HostileParams(Params):
    """How it misbehaves."""

    way: Annotated[Way, Static] = "raises"


def _never(*_: object) -> Any:
    """Stands for work that the simulation does itself."""
    raise AssertionError("the core calls no function of a node that is not a control node")


def _light(name: str, **options: Any) -> NodeSpec:
    return node(name, kind=options.pop("kind", "batch"), params=NoParams, examples=(), **options)(_never)


def _raise() -> list[Any]:
    raise RuntimeError("a defect of the node type")


START: Sequence[ControlCommand] = (StartBody("body", FromInputs()),)
#: What the hostile ones decide when they begin; the others start their body.
AT_FIRST: Mapping[str, Callable[[], list[Any]]] = {
    "raises": _raise,
    "hasty": lambda: [*START, Settle({})],
    "twice": lambda: [*START, *START],
    "silent": list,
    "odd": lambda: ["no command"],
    "calls": lambda: [CallWorkflow(0, "callee", None, awaited=False), *START],
    "resolves": lambda: [*START, Resolve(0, FromInputs())],
    "more": lambda: [Settle({"main": FromInputs()}), *START],
    "lost": lambda: [StartBody("body", FromBody(FINALLY, 3))],
    "fails": lambda: [*START, Wait(0, "timer", seconds=1), Fail(Failure("sim.failed", "on purpose"))],
}


@node(
    "sim.hostile",
    kind="control",
    params=HostileParams,
    bodies=Bodies(required=("body",), optional=(FINALLY,)),
    examples=(),
)
def hostile(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Break the contract of control functions."""
    way = event.params.way if isinstance(event, Begin) else (state or {}).get("way")
    if isinstance(event, Begin):
        return {"way": way}, AT_FIRST.get(str(way), lambda: [*START])()
    if isinstance(event, BodyEnded):
        if way == "again" and not event.stopped:
            return state, START
        return state, _raise() if way == "raises_late" else [Settle({"main": FromBody("body")})]
    if isinstance(event, Stopped) and way == "raises_stopped":
        return state, _raise()
    if isinstance(event, Stopped) and way == "settles_stopped":
        return state, [Settle({"main": FromInputs()})]
    return state, []


def registry() -> Registry:
    """The node types of the simulation."""
    real = build()
    found = [spec for name in REAL if (spec := real.get(name)) is not None]
    assert len(found) == len(REAL), "the library lacks a node type that the simulation builds on"
    return Registry(
        [
            *found,
            hostile,
            _light("sim.pass"),
            _light("sim.part", outputs=("main", "other")),
            _light("sim.make", outputs=("main", "few", "none")),
            _light("sim.count", run_on_empty=True),
            _light("sim.join", inputs=("left", "right")),
            _light("sim.effect", kind="item", effect="idempotent"),
        ]
    )
