"""The one validator: behind validate, create, update, publish and run. It reports every problem at once.

What is wrong with the structure (edges, cycles, limits) forbids saving; a draft may wait for its node types, its
parameters and its trigger, and only cannot run.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from budflow.graph.cycles import ancestors
from budflow.graph.params import expression_texts
from budflow.graph.parse import parse
from budflow.graph.suggest import hint
from budflow.graph.validate_edges import cycle_problems, edge_problems, reach_problems
from budflow.graph.validate_params import params_problems
from budflow.model.node import Kind, NodeSpec
from budflow.model.problem import Blocks, Problem, WorkflowInvalid, pointer
from budflow.model.workflow import EXPRESSIONS_MAX, PROBLEMS_MAX, Node, Settings, Workflow
from budflow.nodes.registry import Registry

#: What the format has and this release does not act on: refused rather than silently ignored.
SETTINGS_UNAVAILABLE = ("journal", "on_crash", "error_workflow", "max_concurrency", "concurrency_key")
#: ZoneInfo looks for a file and then for a module of this name: with dots in it, it may do anything.
ZONE_PATTERN = r"[A-Za-z0-9_+/-]{1,64}"


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
    more = Problem("document.more_problems", "", "There are more problems than these.", advice, found[-1].blocks)
    return (*found[:-1], more)


def _problems(workflow: Workflow, registry: Registry) -> Iterator[Problem]:
    nodes = workflow.graph.nodes
    found = {key: registry.get(node.type, node.type_version) for key, node in nodes.items()}
    specs = {key: spec for key, spec in found.items() if spec is not None}
    yield from edge_problems(workflow, specs)
    yield from cycle_problems(workflow.graph)
    yield from _body_problems(workflow)
    texts = {key: [text for _, text in expression_texts(node.params)] for key, node in nodes.items()}
    too_many = tuple(_expression_limit(texts.values()))
    yield from too_many
    upstream = ancestors(workflow.graph, [key for key, own in texts.items() if any("$node" in text for text in own)])
    for key, node in nodes.items():
        spec = specs.get(key)
        if spec is None:
            yield _unknown_type(node, registry)
        else:
            yield from _node_problems(node, spec)
            if not too_many:
                yield from params_problems(workflow, node, spec, upstream.get(key, frozenset()))
    yield from _settings_problems(workflow.settings)
    yield from reach_problems(workflow, specs)


def _body_problems(workflow: Workflow) -> Iterator[Problem]:
    for key, node in workflow.graph.nodes.items():
        if node.bodies:
            yield Problem(
                "node.no_bodies",
                f"/nodes/{key}/bodies",
                f"`{node.type}` takes no bodies.",
                "Remove `bodies`; put its nodes beside the others, or into a workflow called by `flow.sub_workflow`.",
                patch=({"op": "remove", "path": f"/nodes/{key}/bodies"},),
            )


def _expression_limit(texts: Iterable[list[str]]) -> Iterator[Problem]:
    count = sum(text.count("{{") for own in texts for text in own)
    if count > EXPRESSIONS_MAX:
        yield Problem(
            "document.too_many_expressions",
            "/nodes",
            f"{count} expressions; at most {EXPRESSIONS_MAX} are allowed.",
            "Split it into several workflows and call them with `flow.sub_workflow`.",
        )


def _unknown_type(node: Node, registry: Registry) -> Problem:
    newest = registry.get(node.type)
    if newest is not None:
        path = f"/nodes/{node.key}/type_version"
        message = f"`{node.type}` has no version {node.type_version}."
        advice = f"The newest version is {newest.version}; leave `type_version` out to take it."
        patch: tuple[dict[str, Any], ...] = ({"op": "replace", "path": path, "value": newest.version},)
        return Problem("node.unknown_version", path, message, advice, "run", patch)
    path = f"/nodes/{node.key}/type"
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


def _node_problems(node: Node, spec: NodeSpec) -> Iterator[Problem]:
    path = f"/nodes/{node.key}"
    if node.credentials:
        message = "This release keeps no credentials."
        yield Problem("credential.unavailable", f"{path}/credentials", message, "Leave `credentials` out.", "run")
    if node.pinned is not None:
        message = "This release does not act on `pinned`."
        yield Problem("node.unavailable", f"{path}/pinned", message, "Leave `pinned` out.", "run")
    for name, amount in node.resources.items():
        if amount < 0:
            where = pointer("nodes", node.key, "resources", name)
            yield Problem("node.resource_negative", where, f"`{name}` is less than nothing.", "Write 0 or more.", "run")
    for field, given, kinds in (
        ("resources", bool(node.resources), {"control"}),
        ("timeout_seconds", node.timeout_seconds is not None, {"control"}),
        ("retry", node.retry.tries > 1, {"control", "batch", "list"}),
    ):
        if given and spec.kind in kinds:
            message = f"`{node.type}` takes no `{field}`: {_WITHOUT[spec.kind]}."
            yield Problem("node.field_without_effect", f"{path}/{field}", message, f"Remove `{field}`.", "run")


def _settings_problems(settings: Settings) -> Iterator[Problem]:
    if not _is_time_zone(settings.timezone):
        message = f"There is no time zone `{settings.timezone[:100]}`."
        advice = f"{hint(settings.timezone, available_timezones(), 'time zone')} Names are those of the IANA database."
        yield Problem("settings.unknown_timezone", "/settings/timezone", message, advice, "run")
    default = Settings()
    for name in SETTINGS_UNAVAILABLE:
        if getattr(settings, name) != getattr(default, name):
            message = f"This release does not act on `{name}`."
            yield Problem("settings.unavailable", f"/settings/{name}", message, "Leave it out.", "run")


def _is_time_zone(name: str) -> bool:
    if not re.fullmatch(ZONE_PATTERN, name):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
