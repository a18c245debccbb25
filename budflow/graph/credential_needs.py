"""Which credentials a workflow names, and where: what is looked up before it runs."""

from collections.abc import Iterator
from dataclasses import dataclass

from budflow.graph.nesting import nest
from budflow.graph.validate_credentials import is_reference
from budflow.model.workflow import Workflow
from budflow.nodes.registry import Registry


@dataclass(frozen=True, slots=True)
class CredentialNeed:
    """A node names a credential for a slot, at the JSON Pointer `path`; `kinds` are those that the slot takes.

    A node that is `pinned` needs none in a test run.
    """

    node: str
    slot: str
    reference: str
    kinds: tuple[str, ...]
    path: str
    pinned: bool


def credential_needs(workflow: Workflow, registry: Registry) -> tuple[CredentialNeed, ...]:
    """Every need of nodes that are not disabled, in the order of the document; what the validator refuses is none."""
    return tuple(_needs(workflow, registry))


def _needs(workflow: Workflow, registry: Registry) -> Iterator[CredentialNeed]:
    for placed, node in nest(workflow).nodes():
        if not node.credentials or node.disabled:
            continue
        spec = registry.get(node.type, node.type_version)
        slots = {} if spec is None else spec.credentials
        for slot, reference in node.credentials.items():
            if slot in slots and is_reference(reference):
                path = placed.path("nodes", node.key, "credentials", slot)
                yield CredentialNeed(node.key, slot, reference, slots[slot].kinds, path, node.pinned is not None)
