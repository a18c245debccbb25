"""From bytes or plain JSON to a frozen Workflow, or every fault of its shape at once."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from budflow.graph import document as shape
from budflow.graph.plain import plain_problems, too_deep, too_large
from budflow.graph.shape_problems import shape_problems
from budflow.model.problem import Problem, WorkflowInvalid, pointer
from budflow.model.workflow import (
    DOCUMENT_BYTES_MAX,
    FORMAT,
    NESTING_MAX,
    NODES_MAX,
    PROBLEMS_MAX,
    Edge,
    Endpoint,
    Graph,
    Node,
    Retention,
    Retry,
    Settings,
    Workflow,
)

_INTEGER_CHARS_MAX = 20  # Of one that fits into 64 bits, its sign included.


def read_json(text: bytes | str) -> Any:
    """JSON (RFC 8259) as plain data. Raises WorkflowInvalid: too large, malformed, too deep, or a key stands twice."""
    size = len(text.encode(errors="surrogatepass")) if isinstance(text, str) else len(text)
    if size > DOCUMENT_BYTES_MAX:
        raise WorkflowInvalid(problems=(too_large(size),))
    try:
        data = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError:
        raise WorkflowInvalid(problems=(too_deep(),)) from None
    except ValueError as error:
        problem = Problem("document.malformed", "", f"This is not JSON: {error}.", "Send one JSON value in UTF-8.")
        raise WorkflowInvalid(problems=(problem,)) from error
    problems = tuple(islice(plain_problems(data), PROBLEMS_MAX))
    if not any(problem.code == "document.too_deep" for problem in problems):  # Which `_repeated_keys` could not walk.
        problems += tuple(islice(_repeated_keys(data, ()), PROBLEMS_MAX))
    if problems:
        raise WorkflowInvalid(problems=problems)
    return data


def parse(data: object) -> Workflow:
    """A document as plain data → a Workflow. Raises WorkflowInvalid with every fault of the shape."""
    if not isinstance(data, dict):
        begin = f'Begin with {{"format": {FORMAT}, "name": "…", "nodes": {{…}}}}.'
        problem = Problem("document.malformed", "", "A workflow document is a JSON object.", begin)
        raise WorkflowInvalid(problems=(problem,))
    if problems := tuple(islice(plain_problems(data), PROBLEMS_MAX + 1)):
        raise WorkflowInvalid(problems=problems)
    try:
        parsed = shape.DocumentShape.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise WorkflowInvalid(problems=tuple(shape_problems(details, shape.DocumentShape, data))) from error
    if limits := tuple(_limits(parsed)):
        raise WorkflowInvalid(problems=limits)
    return Workflow(
        name=parsed.name,
        description=parsed.description,
        graph=_graph(parsed.nodes, parsed.edges),
        settings=_settings(parsed.settings),
    )


def endpoint(text: str) -> Endpoint:
    """`check.true` → node `check`, port `true`; no port means `main`."""
    node, _, port = text.partition(".")
    return Endpoint(node, port or "main")


class _Pairs(dict[str, Any]):
    """A JSON object that remembers the keys that stood in it twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs) if len(pairs) != len(self) else {}
        self.repeated = [key for key, count in counts.items() if count > 1]


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _integer(text: str) -> int:
    # Python takes ages for a million digits, or refuses them; what is cut is still too large, which is told later.
    return int(text[: _INTEGER_CHARS_MAX + 1])


def _repeated_keys(value: object, place: tuple[str | int, ...]) -> Iterator[Problem]:
    if isinstance(value, _Pairs):
        for key in value.repeated:
            message = f"The key `{key}` stands more than once in this object."
            yield Problem("document.duplicate_key", pointer(*place, key), message, "Rename or remove all but one.")
    for part, inner in _children(value):
        yield from _repeated_keys(inner, (*place, part))


def _children(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _graph(nodes: Mapping[str, shape.NodeShape], edges: list[shape.EdgeShape]) -> Graph:
    return Graph(
        nodes={key: _node(key, node) for key, node in nodes.items()},
        edges=tuple(Edge(endpoint(edge.source), endpoint(edge.target)) for edge in edges),
    )


def _node(key: str, node: shape.NodeShape) -> Node:
    plain = {name: getattr(node, name) for name in type(node).model_fields}
    plain["bodies"] = {name: _graph(body.nodes, body.edges) for name, body in node.bodies.items()}
    plain["retry"] = Retry(**node.retry.model_dump())
    plain["pinned"] = None if node.pinned is None else tuple(node.pinned)
    plain["resources"], plain["labels"] = dict(node.resources.model_extra or {}), node.resources.labels
    return Node(key=key, **plain)


def _settings(settings: shape.SettingsShape) -> Settings:
    plain = settings.model_dump()
    return Settings(**{**plain, "retention": Retention(**plain["retention"])})


def _limits(parsed: shape.DocumentShape) -> Iterator[Problem]:
    """Too many nodes or bodies, bodies too deep, or a key that two nodes of different bodies share."""
    seen: set[str] = set()
    count, bodies, deepest = 0, 0, 0
    pending: list[tuple[tuple[str, ...], int, Mapping[str, shape.NodeShape]]] = [((), 0, parsed.nodes)]
    while pending:
        place, depth, nodes = pending.pop()
        count += len(nodes)
        deepest = max(deepest, depth)
        for key, node in nodes.items():
            where = (*place, "nodes", key)
            if key in seen:
                message = f"Another node of the workflow is called `{key}` too."
                yield Problem("node.duplicate_key", pointer(*where), message, "Keys are unique, bodies included.")
            seen.add(key)
            bodies += len(node.bodies)
            pending.extend(((*where, "bodies", name), depth + 1, body.nodes) for name, body in node.bodies.items())
    split = "Split it into several workflows and call them with `flow.sub_workflow`."
    if count > NODES_MAX:
        yield Problem("document.too_many_nodes", "/nodes", f"{count} nodes; at most {NODES_MAX} are allowed.", split)
    if bodies > NODES_MAX:  # Each of them has a node, or says nothing.
        yield Problem("document.too_many_bodies", "/nodes", f"{bodies} bodies; at most {NODES_MAX} are allowed.", split)
    if deepest > NESTING_MAX:
        message = f"Bodies stand {deepest} levels deep in one another; at most {NESTING_MAX} are allowed."
        yield Problem("document.too_deep", "/nodes", message, split)
