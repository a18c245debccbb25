"""From bytes or plain JSON to a frozen Workflow, or every fault of its shape at once."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from budflow.graph import document as shape
from budflow.graph.suggest import hint
from budflow.model.problem import Problem, WorkflowInvalid
from budflow.model.workflow import (
    DOCUMENT_BYTES_MAX,
    NESTING_MAX,
    NODES_MAX,
    Edge,
    Endpoint,
    Graph,
    Node,
    Retry,
    Settings,
    Workflow,
)

JSON_DEPTH_MAX = 100


def read_json(text: bytes | str) -> Any:
    """JSON as plain data. Raises WorkflowInvalid: too large, malformed, too deep, or a key that stands twice."""
    size = len(text)
    if size > DOCUMENT_BYTES_MAX:
        raise WorkflowInvalid(
            problems=(
                Problem(
                    "document.too_large",
                    "",
                    f"The document has {size} bytes; at most {DOCUMENT_BYTES_MAX} are allowed.",
                    "Split it into several workflows and call them with `flow.sub_workflow`.",
                ),
            )
        )
    try:
        data = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise WorkflowInvalid(problems=(_too_deep(),)) from error
    except ValueError as error:
        problem = Problem("document.malformed", "", f"This is not JSON: {error}.", "Send a JSON object (RFC 8259).")
        raise WorkflowInvalid(problems=(problem,)) from error
    if _depth_exceeds(data, JSON_DEPTH_MAX):
        raise WorkflowInvalid(problems=(_too_deep(),))
    repeated = tuple(
        Problem(
            "document.duplicate_key", path, f"The key `{key}` stands twice in this object.", "Rename or remove one."
        )
        for path, key in _repeated_keys(data, "")
    )
    if repeated:
        raise WorkflowInvalid(problems=repeated)
    return data


def parse(data: object) -> Workflow:
    """A document as plain data → a Workflow. Raises WorkflowInvalid with every fault of the shape."""
    if not isinstance(data, Mapping):
        problem = Problem(
            "document.malformed", "", "A workflow document is a JSON object.", 'Begin with {"format": 1, "name": …}.'
        )
        raise WorkflowInvalid(problems=(problem,))
    if _depth_exceeds(data, JSON_DEPTH_MAX):
        raise WorkflowInvalid(problems=(_too_deep(),))
    try:
        parsed = shape.DocumentShape.model_validate(dict(data))
    except ValidationError as error:
        problems = tuple(shape_problem(detail, shape.DocumentShape, "") for detail in error.errors(include_url=False))
        raise WorkflowInvalid(problems=problems) from error
    limits = tuple(_limits(parsed))
    if limits:
        raise WorkflowInvalid(problems=limits)
    return Workflow(
        name=parsed.name,
        description=parsed.description,
        graph=_graph(parsed.nodes, parsed.edges),
        settings=Settings(**parsed.settings.model_dump()),
    )


def shape_problem(detail: Mapping[str, Any], model: type[BaseModel], prefix: str, code: str = "document") -> Problem:
    """One of pydantic's errors as a Problem: the place as a JSON Pointer, a hint where one can be given."""
    where = [part for part in detail["loc"] if part != "[key]"]
    path = prefix + "".join(f"/{_escape(part)}" for part in where)
    kind = detail["type"]
    if kind == "extra_forbidden":
        wrong = str(where[-1])
        fields = _fields_at(model, where[:-1])
        return Problem(
            f"{code}.unknown_field", path, f"There is no field `{wrong}` here.", hint(wrong, fields, "field")
        )
    if kind == "missing":
        return Problem(f"{code}.missing_field", path, f"The field `{where[-1]}` is missing.", "Add it.")
    if kind == "string_pattern_mismatch" and "[key]" in detail["loc"]:
        return Problem(
            f"{code}.key_malformed",
            path,
            f"`{where[-1]}` is no key.",
            "Keys are lower-case letters, digits and `_`, begin with a letter and have at most 64 characters.",
        )
    expected = detail.get("ctx", {}).get("expected")
    advice = f"Allowed: {expected}." if expected else "See the format in docs/workflow-format.md."
    return Problem(f"{code}.invalid_value", path, f"{detail['msg']}.", advice)


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


def _repeated_keys(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key in getattr(value, "repeated", ()):
            yield f"{path}/{_escape(key)}", key
        for key, inner in value.items():
            yield from _repeated_keys(inner, f"{path}/{_escape(key)}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _repeated_keys(inner, f"{path}/{index}")


def _depth_exceeds(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, Mapping) else outer if isinstance(outer, list) else ())
            if isinstance(inner, Mapping | list)
        ]
        if not level:
            return False
    return True


def _too_deep() -> Problem:
    return Problem(
        "document.too_deep", "", f"The document nests deeper than {JSON_DEPTH_MAX} levels.", "Flatten it, or split it."
    )


def _escape(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _fields_at(model: type[BaseModel], where: list[Any]) -> list[str]:
    """The fields of the model that stands at `where` below `model`; those of the last one found."""
    current = model
    for part in where:
        field = next((f for name, f in current.model_fields.items() if part in (name, f.alias)), None)
        if field is None:
            continue  # An index, a key of a mapping or the tag of a union: the model stays the same.
        current = next(_models_in(field.annotation), current)
    return [field.alias or name for name, field in current.model_fields.items()]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


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
    return Node(key=key, **plain)


def _limits(parsed: shape.DocumentShape) -> Iterator[Problem]:
    count, deepest = 0, 0
    level: list[tuple[int, Mapping[str, shape.NodeShape]]] = [(1, parsed.nodes)]
    while level:
        depth, nodes = level.pop()
        count += len(nodes)
        deepest = max(deepest, depth)
        level.extend((depth + 1, body.nodes) for node in nodes.values() for body in node.bodies.values())
    split = "Split it into several workflows and call them with `flow.sub_workflow`."
    if count > NODES_MAX:
        yield Problem("document.too_many_nodes", "/nodes", f"{count} nodes; at most {NODES_MAX} are allowed.", split)
    if deepest > NESTING_MAX:
        yield Problem(
            "document.too_deep", "/nodes", f"Bodies nest {deepest} levels; at most {NESTING_MAX} are allowed.", split
        )
