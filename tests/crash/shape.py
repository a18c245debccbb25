"""The shapes of workflow that are crashed: documents in `shapes/`, and the effects that each execution of one has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.crash.ledger import TOKEN, Effect

FOLDER = Path(__file__).with_name("shapes")
CALLEE = "CALLEE"
#: The credential that shapes sign their requests with.
CREDENTIAL = "ledger"
#: More than a node works on at once (20), so that it begins in several steps.
LINES = 24


@dataclass(frozen=True, slots=True)
class Shape:
    """A workflow, and what it does outside: (node, item) of every effect of one execution.

    `ends` is the status that it ends with. One that `hurries` has little time, and may lack effects where servers are
    down for longer.
    """

    name: str
    effects: tuple[tuple[str, str], ...]
    ends: str = "succeeded"
    hurries: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """The workflow as it is stored; CALLEE stands where it names the workflow that it calls."""
        return _read(self.name)

    @property
    def callee(self) -> dict[str, Any] | None:
        """The workflow that it calls."""
        name = f"{self.name}_callee"
        return _read(name) if (FOLDER / f"{name}.json").exists() else None

    def expected(self, order: str) -> set[Effect]:
        """The effects of the execution that the order `order` starts."""
        return {Effect(order, node, item) for node, item in self.effects}


def body_of(order: str, ledger_url: str, *, delay_seconds: float = 0, hold: Sequence[str] = ()) -> dict[str, Any]:
    """What a webhook of any shape is sent. Effects take `delay_seconds`; those of the nodes `hold` wait."""
    lines = [{"number": number} for number in range(LINES)]
    return {"order": order, "ledger": ledger_url, "delay_seconds": delay_seconds, "hold": [*hold], "lines": lines}


def credential_for(ledger_url: str) -> dict[str, Any]:
    """What the shapes sign their requests to the ledger with, as POST /credentials takes it."""
    hosts = [ledger_url]
    return {
        "kind": "bearer",
        "name": CREDENTIAL,
        "values": {"token": TOKEN},
        "hosts": hosts,
        "grants": {"project": True},
    }


def linked(document: Mapping[str, Any], callee_id: str) -> dict[str, Any]:
    """The document with the id of the workflow that it calls."""
    linked_: dict[str, Any] = orjson.loads(orjson.dumps(document).replace(CALLEE.encode(), callee_id.encode()))
    return linked_


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads((FOLDER / f"{name}.json").read_bytes())
    return document


_ALL = (
    Shape("chain", (("reserve", ""), ("pay", ""))),
    Shape("answer", (("reserve", ""), ("pay", ""))),
    Shape("last_node", (("reserve", ""), ("pay", ""))),
    Shape("branches", (("left", ""), ("right", ""), ("last", "2"))),
    Shape("items", (*(("send", str(number)) for number in range(LINES)), ("last", str(LINES)))),
    Shape("for_each", (*(("send", str(number * 10)) for number in range(LINES)), ("last", str(LINES)))),
    Shape("much", (*(("send", str(number)) for number in range(LINES)), ("last", str(LINES)))),
    Shape("wait", (("before", ""), ("behind", ""))),
    Shape("sub_workflow", (("before", ""), ("inner", "0"), ("inner", "1"), ("inner", "2"), ("last", "3"))),
    Shape("retry", (("stubborn", ""), ("last", ""))),
    Shape("try_catch", (("risky", ""), ("tidy", ""), ("instead", ""))),
    Shape("loop", (("step", "1"), ("step", "2"), ("step", "3"), ("last", "3"))),
    Shape("long_wait", (("before", ""), ("behind", ""))),
    Shape("limits", (("win", ""), ("last", ""))),
    Shape("timed_out", (("take", ""), ("give_back", "")), ends="failed", hurries=True),
    Shape("parallel", (("mail", ""), ("stock", ""), ("last", "2"))),
    Shape("credential", (("claim", ""), ("last", ""))),
)
SHAPES: Mapping[str, Shape] = {shape.name: shape for shape in _ALL}
