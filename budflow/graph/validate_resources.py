"""What a node asks of the machine it runs on: amounts by names that Ray knows, and conditions on labels."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from budflow.graph.nesting import PlacedGraph
from budflow.model.label import NODE_ID, LabelCondition, is_label
from budflow.model.problem import Problem
from budflow.model.workflow import Node

RESOURCES_MAX = 32
LABELS_MAX = 16
NAME_CHARS_MAX = 100
#: Of a condition, which may name several values.
CONDITION_CHARS_MAX = 1_000

_KNOWN = ("num_cpus", "num_gpus", "memory")
#: What others call them. Any other name is a custom resource.
_FOREIGN: Mapping[str, str] = {
    **dict.fromkeys(("cpu", "cpus", "cores"), "num_cpus"),
    **dict.fromkeys(("gpu", "gpus"), "num_gpus"),
    **dict.fromkeys(("mem", "ram"), "memory"),
}
#: Two names so much alike are one that is written wrongly.
_ALIKE = 0.85


def resource_problems(placed: PlacedGraph, node: Node) -> Iterator[Problem]:
    """The problems of a node's `resources`, its labels among them."""
    where = placed.path("nodes", node.key, "resources")
    if len(node.resources) > RESOURCES_MAX:
        message = f"{len(node.resources)} resources; a node may ask for {RESOURCES_MAX} at most."
        yield Problem("node.too_many_resources", where, message, "Leave out those that every machine has.", "run")
        return
    for name, amount in node.resources.items():
        path = placed.path("nodes", node.key, "resources", name)
        if amount < 0:
            yield Problem("node.resource_negative", path, f"`{name}` is less than nothing.", "Write 0 or more.", "run")
    yield from _label_problems(placed, node)


def misnamed_resources(placed: PlacedGraph, node: Node) -> Iterator[Problem]:
    """The resources that no machine has by this name. They forbid publishing only: a cluster may define what it likes,
    and a draft that runs all the same fails with what the cluster has.
    """
    for name in node.resources:
        path = placed.path("nodes", node.key, "resources", name)
        meant = None if name in _KNOWN else _meant(name)
        if not (name.strip() and name.isascii() and name.isprintable() and len(name) <= NAME_CHARS_MAX):
            message = f"`{name[:NAME_CHARS_MAX]}` cannot be the name of a resource."
            advice = f"Write 1 to {NAME_CHARS_MAX} characters of ASCII."
            yield Problem("node.resource_misnamed", path, message, advice, "publish")
        elif meant in node.resources:
            message = f"`{name}` is what `{meant}` says already."
            yield Problem("node.resource_misnamed", path, message, "Remove it.", "publish")
        elif meant is not None:
            patch = {"op": "move", "from": path, "path": placed.path("nodes", node.key, "resources", meant)}
            message = f"`{name}` is not what it is called here."
            yield Problem("node.resource_misnamed", path, message, f"Did you mean `{meant}`?", "publish", (patch,))


def _meant(name: str) -> str | None:
    """The known resource that somebody who writes this means; None for a custom one."""
    foreign = _FOREIGN.get(name.lower())
    if foreign is not None:
        return foreign
    matches = get_close_matches(name.lower(), _KNOWN, n=1, cutoff=_ALIKE)
    return matches[0] if matches else None


def _label_problems(placed: PlacedGraph, node: Node) -> Iterator[Problem]:
    if len(node.labels) > LABELS_MAX:
        path = placed.path("nodes", node.key, "resources", "labels")
        message = f"{len(node.labels)} labels; a node may ask for {LABELS_MAX} at most."
        yield Problem("node.label_malformed", path, message, "Leave out those that every machine has.", "run")
        return
    for name, condition in node.labels.items():
        path = placed.path("nodes", node.key, "resources", "labels", name)
        if not is_label(name):
            message = f"`{name[:NAME_CHARS_MAX]}` cannot be the name of a label."
            advice = "Write up to 63 letters, digits, `-`, `_` and `.`, before them perhaps a domain and `/`."
            yield Problem("node.label_malformed", path, message, advice, "run")
        elif name == NODE_ID:
            message = f"`{name}` is another after every start of the machine."
            advice = "Give the machine a label of its own (`ray start --labels=tier=gpu`), and ask for that."
            yield Problem("node.label_malformed", path, message, advice, "run")
        elif len(condition) > CONDITION_CHARS_MAX or LabelCondition.parse(condition) is None:
            message = f"`{condition[:NAME_CHARS_MAX]}` is no condition on a label."
            advice = 'Write a value, such as "gpu", or "!gpu", "in(a, b)" or "!in(a, b)".'
            yield Problem("node.label_malformed", path, message, advice, "run")
