"""Where hostile expressions are tried: an item, another node, a secret, all names that a node's have."""

from datetime import UTC, datetime

from budflow.execution.lineage import NodeView
from budflow.execution.names import RunNames
from budflow.expressions.evaluate import NAMES, Scope
from budflow.model.item import Item, ItemList
from budflow.model.secret import Opaque

DATA = {
    "name": "Ada",
    "second": "{{ 9 ** 9 ** 9 }}",
    "rows": [{"n": 1}, {"n": 2}],
    "numbers": [3, 1, 2],
    "none": None,
}
#: What must never be seen in an error or a value. It is in no scope: an opaque value knows only where it is.
SECRET = "hunter2"


class Secret(Opaque):
    """A secret's placeholder."""

    __slots__ = ()

    def __repr__(self) -> str:
        return SECRET  # Whoever writes it out has lost.

    __str__ = __repr__


def _scope() -> Scope:
    fetch = NodeView("fetch", [ItemList.of([{"id": 7}])], lambda: (0, 0), params={"url": "https://example.org"})
    fixed = {
        "now": datetime(2026, 1, 31, 13, 5, 9, tzinfo=UTC),
        "run_index": 0,
        "execution": {"id": "exe_1", "mode": "api"},
        "workflow": {"id": "wf_1", "name": "Test", "version": 1},
        "vars": {"rate": 0.5},
        "env": {},
        "secrets": {"auth": {"token": Secret()}},
    }
    names = RunNames(
        frozenset(NAMES), fixed, [Item(DATA)], nodes=lambda ordinal: {"fetch": fetch}, trigger=lambda: "fetch"
    )
    return names.scope(0)


SCOPE = _scope()
