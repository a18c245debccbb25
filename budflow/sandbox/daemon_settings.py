"""What sandboxd is told at its start; a requester can change none of it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SOCKET_FILE = "sandboxd.sock"


class DaemonSettings(BaseModel):
    """The settings `sandbox_*` of the server, or the options of `budflow sandbox serve`.

    `directory` holds the socket, the key and the lock. With `group` its members may be requesters, else only the user.
    `workers_directory` is where workers find their sockets: a short path that every user may pass through, by default
    a new one among the temporary files; where Docker runs elsewhere, one that both see.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path
    sandbox: Literal["auto", "docker", "process", "off"] = "auto"
    docker_url: str = "unix:///var/run/docker.sock"
    runtime: str = "runc"
    image: str | None = None
    index: str | None = None
    index_hosts: tuple[str, ...] = ()
    cpus: Annotated[float, Field(gt=0)] = 1.0
    workers_max: Annotated[int, Field(ge=0, le=1_024)] = 8
    workers_warm: Annotated[int, Field(ge=0, le=1_024)] = 1
    tasks_a_worker: Annotated[int, Field(ge=1)] = 50
    memory_mb_max: Annotated[int, Field(ge=64)] = 2_048
    timeout_seconds_max: Annotated[float, Field(gt=0)] = 3_600.0
    queued_max: Annotated[int, Field(ge=1)] = 1_000
    idle_seconds: Annotated[float, Field(gt=0)] = 300.0
    start_seconds: Annotated[float, Field(gt=0)] = 20.0
    drain_seconds: Annotated[float, Field(ge=0)] = 10.0
    http_allow: tuple[str, ...] = ()
    group: str | None = None
    workers_directory: Path | None = None
    listen: str | None = None
    listen_certificate: Path | None = None
    listen_key: Path | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
