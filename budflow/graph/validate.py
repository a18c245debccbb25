"""The one validator: behind validate, create, update, publish and run. It reports every problem at once.

What is wrong with the structure (edges, cycles, limits) forbids saving; a draft may wait for its node types, its
parameters and its trigger, and only cannot run.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from budflow.graph.expression_room import ExpressionRoom
from budflow.graph.nesting import Nesting, PlacedGraph, nest
from budflow.graph.params import expression_texts
from budflow.graph.parse import parse
from budflow.graph.suggest import hint
from budflow.graph.validate_bodies import body_problems, refused_bodies
from budflow.graph.validate_credentials import credential_problems
from budflow.graph.validate_edges import Specs, cycle_problems, edge_problems
from budflow.graph.validate_params import params_problems
from budflow.graph.validate_reach import flow_problems, trigger_problems
from budflow.graph.validate_resources import misnamed_resources, resource_problems
from budflow.graph.validate_settings import settings_problems
from budflow.model.node import Kind, NodeSpec
from budflow.model.problem import Blocks, Problem, WorkflowInvalid
from budflow.model.workflow import EXPRESSIONS_MAX, PROBLEMS_MAX, Node, Workflow
from budflow.nodes.registry import Registry

#: What forbids saving comes first, what forbids only publishing last.
_ORDER: tuple[Blocks, ...] = ("save", "run", "publish")
_MORE = "document.more_problems"


@dataclass(frozen=True, slots=True)
class Checked:
    """What the validator found. `workflow` is None when the shape itself is broken."""

    workflow: Workflow | None
    problems: tuple[Problem, ...]

    def blocking(self, step: Blocks) -> tuple[Problem, ...]:
        """The problems that forbid `step`: a workflow that may not be saved may not be published or run either."""
        return tuple(problem for problem in self.problems if _forbids(problem.blocks, step))

    def require(self, step: Blocks) -> Workflow:
        """The workflow, or WorkflowInvalid with all problems when one of them forbids `step`."""
        if self.workflow is None or self.blocking(step):
            raise WorkflowInvalid(problems=self.problems)
        return self.workflow

    def with_problems(self, more: Iterable[Problem]) -> "Checked":
        """The same with what was found besides, in the order in which the validator tells problems."""
        added = tuple(more)
        if not added:
            return self
        known = (problem for problem in self.problems if problem.code != _MORE)
        every = sorted((*known, *added), key=lambda problem: _ORDER.index(problem.blocks))
        return Checked(self.workflow, _first(every))


def check(data: object, registry: Registry) -> Checked:
    """Parse and validate a document given as plain JSON data; the first PROBLEMS_MAX problems are told."""
    try:
        workflow = parse(data)
    except WorkflowInvalid as error:
        return Checked(None, _first(error.problems))
    return Checked(workflow, _first(_problems(workflow, registry)))


def _forbids(blocks: Blocks, step: Blocks) -> bool:
    # What cannot be saved or run cannot be published either; a draft that cannot be published may still run by hand.
    return blocks in ("save", step) or (blocks, step) == ("run", "publish")


def _first(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    found = tuple(islice(problems, PROBLEMS_MAX + 1))
    if len(found) <= PROBLEMS_MAX:
        return found
    advice = "Mend these first, and check again."
    # The problems come with those that forbid most at the front, so that none that is left out forbids more.
    more = Problem(_MORE, "", "There are more problems than these.", advice, found[-1].blocks)
    return (*found[:-1], more)


def _problems(workflow: Workflow, registry: Registry) -> Iterator[Problem]:
    nesting = nest(workflow)
    found = {node.key: registry.get(node.type, node.type_version) for _, node in nesting.nodes()}
    specs = {key: spec for key, spec in found.items() if spec is not None}
    # In the order of _ORDER; see `_first`.
    for placed in nesting.graphs:
        yield from edge_problems(nesting, placed, specs)
        yield from cycle_problems(placed)
    for placed in nesting.graphs:
        yield from refused_bodies(placed, specs)
    texts = {node.key: _texts(node, specs.get(node.key)) for _, node in nesting.nodes()}
    too_many = tuple(_expression_limit([*texts.values(), [workflow.settings.concurrency_key or ""]]))
    yield from too_many
    yield from _all_node_problems(nesting, registry, specs, None if too_many else texts)
    yield from settings_problems(workflow.settings)
    own, *bodies = nesting.graphs
    yield from trigger_problems(own, specs)
    for placed in bodies:
        yield from flow_problems(placed, specs)
    for placed, node in nesting.nodes():
        yield from misnamed_resources(placed, node)


def _texts(node: Node, spec: NodeSpec | None) -> list[str]:
    return [text for _, text in expression_texts(node.params, None if spec is None else spec.params)]


def _all_node_problems(
    nesting: Nesting, registry: Registry, specs: Specs, texts: Mapping[str, list[str]] | None
) -> Iterator[Problem]:
    """The problems of every node; those of its parameters only where `texts`, its expressions, are to be looked at."""
    readers = [key for key, own in (texts or {}).items() if any("$node" in text for text in own)]
    readable = nesting.readable(readers)
    room = ExpressionRoom()
    for placed, node in nesting.nodes():
        spec = specs.get(node.key)
        if spec is None:
            yield _unknown_type(placed, node, registry)
            continue
        yield from _node_problems(placed, node, spec)
        yield from credential_problems(placed, node, spec)
        yield from body_problems(placed, node, spec)
        if texts is not None and not room.full:
            yield from params_problems(nesting, node, spec, readable.get(node.key, frozenset()), room)


def _expression_limit(texts: Iterable[list[str]]) -> Iterator[Problem]:
    count = sum(text.count("{{") for own in texts for text in own)
    if count > EXPRESSIONS_MAX:
        yield Problem(
            "document.too_many_expressions",
            "/nodes",
            f"{count} expressions; at most {EXPRESSIONS_MAX} are allowed.",
            "Split it into several workflows and call them with `flow.sub_workflow`.",
        )


def _unknown_type(placed: PlacedGraph, node: Node, registry: Registry) -> Problem:
    newest = registry.get(node.type)
    if newest is not None:
        path = placed.path("nodes", node.key, "type_version")
        message = f"`{node.type}` has no version {node.type_version}."
        advice = f"The newest version is {newest.version}; leave `type_version` out to take it."
        patch: tuple[dict[str, Any], ...] = ({"op": "replace", "path": path, "value": newest.version},)
        return Problem("node.unknown_version", path, message, advice, "run", patch)
    path = placed.path("nodes", node.key, "type")
    match = registry.closest(node.type)
    message = f"There is no node type `{node.type[:100]}`."
    if match is not None:
        patch = ({"op": "replace", "path": path, "value": match},)
        return Problem("node.unknown_type", path, message, f"Did you mean `{match}`?", "run", patch)
    names = [spec.name for spec in registry.types()]
    advice = f"{hint(node.type, names, 'node type')} Search for others with `search_nodes`."
    return Problem("node.unknown_type", path, message, advice, "run")


#: Why a field that belongs to every node says nothing to nodes of a kind.
_WITHOUT: Mapping[Kind, str] = {
    "control": "it only decides what happens next",
    "batch": "it computes, and would only fail again",
    "list": "it computes, and would only fail again",
}


def _node_problems(placed: PlacedGraph, node: Node, spec: NodeSpec) -> Iterator[Problem]:
    yield from resource_problems(placed, node)
    for field, given, in_vain in (
        ("resources", bool(node.resources or node.labels), spec.kind == "control" or spec.sandboxed),
        ("retry", node.retry.tries > 1, spec.kind != "item" and not spec.sandboxed),
    ):
        if given and in_vain:
            path = placed.path("nodes", node.key, field)
            why = "its parameters say what it may use of the sandbox" if spec.sandboxed else _WITHOUT[spec.kind]
            message = f"`{node.type}` takes no `{field}`: {why}."
            yield Problem("node.field_without_effect", path, message, f"Remove `{field}`.", "run")
