"""An inner graph as a function over the items of a round: its nodes one after the other, without the engine."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from budflow.model.failure import Failure, NodeError
from budflow.model.item import Item
from tests.nodes.control_play import Body

if TYPE_CHECKING:
    from tests.nodes.harness import Ran

RunNode = Callable[[str, Mapping[str, Any], Mapping[str, Sequence[Item]]], "Ran"]


class NodeFailed(NodeError):
    """A node of the inner graph failed."""

    code = "test.node_failed"

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def inner_graph(document: Mapping[str, Any], run_node: RunNode) -> Body:
    """A body from `{"nodes": …, "edges": …}`, whose nodes stand in the order in which they run.

    A node runs when it has items; one that fails, fails the body.
    """
    edges = [(_end(edge["from"]), _end(edge["to"])) for edge in document["edges"]]

    def play(items: list[Item]) -> list[Item]:
        left: dict[tuple[str, str], list[Item]] = {("$in", "main"): items}
        for key, node in document["nodes"].items():
            assert set(node) <= {"type", "params"}, "not played here"
            given: dict[str, list[Item]] = {}
            for source, (target, port) in edges:
                if target == key:
                    given.setdefault(port, []).extend(left.get(source, []))
            if not any(given.values()):
                continue
            ran = run_node(node["type"], node["params"], given)
            for error in ran.failed.values():
                raise NodeFailed(error if isinstance(error, Failure) else Failure.of(error, key))
            left |= {(key, port): made for port, made in ran.items.items()}
        return [item for source, (target, _) in edges if target == "$out" for item in left.get(source, [])]

    return play


def _end(text: str) -> tuple[str, str]:
    key, _, port = text.partition(".")
    return key, port or "main"
