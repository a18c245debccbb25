"""The shape of a workflow document at the edge: what pydantic checks before anything is understood.

An agent reads the descriptions as hints, so each says what to write.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from budflow.model import workflow as model
from budflow.model.execution import LimitPolicy

KEY_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
ENDPOINT_PATTERN = r"^(\$in|\$out|[a-z][a-z0-9_]{0,63})(\.[a-z][a-z0-9_]{0,63})?$"
ID_PATTERN = r"^[A-Za-z0-9_-]{1,100}$"
ONE_LINE_PATTERN = r"^[^\x00-\x1f\x7f]*$"

_SECONDS_MAX = 315_360_000  # Ten years.
_COUNT_MAX = 1_000_000_000

Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
EndpointText = Annotated[str, StringConstraints(pattern=ENDPOINT_PATTERN)]

_END = "A node's key, or `key.port`; without a port it is `main`."
_NODES = 'Nodes by key, such as {"fetch": {"type": "http.request", "params": {…}}}.'
_EDGES = 'Edges, such as [{"from": "check.true", "to": "fetch"}].'
_BODIES = (
    'The inner graphs of a container by name, such as {"body": {"nodes": {…}, "edges": '
    '[{"from": "$in", "to": "price"}, {"from": "price", "to": "$out"}]}}.'
)


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RetryShape(_Shape):
    """How failed items are tried again."""

    tries: int = Field(1, ge=1, le=100, description="How often an item is tried at most, the first time included.")
    wait_seconds: float = Field(1.0, ge=0, le=86_400, description="The pause before the second try, in seconds.")
    backoff: Literal["fixed", "exponential"] = Field("exponential", description="How the pause grows.")
    jitter: bool = Field(True, description="Whether the pause varies a little, so that many do not retry at once.")


class EdgeShape(_Shape):
    """What leaves one port arrives at another."""

    source: EndpointText = Field(alias="from", description=f"Where items leave. {_END}")
    target: EndpointText = Field(alias="to", description=f"Where they arrive. {_END}")


class ResourcesShape(_Shape):
    """Amounts by name, and beside them labels of the Ray node."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float]

    labels: dict[str, str] = Field(
        default_factory=dict, description='Labels that it must have; "!eu": not this, "in(a, b)": one of them.'
    )


class NodeShape(_Shape):
    """One step."""

    type: str = Field(description="The node type, such as `http.request`; search them with `search_nodes`.")
    type_version: int | None = Field(None, ge=1, description="The version of the type; pinned to the newest at save.")
    params: dict[str, Any] = Field(default_factory=dict, description="The parameters of the type, by name.")
    credentials: dict[str, str] = Field(
        default_factory=dict,
        description='Names or ids of credentials by the slot of the type, such as {"auth": "crm-token"}; never values.',
    )
    bodies: dict[Key, "GraphShape"] = Field(default_factory=dict, description=_BODIES)
    on_error: model.OnError = Field("stop", description="What a failure does after the retries.")
    retry: RetryShape = Field(
        default_factory=lambda: RetryShape(), description='How failed items are tried again, such as {"tries": 3}.'
    )
    timeout_seconds: float | None = Field(None, gt=0, le=86_400, description="How long one run of the node may take.")
    disabled: bool = Field(False, description="Passes its input through instead of running; a trigger never fires.")
    run_once: bool = Field(False, description="Sees only the first item.")
    run_on_empty: bool = Field(False, description="Runs also when no item arrives.")
    effect: model.Effect | None = Field(None, description="Overrides what the type says of its effect outside.")
    resources: ResourcesShape = Field(
        default_factory=lambda: ResourcesShape(),
        description='What it needs on Ray, such as {"num_cpus": 2, "labels": {"tier": "gpu"}}.',
    )
    pinned: list[dict[str, Any]] | None = Field(
        None, description="What it gives in test runs instead of running, as the data of items."
    )
    notes: str = Field("", max_length=10_000, description="For readers.")
    position: tuple[float, float] | None = Field(
        None, strict=False, description="Where an editor draws it: [x, y]."
    )  # Not strict about the array, which pydantic tells from a tuple; its numbers still are.


class GraphShape(_Shape):
    """Nodes by key and the edges between them."""

    nodes: dict[Key, NodeShape] = Field(description=_NODES)
    edges: list[EdgeShape] = Field(default_factory=list, description=_EDGES)


class RetentionShape(_Shape):
    """What is kept of finished executions. Null: as the server has it by default."""

    succeeded_seconds: int | None = Field(
        None, ge=0, le=_SECONDS_MAX, description="How long a success is kept, in seconds; 0: not at all."
    )
    failed_seconds: int | None = Field(
        None, ge=0, le=_SECONDS_MAX, description="How long one that failed or was cancelled is kept, in seconds."
    )
    executions_max: int | None = Field(
        None, ge=1, le=_COUNT_MAX, description="How many finished executions of this workflow are kept at most."
    )


class SettingsShape(_Shape):
    """What holds for the whole workflow."""

    timeout_seconds: float | None = Field(
        None, gt=0, le=31_536_000, description="How long an execution may take, in seconds; null: as long as it needs."
    )
    journal: model.JournalDepth = Field("every_node", description="How much of pure nodes is kept.")
    on_crash: model.OnCrash = Field("resume", description="What becomes of an unfinished effect after a crash.")
    error_workflow: str | None = Field(
        None, pattern=ID_PATTERN, description="Id of another workflow, which is run when an execution fails."
    )
    max_concurrency: int | None = Field(
        None, ge=1, le=_COUNT_MAX, description="How many executions with equal concurrency keys may run at once."
    )
    concurrency_key: str | None = Field(
        None,
        min_length=1,
        max_length=1_000,
        description="Executions with equal keys count together, such as `{{ $json.body.customer }}` of the trigger's "
        "first item; without `max_concurrency` only one of them runs at once.",
    )
    concurrency_policy: LimitPolicy = Field(
        "queue",
        description="What becomes of a further execution: it waits, it is dropped, or the oldest gives way to it.",
    )
    retention: RetentionShape = Field(
        default_factory=lambda: RetentionShape(),
        description='What is kept of finished executions, such as {"succeeded_seconds": 3600}.',
    )
    priority: int = Field(0, ge=-100, le=100, description="Executions of higher priority are claimed first.")
    timezone: str = Field("UTC", description="A name of the IANA database, such as `Europe/Vienna`.")


class DocumentShape(_Shape):
    """A whole workflow document."""

    format: Literal[1] = Field(description="The version of this format: 1.")
    name: str = Field(min_length=1, max_length=200, pattern=ONE_LINE_PATTERN, description="One line, for people.")
    description: str = Field("", max_length=10_000, description="What the workflow is for.")
    nodes: dict[Key, NodeShape] = Field(description=_NODES)
    edges: list[EdgeShape] = Field(default_factory=list, description=_EDGES)
    settings: SettingsShape = Field(
        default_factory=lambda: SettingsShape(),
        description='What holds for the whole, such as {"timeout_seconds": 60}.',
    )


NodeShape.model_rebuild()
