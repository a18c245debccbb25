"""What a requester and sandboxd say to each other on `sandboxd.sock` (docs/task_runner.md): several tasks at once.

Each message is one text frame of a WebSocket, a JSON object with a `type`, as between workers and the broker
(`messages.py`). A requester speaks for the project of its ticket. A task goes: `submit` → (`items_wanted` → `items`)*,
`log`*, `progress`*, `part`*, then `done` or `failed`; `abandon` ends it sooner, without an answer.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field, TypeAdapter

from budflow.model.item import Json
from budflow.model.log import Level
from budflow.model.sandbox import CodeMode, Isolation
from budflow.sandbox.access import TICKET_BYTES_MAX
from budflow.sandbox.image_requests import REQUIREMENTS_MAX, FindImage, Prepare, RemoveImage
from budflow.sandbox.messages import Index, Message, Short, TaskId

REQUESTS_VERSION = 1
#: A worker's frame comes on in another shape, and with it stands who it is for.
REQUEST_FRAME_BYTES_MAX = 8 * 1024 * 1024
#: With these three a task fits the frame of a worker, whatever its first items are.
CODE_BYTES_MAX = 1024 * 1024
PARAMS_BYTES_MAX = 1024 * 1024
ITEM_BYTES_MAX = 1024 * 1024
NETWORK_HOSTS_MAX = 100

#: A name has up to 253 characters (RFC 1035), and there may be `*.` before it and a port behind.
Host = Annotated[str, Field(max_length=300)]


# --- from the requester ----------------------------------------------------------------------------------------------


class Greeting(Message):
    """The first message. With `project` or `image` a ticket for another one is refused."""

    type: Literal["greeting"] = "greeting"
    version: int = REQUESTS_VERSION
    ticket: Annotated[str, Field(max_length=TICKET_BYTES_MAX)]
    project: Short | None = None
    image: Short | None = None


class Submit(Message):
    """Run this. `items` are the first of `item_count` that fit a part."""

    type: Literal["submit"] = "submit"
    task_id: TaskId
    name: Short
    mode: CodeMode
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


class Items(Message):
    """The items from the start that was asked for on, at least one, as many as fit a part."""

    type: Literal["items"] = "items"
    task_id: TaskId
    request: Index
    items: Annotated[list[dict[str, Any]], Field(min_length=1)]


class Abandon(Message):
    """Nobody wants the task any more."""

    type: Literal["abandon"] = "abandon"
    task_id: TaskId


class Describe(Message):
    """How is the sandbox?"""

    type: Literal["describe"] = "describe"
    request: Index


# --- from sandboxd ---------------------------------------------------------------------------------------------------
# Once it has greeted it is believed, and what it sends is large: types for the type checker, which cost nothing.


class Greeted(Message):
    """The answer to `greeting`."""

    type: Literal["greeted"] = "greeted"
    version: int = REQUESTS_VERSION
    isolation: Isolation


class ItemsWanted(TypedDict):
    """The code touches these items."""

    type: Literal["items_wanted"]
    task_id: str
    request: int
    start: int
    stop: int


class LogLine(TypedDict):
    """A line that the code logged."""

    type: Literal["log"]
    task_id: str
    level: Level
    message: str
    fields: Json
    item: int | None


class Advance(TypedDict):
    """How far the code is, or what the sandbox does before it runs."""

    type: Literal["progress"]
    task_id: str
    fraction: float | None
    message: str


class Part(TypedDict):
    """A part of the result: `items` as `messages.ResultItem`, `failed` as `messages.Trouble`."""

    type: Literal["part"]
    task_id: str
    items: Sequence[Json]
    failed: Sequence[Json]


class Done(TypedDict):
    """The task is done; where, and how long it waited and ran."""

    type: Literal["done"]
    task_id: str
    isolation: Isolation
    image: str
    worker: str
    queued_seconds: float
    ran_seconds: float


class Failed(TypedDict):
    """The task failed, by an error of `budflow.model.sandbox`."""

    type: Literal["failed"]
    task_id: str
    code: str
    message: str
    hint: str
    details: Json


class Described(TypedDict):
    """The answer to `describe`."""

    type: Literal["described"]
    request: int
    status: Json


FromRequester = Annotated[
    Greeting | Submit | Items | Abandon | Describe | Prepare | FindImage | RemoveImage,
    Field(discriminator="type"),
]
FROM_REQUESTER: TypeAdapter[Any] = TypeAdapter(FromRequester)
AboutTask = ItemsWanted | LogLine | Advance | Part | Done | Failed
FromSandboxd = AboutTask | Described
