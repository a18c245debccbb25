"""The workflow document as frozen data, and its stored versions; docs/workflow-format.md describes the format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from budflow.errors import BudflowError
from budflow.model.execution import LimitPolicy

FORMAT = 1
OnError = Literal["stop", "continue", "error_output"]
JournalDepth = Literal["every_node", "segment", "end"]
OnCrash = Literal["resume", "fail", "ask"]
Effect = Literal["pure", "idempotent", "once"]

#: The reserved endpoints of a body: where items enter it, and where they leave.
IN, OUT = "$in", "$out"

DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
NODES_MAX = 500
NESTING_MAX = 16  # Bodies inside one another.
EXPRESSIONS_MAX = 2_000  # In a document: each is compiled while the server waits.
EXPRESSIONS_BYTES_MAX = 12 * 1024 * 1024  # Of all of them, compiled: 5 kB each on average, where a path takes 2 kB.
PROBLEMS_MAX = 100  # Shown of one document.


@dataclass(frozen=True, slots=True)
class Retry:
    """How the failed items of a node are tried again: `tries` counts the first one too."""

    tries: int = 1
    wait_seconds: float = 1.0
    backoff: Literal["fixed", "exponential"] = "exponential"
    jitter: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of an edge: a node's key (or `$in`, `$out` in a body) and a port."""

    node: str
    port: str = "main"


@dataclass(frozen=True, slots=True)
class Edge:
    """What leaves `source` arrives at `target`."""

    source: Endpoint
    target: Endpoint


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a workflow, as the author wrote it; `params` may hold expressions.

    `resources` are the amounts that it asks for, `labels` what it asks of the labels of a Ray node: both are in a
    document's `resources`.
    """

    key: str
    type: str
    type_version: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    bodies: Mapping[str, "Graph"] = field(default_factory=dict)
    on_error: OnError = "stop"
    retry: Retry = Retry()
    timeout_seconds: float | None = None
    disabled: bool = False
    run_once: bool = False
    run_on_empty: bool = False
    effect: Effect | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    pinned: tuple[Mapping[str, Any], ...] | None = None
    notes: str = ""
    position: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by key, in document order, and the edges between them."""

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished executions are kept, and how many; None: as the server has it by default.

    With `succeeded_seconds` of 0 a success is not kept at all.
    """

    succeeded_seconds: int | None = None
    failed_seconds: int | None = None
    executions_max: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a whole workflow.

    At most `max_concurrency` executions with the same `concurrency_key` run at once; a key alone means one.
    `concurrency_key` is a template over the trigger's first item.
    """

    timeout_seconds: float | None = None
    journal: JournalDepth = "every_node"
    on_crash: OnCrash = "resume"
    error_workflow: str | None = None
    max_concurrency: int | None = None
    concurrency_key: str | None = None
    concurrency_policy: LimitPolicy = "queue"
    retention: Retention = Retention()
    priority: int = 0
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Workflow:
    """A parsed document."""

    name: str
    graph: Graph
    settings: Settings = Settings()
    description: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """A stored workflow; its documents are its versions. At most one version is published: its triggers are armed."""

    id: str
    project_id: str
    name: str
    latest_version: int
    published_version: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One immutable save of a workflow. `document` is the JSON object as saved, with every `type_version` pinned."""

    workflow_id: str
    project_id: str
    version: int
    document: Mapping[str, Any]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class WebhookRoute:
    """An armed `trigger.webhook`: `path` is a pattern such as `orders/{shop}`, `shape` the same with every parameter as
    `{}`; a (method, shape) belongs to one workflow of the whole server.
    """

    project_id: str
    workflow_id: str
    version: int
    node: str
    method: str
    path: str
    shape: str


class WorkflowNotFound(BudflowError):
    """No workflow has this id."""

    code = "workflow.not_found"
    http_status = 404
    hint = "List those you may see with `list_workflows` or `budflow workflow list`."


class VersionNotFound(BudflowError):
    """The workflow has no such version."""

    code = "workflow.version_not_found"
    http_status = 404
    hint = "Read the workflow to see its latest and its published version."


class VersionConflict(BudflowError):
    """The workflow was changed since the version you started from."""

    code = "workflow.version_conflict"
    http_status = 409
    hint = "Read the latest version, make your change on it and send its number as `expected_version`."


class WebhookTaken(BudflowError):
    """Another workflow's webhook already has this method and path."""

    code = "webhook.taken"
    http_status = 409
    hint = "Choose another path, or unpublish the other workflow first."


class NotPublished(BudflowError):
    """The workflow has no published version."""

    code = "workflow.not_published"
    http_status = 409
    hint = "Publish it first, or name the version to run."
