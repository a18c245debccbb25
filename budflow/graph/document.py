"""The shape of a workflow document at the edge: what pydantic checks before anything is understood."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from budflow.model import workflow as model

KEY_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
PORT_PATTERN = KEY_PATTERN
ENDPOINT_PATTERN = r"^(\$in|\$out|[a-z][a-z0-9_]{0,63})(\.[a-z][a-z0-9_]{0,63})?$"

Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
EndpointText = Annotated[str, StringConstraints(pattern=ENDPOINT_PATTERN)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)


class RetryShape(_Shape):
    """How failed items are tried again."""

    tries: int = Field(1, ge=1, le=100, description="How often an item is tried at most, the first time included.")
    wait_seconds: float = Field(1.0, ge=0, le=86_400, description="The pause before the second try.")
    backoff: Literal["fixed", "exponential"] = Field("exponential", description="How the pause grows.")
    jitter: bool = Field(True, description="Whether the pause varies a little, so that many do not retry at once.")


class EdgeShape(_Shape):
    """What leaves one port arrives at another."""

    source: EndpointText = Field(alias="from", description="A node's key, or `key.port`; no port means `main`.")
    target: EndpointText = Field(alias="to", description="A node's key, or `key.port`; no port means `main`.")


class NodeShape(_Shape):
    """One step."""

    type: str = Field(description="The node type, such as `http.request`; search them with `search_nodes`.")
    type_version: int | None = Field(None, ge=1, description="The version of the type; pinned to the newest at save.")
    params: dict[str, Any] = Field(default_factory=dict, description="The parameters of the type.")
    credentials: dict[str, str] = Field(default_factory=dict, description="Names of credentials by their role.")
    bodies: dict[Key, "GraphShape"] = Field(default_factory=dict, description="The inner graphs of a container.")
    on_error: model.OnError = Field("stop", description="What a failure does after the retries.")
    retry: RetryShape = Field(default_factory=lambda: RetryShape())
    timeout_seconds: float | None = Field(None, gt=0, le=86_400, description="How long one run of the node may take.")
    disabled: bool = Field(False, description="Passes its input through instead of running.")
    run_once: bool = Field(False, description="Sees only the first item.")
    run_on_empty: bool = Field(False, description="Runs also when no item arrives.")
    effect: model.Effect | None = Field(None, description="Overrides what the type says of its effect outside.")
    resources: dict[str, float] = Field(default_factory=dict, description="What it needs on Ray, such as `num_cpus`.")
    pinned: list[dict[str, Any]] | None = Field(None, description="Fixed output for test runs.")
    notes: str = Field("", max_length=10_000, description="For readers.")
    position: tuple[float, float] | None = Field(None, strict=False, description="Where an editor draws it.")


class GraphShape(_Shape):
    """Nodes by key and the edges between them."""

    nodes: dict[Key, NodeShape]
    edges: list[EdgeShape] = Field(default_factory=list)


class SettingsShape(_Shape):
    """What holds for the whole workflow."""

    timeout_seconds: float | None = Field(None, gt=0, le=31_536_000)
    journal: model.JournalDepth = "every_node"
    on_crash: model.OnCrash = "resume"
    error_workflow: str | None = None
    max_concurrency: int | None = Field(None, ge=1)
    concurrency_key: str | None = None
    priority: int = Field(0, ge=-100, le=100)
    timezone: str = "UTC"


class DocumentShape(_Shape):
    """A whole workflow document."""

    format: Literal[1] = Field(description="The version of this format.")
    name: str = Field(min_length=1, max_length=200)
    description: str = Field("", max_length=10_000)
    nodes: dict[Key, NodeShape]
    edges: list[EdgeShape] = Field(default_factory=list)
    settings: SettingsShape = Field(default_factory=lambda: SettingsShape())


NodeShape.model_rebuild()
