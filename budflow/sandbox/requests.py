"""What a requester and sandboxd say to each other on `sandboxd.sock`: several tasks at once, each with its id.

Each message is one text frame of a WebSocket, a JSON object with a `type`, as between workers and the broker
(`messages.py`). A requester speaks for the project of its ticket. A task goes: `submit` → (`items_wanted` → `items`)*,
`log`*, `progress`*, `part`*, then `done` or `failed`; `cancel` ends it sooner, without an answer.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from budflow.sandbox.access import TICKET_BYTES_MAX
from budflow.sandbox.image_requests import FindImage, Prepare, RemoveImage
from budflow.sandbox.messages import Index, Short, TaskId, Text

REQUESTS_VERSION = 1
#: A worker's frame comes on in another shape, and with it stands who it is for.
REQUEST_FRAME_BYTES_MAX = 8 * 1024 * 1024
#: With these three a task fits the frame of a worker, whatever its first items are.
CODE_BYTES_MAX = 1024 * 1024
PARAMS_BYTES_MAX = 1024 * 1024
ITEM_BYTES_MAX = 1024 * 1024
NETWORK_HOSTS_MAX = 100
REQUIREMENTS_MAX = 100

#: A name has up to 253 characters (RFC 1035), and there may be `*.` before it and a port behind.
Host = Annotated[str, Field(max_length=300)]


class Request(BaseModel):
    """One message, of a direction that its group says."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# --- from the requester ----------------------------------------------------------------------------------------------


class Greeting(Request):
    """The first message. With `project` or `image` a ticket for another one is refused."""

    type: Literal["greeting"] = "greeting"
    version: int = REQUESTS_VERSION
    ticket: Annotated[str, Field(max_length=TICKET_BYTES_MAX)]
    project: Short | None = None
    image: Short | None = None


class Submit(Request):
    """Run this. `items` are the first of `item_count` that fit a part."""

    type: Literal["submit"] = "submit"
    task_id: TaskId
    name: Short
    mode: Literal["all", "each", "function"]
    code: Annotated[str, Field(max_length=CODE_BYTES_MAX)]
    params: dict[str, Any] = Field(default_factory=dict)
    now: Short
    seed: Short
    item_count: Index
    items: list[dict[str, Any]]
    requirements: Annotated[list[Short], Field(max_length=REQUIREMENTS_MAX)] = Field(default_factory=list)
    network: Annotated[list[Host], Field(max_length=NETWORK_HOSTS_MAX)] = Field(default_factory=list)
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400, strict=False)]
    memory_mb: Annotated[int, Field(gt=0, le=1_048_576)]


class Items(Request):
    """The items from the start that was asked for on, at least one, as many as fit a part."""

    type: Literal["items"] = "items"
    task_id: TaskId
    request: Index
    items: Annotated[list[dict[str, Any]], Field(min_length=1)]


class ItemsRefused(Request):
    """The items cannot be given: one of them is no JSON, or too large. The task fails."""

    type: Literal["items_refused"] = "items_refused"
    task_id: TaskId
    request: Index


class Abandon(Request):
    """Nobody wants the task any more."""

    type: Literal["abandon"] = "abandon"
    task_id: TaskId


class Describe(Request):
    """How is the sandbox?"""

    type: Literal["describe"] = "describe"
    request: Index


# --- from sandboxd ---------------------------------------------------------------------------------------------------


class Greeted(Request):
    """The answer to `greeting`."""

    type: Literal["greeted"] = "greeted"
    version: int = REQUESTS_VERSION
    isolation: str


class ItemsWanted(Request):
    """The code touches these items."""

    type: Literal["items_wanted"] = "items_wanted"
    task_id: TaskId
    request: Index
    start: Index
    stop: Index


class LogLine(Request):
    """A line that the code logged."""

    type: Literal["log"] = "log"
    task_id: TaskId
    level: Literal["debug", "info", "warning", "error"]
    message: Text
    fields: dict[str, Any] = Field(default_factory=dict)
    item: int | None = None


class Advance(Request):
    """How far the code is, or what the sandbox does before it runs."""

    type: Literal["progress"] = "progress"
    task_id: TaskId
    fraction: float | None = None
    message: Short = ""


class Part(Request):
    """A part of the result: `items` as `messages.ResultItem`, `failed` as `messages.Trouble`."""

    type: Literal["part"] = "part"
    task_id: TaskId
    items: list[dict[str, Any]]
    failed: list[dict[str, Any]]


class Done(Request):
    """The task is done; where, and how long it waited and ran."""

    type: Literal["done"] = "done"
    task_id: TaskId
    isolation: str
    image: str
    worker: str
    queued_seconds: float
    ran_seconds: float


class Failed(Request):
    """The task failed, by an error of `budflow.model.sandbox`."""

    type: Literal["failed"] = "failed"
    task_id: TaskId
    code: str
    message: str
    hint: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


class Described(Request):
    """The answer to `describe`."""

    type: Literal["described"] = "described"
    request: Index
    status: dict[str, Any]


FromRequester = Annotated[
    Greeting | Submit | Items | ItemsRefused | Abandon | Describe | Prepare | FindImage | RemoveImage,
    Field(discriminator="type"),
]
FROM_REQUESTER: TypeAdapter[Any] = TypeAdapter(FromRequester)
