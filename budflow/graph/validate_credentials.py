"""The validator's part for a node's `credentials`: the slots of its type, and references that could name one.

Whether there is such a credential, and whether the workflow may use it, is asked where the workflow is stored.
"""

import re
from collections.abc import Iterator
from typing import Any

from budflow.graph.nesting import PlacedGraph
from budflow.graph.suggest import closest, hint
from budflow.model.credential import NAME_PATTERN
from budflow.model.node import NodeSpec
from budflow.model.problem import Problem
from budflow.model.workflow import Node

ID_PATTERN = r"^crd_[0-9a-f]{32}$"


def is_reference(text: str) -> bool:
    """Whether a credential could have this name or id."""
    return re.fullmatch(NAME_PATTERN, text) is not None or re.fullmatch(ID_PATTERN, text) is not None


def credential_problems(placed: PlacedGraph, node: Node, spec: NodeSpec) -> Iterator[Problem]:
    """Slots that the type has not, required ones that are empty, and what cannot be the name of a credential."""
    path = placed.path("nodes", node.key, "credentials")
    if node.credentials and not spec.credentials:
        message = f"`{node.type}` takes no credentials."
        patch: tuple[dict[str, Any], ...] = ({"op": "remove", "path": path},)
        yield Problem("credential.slot_unknown", path, message, "Remove `credentials`.", "run", patch)
        return
    for slot, reference in node.credentials.items():
        where = placed.path("nodes", node.key, "credentials", slot)
        if slot not in spec.credentials:
            yield _unknown_slot(placed, node, spec, slot)
        elif not is_reference(reference):
            message = "This is no name of a credential: those are of lower-case letters, digits, `.`, `_` and `-`."
            advice = "Write the name or the id of a credential; `list_credentials` shows them."
            yield Problem("credential.reference_malformed", where, message, advice, "run")
        else:
            yield from _given_twice(placed, node, slot, spec.credentials[slot].instead_of)
    for slot, declared in spec.credentials.items():
        if declared.required and slot not in node.credentials:
            message = f"`{node.type}` needs a credential as `{slot}`: {declared.description}"
            advice = f'Write `"credentials": {{"{slot}": "NAME"}}`; `list_credentials` shows the names.'
            yield Problem("credential.slot_missing", path, message, advice, "run")


def _given_twice(placed: PlacedGraph, node: Node, slot: str, parameter: str | None) -> Iterator[Problem]:
    if parameter is None or node.params.get(parameter) is None:
        return
    message = f"The credential `{slot}` and the parameter `{parameter}` say the same in two ways."
    patch: tuple[dict[str, Any], ...] = ({"op": "remove", "path": placed.path("nodes", node.key, "params", parameter)},)
    where = placed.path("nodes", node.key, "credentials", slot)
    yield Problem("credential.given_twice", where, message, f"Remove `{parameter}`, or the credential.", "run", patch)


def _unknown_slot(placed: PlacedGraph, node: Node, spec: NodeSpec, slot: str) -> Problem:
    path = placed.path("nodes", node.key, "credentials", slot)
    message = f"`{node.type}` has no slot `{slot[:80]}` for a credential."
    match = closest(slot, spec.credentials.keys() - node.credentials.keys())
    patch: tuple[dict[str, Any], ...] = ()
    if match is not None:
        patch = ({"op": "move", "from": path, "path": placed.path("nodes", node.key, "credentials", match)},)
    return Problem("credential.slot_unknown", path, message, hint(slot, spec.credentials, "slot"), "run", patch)
