"""Code that authors write: what a code node asks of the sandbox, what comes back, and why it may not."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from budflow.model.failure import NodeError
from budflow.model.item import Item, Json
from budflow.model.log import LogCapability

CodeMode = Literal["all", "each", "each_with", "function"]
Isolation = Literal["docker", "process", "external"]
#: What isolation by processes is called, wherever it is named.
REDUCED_ISOLATION = "reduced isolation"


@dataclass(frozen=True, slots=True)
class CodeTask:
    """One run of an author's code.

    `items` are read in parts and only where the code touches them. In the mode `each_with` an item is an object of the
    names that the code sees: `item`, `index` and `params`. `requirements` are those of pip, `network` the
    hosts that the code may reach (`api.example`, `*.example:8443`); none: it has no network. Randomness in the code
    derives from `seed`, and its `now` is given, so that a repetition has the same. `name` is for logs and the
    dashboard: `workflow/execution/node`.
    """

    mode: CodeMode
    code: str
    items: Sequence[Item]
    now: datetime
    seed: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    timeout_seconds: float = 60.0
    memory_mb: int = 256


@dataclass(frozen=True, slots=True)
class CodePlace:
    """Where code ran: how it was isolated, and the digest of the image (""; there was none)."""

    isolation: Isolation
    image: str = ""


@dataclass(frozen=True, slots=True)
class CodePart:
    """A part of what the code gave back: new items, each with the index of the one it was made from (-1: none).

    `failed` are the input items, by index, on which code failed that runs once for each. The last part has the `place`.
    """

    items: Sequence[tuple[Json, int]] = ()
    failed: Mapping[int, NodeError] = field(default_factory=dict)
    place: CodePlace | None = None


class SandboxCapability(Protocol):
    """The sandbox of the execution's project, and of no other."""

    def run(self, task: CodeTask, log: LogCapability) -> AsyncGenerator[CodePart, None]:
        """Run the code and give what it gives, part after part; what it prints goes to `log`.

        Closing the generator cancels the code. Raises SandboxUnavailable, SandboxBusy, RequirementsFailed, CodeInvalid,
        CodeFailed, CodeResultMalformed, CodeTimedOut, CodeOutOfMemory, CodeTooManyProcesses, SandboxWorkerLost.
        """
        ...


class SandboxUnavailable(NodeError):
    """There is no sandbox on this server, and code runs nowhere else."""

    code = "sandbox.unavailable"
    http_status = 503
    hint = "Install Docker, or bubblewrap for reduced isolation, and look at `budflow doctor`; see the guide to code."


class SandboxBusy(NodeError):
    """Too much code is waiting for a sandbox."""

    code = "sandbox.busy"
    http_status = 503
    hint = "Give the node a retry, or raise `sandbox_workers_max`."
    retriable = True


class SandboxWorkerLost(NodeError):
    """The sandbox worker died while it ran the code."""

    code = "sandbox.worker_lost"
    hint = "Nothing says that the code is to blame; the node's `retry` tries again."
    retriable = True


class RequirementsFailed(NodeError):
    """The packages that the code asks for could not be installed."""

    code = "sandbox.requirements_failed"
    http_status = 422
    hint = "Only wheels are installed; check names and versions, and that the build may reach the package index."


class CodeInvalid(NodeError):
    """The code cannot be compiled."""

    code = "code.invalid"
    http_status = 422
    hint = "The message names the line."


class CodeFailed(NodeError):
    """The code raised an error."""

    code = "code.failed"
    http_status = 422
    hint = "The message names the line, and in mode `each` the item."


class CodeResultMalformed(NodeError):
    """The code gave back something that is no item."""

    code = "code.result_malformed"
    http_status = 422
    hint = "Return a dict, a list of dicts, or None for no item; values must be JSON."


class CodeTimedOut(NodeError):
    """The code took longer than its `timeout_seconds`."""

    code = "code.timed_out"
    http_status = 422
    hint = "Give it less to do at a time, or raise `timeout_seconds`."


class CodeOutOfMemory(NodeError):
    """The code used more memory than its `memory_mb`."""

    code = "code.out_of_memory"
    http_status = 422
    hint = "Give it less to do at a time, or raise `memory_mb`."


class CodeTooManyProcesses(NodeError):
    """The code started more processes or threads than it may."""

    code = "code.too_many_processes"
    http_status = 422
    hint = "Use fewer processes and threads; the limit counts both."


class NoSandbox:
    """Meets SandboxCapability where there is none: code is refused, never run unsandboxed."""

    async def run(self, task: CodeTask, log: LogCapability) -> AsyncGenerator[CodePart, None]:
        """See SandboxCapability."""
        raise SandboxUnavailable
        yield  # Makes it a generator.


NO_SANDBOX = NoSandbox()
