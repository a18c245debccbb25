"""The port of what starts isolated workers: containers of Docker, or processes with namespaces and seccomp."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from budflow.model.sandbox import Isolation

#: Where a worker finds the sockets that the broker serves: a directory that it can read and not write.
SOCKETS_DIRECTORY = "/run/budflow"
BROKER_SOCKET = "broker.sock"
EGRESS_SOCKET = "egress.sock"
TICKET_VARIABLE = "BUDFLOW_TICKET"

OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """What workers have in common that can stand in for each other, before one belongs to a project.

    `image` is a digest (`sha256:…`); a runner without images has "". `memory_mb` is the container's limit: that of the
    task rounded up to a power of two. With `egress` it has the socket of the egress proxy and may use `AF_INET` in a
    network of its own, in which there is nothing but loopback.
    """

    image: str
    memory_mb: int = 256
    egress: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """How a worker ended: `killed` by its runner, `out_of_memory`, or by itself (`exited`), with its status."""

    reason: Literal["killed", "out_of_memory", "exited"]
    status: int | None = None


class StartedWorker(Protocol):
    """A worker that was started; it connects to the broker by itself."""

    @property
    def id(self) -> str:
        """The container's id, or the process's."""
        ...

    async def wait(self) -> End:
        """Return when it has ended, by whatever; as often as asked."""
        ...

    async def kill(self) -> None:
        """End it with all its processes and remove what is left of it; ending it twice does nothing."""
        ...


class WorkerRunner(Protocol):
    """Starts workers of one way of isolation."""

    @property
    def isolation(self) -> Isolation:
        """The way, as tasks and the status name it."""
        ...

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        """The image (digest) for these requirements of pip, built where there is none; "" where there are no images.

        With none it is the base image. Raises RequirementsFailed, SandboxUnavailable.
        """
        ...

    async def start(self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str]) -> StartedWorker:
        """Start one. `sockets` is the host's directory that it finds at SOCKETS_DIRECTORY, read-only.

        Raises SandboxUnavailable.
        """
        ...

    async def describe(self) -> Mapping[str, Any]:
        """For the status: versions, runtime, images."""
        ...

    async def close(self) -> None:
        """End every worker that it started, and remove what is left."""
        ...


@runtime_checkable
class KeepsImages(Protocol):
    """What a runner with images does beside, for others that count and collect them, as Ray does."""

    async def image_bytes(self, image: str) -> int:
        """What the image (digest) takes beyond the base image; 0 for that. Raises SandboxUnavailable without it."""
        ...

    async def remove_image(self, image: str) -> int:
        """Remove it; the bytes that this frees. 0 where a worker has it, where it is the base image, or is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker may use beside its memory; fixed, no author can change it."""

    processes: int = 64
    cpus: float = 1.0
    tmp_bytes: int = 64 * 1024 * 1024
    shm_bytes: int = 8 * 1024 * 1024
    open_files: int = 256
