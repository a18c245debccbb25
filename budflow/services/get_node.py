"""get_node: one node type with its parameters, ports and examples."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from budflow.errors import BudflowError
from budflow.graph.suggest import hint
from budflow.model.credential_kind import CredentialSlot
from budflow.model.node import NodeSpec
from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, View, use_case


class NodeTypeNotFound(BudflowError):
    """There is no such node type."""

    code = "node.type_not_found"
    http_status = 404
    hint = "Search the types with `search_nodes`."


class NodeVersionNotFound(BudflowError):
    """The node type has no such version."""

    code = "node.version_not_found"
    http_status = 404
    hint = "Leave the version out for the newest."


class GetNode(RequestModel):
    """Which node type."""

    type: str = Field(description="Such as `http.request`.")
    version: int | None = Field(None, ge=1, description="The newest when left out.")


class NodeExampleView(View):
    """An example that is known to work, since a test replays it."""

    title: str
    params: dict[str, Any]
    given: Any
    expect: Any


class CredentialSlotView(View):
    """A role that the type gives a credential."""

    description: str
    kinds: list[str] = Field(description="The kinds that it takes; empty: every kind that signs HTTP requests.")
    required: bool

    @staticmethod
    def of(slot: CredentialSlot) -> "CredentialSlotView":
        """From its declaration."""
        return CredentialSlotView(description=slot.description, kinds=list(slot.kinds), required=slot.required)


class NodeTypeView(View):
    """A node type, whole."""

    type: str
    version: int
    summary: str
    description: str
    kind: str
    effect: str = Field(description="`pure`, `idempotent`, `once`, or `by parameters`.")
    trigger: bool
    inputs: list[str] | str = Field(description="Input ports, or `by parameters`.")
    outputs: list[str] | str = Field(description="Output ports, or `by parameters`; `error` comes with `on_error`.")
    params: dict[str, Any] = Field(description="JSON Schema of `params`. Any string may hold `{{ expressions }}`.")
    credentials: dict[str, CredentialSlotView] = Field(
        description="The slots for credentials, by name; a node names one for each in its `credentials`."
    )
    examples: list[NodeExampleView]


@use_case("node:read")
async def get_node(services: Services, principal: Principal, request: GetNode) -> NodeTypeView:
    """Read a node type: its parameters as JSON Schema, its ports, its slots for credentials, and examples that work."""
    spec = services.registry.get(request.type, request.version)
    newest = services.registry.get(request.type)
    if spec is None and newest is not None:
        raise NodeVersionNotFound(
            f"`{request.type}` has no version {request.version}.", hint=f"Its newest version is {newest.version}."
        )
    if spec is None:
        names = [known.name for known in services.registry.types()]
        raise NodeTypeNotFound(f"There is no node type `{request.type}`.", hint=hint(request.type, names, "node type"))
    return NodeTypeView(
        type=spec.name,
        version=spec.version,
        summary=spec.summary,
        description=spec.description,
        kind=spec.kind,
        effect=spec.effect if isinstance(spec.effect, str) else "by parameters",
        trigger=spec.trigger,
        inputs=list(spec.inputs) if isinstance(spec.inputs, tuple) else "by parameters",
        outputs=list(spec.outputs) if isinstance(spec.outputs, tuple) else "by parameters",
        params=services.registry.schema(spec),
        credentials={name: CredentialSlotView.of(slot) for name, slot in spec.credentials.items()},
        examples=_examples(spec),
    )


def _examples(spec: NodeSpec) -> list[NodeExampleView]:
    return [
        NodeExampleView(
            title=example.title,
            params=dict(example.params),
            given=_lists(example.given),
            expect=_lists(example.expect),
        )
        for example in spec.examples
    ]


def _lists(items: Any) -> Any:
    return {port: list(values) for port, values in items.items()} if isinstance(items, Mapping) else list(items)
