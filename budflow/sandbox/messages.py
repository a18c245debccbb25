"""What a sandbox worker and the broker say to each other: version 1 of the task runner protocol (docs/task_runner.md).

Each message is one text frame of a WebSocket, a JSON object with a `type`. Nothing that a worker sends is believed
before it was read by one of these: unknown types, fields and kinds of values end the connection.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from budflow.model.log import Level
from budflow.model.sandbox import CodeMode

PROTOCOL_VERSION = 1
#: A larger frame ends the connection; what is larger is sent in parts, of items by their bytes as JSON.
FRAME_BYTES_MAX = 4 * 1024 * 1024
PART_BYTES = 256 * 1024
HEARTBEAT_SECONDS = 5.0

TaskId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Index = Annotated[int, Field(ge=0, lt=2**31)]
Short = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=65_536)]


class Message(BaseModel):
    """One message, of a direction that its group says."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# --- from the worker -----------------------------------------------------------------------------------------------


class Hello(Message):
    """The first message. `ticket` is single-use: one that was started by the broker has it from its environment."""

    type: Literal["hello"] = "hello"
    protocol: int
    ticket: Annotated[str, Field(max_length=2_048)]
    language: Literal["python"] = "python"
    version: Short  # Of the language, such as 3.11.7.
    budflow: Short  # Of the worker itself.


class Accept(Message):
    """The worker takes the task that was offered."""

    type: Literal["accept"] = "accept"
    task_id: TaskId


class Decline(Message):
    """The worker does not take it: it drains, or is at work."""

    type: Literal["decline"] = "decline"
    task_id: TaskId
    reason: Short


class DataRequest(Message):
    """The code touches items that the worker does not have yet; answered by `data`."""

    type: Literal["data_request"] = "data_request"
    task_id: TaskId
    start: Index
    stop: Index


class Log(Message):
    """A line that the code printed (`info`, stderr `warning`) or logged. `item` is the index of its input item."""

    type: Literal["log"] = "log"
    task_id: TaskId
    level: Level
    message: Text
    fields: dict[str, Any] = Field(default_factory=dict)
    item: Index | None = None


class Progress(Message):
    """How far the code says it is, from 0 to 1."""

    type: Literal["progress"] = "progress"
    task_id: TaskId
    fraction: Annotated[float, Field(ge=0, le=1, strict=False)] | None = None
    message: Short = ""


class ResultItem(Message):
    """One item that the code gave back, and the index of the input item that it was made from (-1: none)."""

    json_: dict[str, Any] = Field(alias="json")
    source: Annotated[int, Field(ge=-1, lt=2**31)] = -1


class Trouble(Message):
    """Why code failed. `code` is that of an error in `budflow.model.sandbox`; `line` counts in the author's code.

    `traceback` has only frames of the author's code: `line 3, in total`.
    """

    code: Literal[
        "code.invalid",
        "code.failed",
        "code.result_malformed",
        "code.timed_out",
        "code.out_of_memory",
        "code.too_many_processes",
        "sandbox.worker_lost",
    ]
    message: Annotated[str, Field(max_length=4_096)]
    line: Index | None = None
    item: Index | None = None
    traceback: list[Short] = Field(default_factory=list, max_length=50)


class Result(Message):
    """A part of what the code gave back, in order; with `last` the task is done.

    `failed` are the input items, of mode `each`, on which the code failed; each has its `item`.
    """

    type: Literal["result"] = "result"
    task_id: TaskId
    items: list[ResultItem] = Field(default_factory=list)
    failed: list[Trouble] = Field(default_factory=list)
    last: bool


class Error(Message):
    """The task failed as a whole, and is done."""

    type: Literal["error"] = "error"
    task_id: TaskId
    error: Trouble


class Draining(Message):
    """The worker takes no further task and goes; a runner starts another one."""

    type: Literal["draining"] = "draining"


class Heartbeat(Message):
    """Sent both ways every `HEARTBEAT_SECONDS`; after three that are missing the other side counts as dead."""

    type: Literal["heartbeat"] = "heartbeat"


# --- from the broker -----------------------------------------------------------------------------------------------


class Welcome(Message):
    """The answer to `hello`."""

    type: Literal["welcome"] = "welcome"
    protocol: int = PROTOCOL_VERSION
    heartbeat_seconds: float = HEARTBEAT_SECONDS


class Offer(Message):
    """Would the worker take this task?"""

    type: Literal["offer"] = "offer"
    task_id: TaskId


class Task(Message):
    """What to run; sent after `accept`. `now` is ISO 8601, `items` are the first of `item_count` that fit a part.

    The time limit counts in the worker from here, and in the broker too.
    """

    type: Literal["task"] = "task"
    task_id: TaskId
    mode: CodeMode
    code: str
    params: dict[str, Any]
    now: str
    seed: str
    name: str
    item_count: Index
    items: list[dict[str, Any]]
    timeout_seconds: float
    memory_mb: int


class Data(Message):
    """The items from `start` on that were asked for, as many as fit a part: the worker asks again for the others."""

    type: Literal["data"] = "data"
    task_id: TaskId
    start: Index
    items: list[dict[str, Any]]


class Cancel(Message):
    """Kill the task; the worker answers by `error` or `result`, whichever came first, within a second."""

    type: Literal["cancel"] = "cancel"
    task_id: TaskId
    reason: Short


class Drain(Message):
    """Take no further task, end the one at work, then go."""

    type: Literal["drain"] = "drain"


FromWorker = Annotated[
    Hello | Accept | Decline | DataRequest | Log | Progress | Result | Error | Draining | Heartbeat,
    Field(discriminator="type"),
]
FromBroker = Annotated[
    Welcome | Offer | Task | Data | Cancel | Drain | Heartbeat,
    Field(discriminator="type"),
]
FROM_WORKER: TypeAdapter[Any] = TypeAdapter(FromWorker)
FROM_BROKER: TypeAdapter[Any] = TypeAdapter(FromBroker)
