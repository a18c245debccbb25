"""Docker's engine, as far as the sandbox uses it: blocking calls whose failures are SandboxUnavailable.

It is the only module that imports docker-py, and none is imported at the server's start that imports this one.
"""

import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

import docker
from docker.errors import APIError, DockerException, NotFound

from budflow.model.sandbox import SandboxUnavailable

CALL_SECONDS_MAX = 60

_UNIX = "unix://"
_CONFLICT = 409


class Engine:
    """One engine, by its address. May be used from several threads."""

    def __init__(self, url: str) -> None:
        """Raises SandboxUnavailable where no engine answers."""
        self.url = url
        with _translated("Docker does not answer"):
            _connect_once(url)
            self._client = docker.APIClient(base_url=url, version="auto", timeout=CALL_SECONDS_MAX)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def describe(self) -> dict[str, Any]:
        """The engine's version and how it confines."""
        with _translated("Docker does not answer"):
            found = self._client.info()
        return {
            "engine": found.get("ServerVersion"),
            "runtimes": sorted(found.get("Runtimes") or ()),
            "cgroup": found.get("CgroupVersion"),
            "storage": found.get("Driver"),
            "security": found.get("SecurityOptions") or [],
        }

    # --- images ------------------------------------------------------------------------------------------------

    def load_image(self, archive: IO[bytes]) -> None:
        """Take an image in from a file of `docker save`'s format."""
        with _translated("Docker did not take the image"):
            for told in self._client.load_image(archive, quiet=True):
                if "error" in told:
                    raise SandboxUnavailable(f"Docker did not take the image: {told['error']}")

    def image(self, reference: str) -> Mapping[str, Any] | None:
        """What is known of an image, by name or digest: `Id`, `Config` and so on. None where there is none."""
        with _translated("Docker does not tell of its images"):
            try:
                found: Mapping[str, Any] = self._client.inspect_image(reference)
            except NotFound:
                return None
            return found

    def images_labelled(self, label: str, value: str | None = None) -> list[Mapping[str, Any]]:
        """All images with a label, the newest first."""
        wanted = label if value is None else f"{label}={value}"
        with _translated("Docker does not tell of its images"):
            found: list[Mapping[str, Any]] = self._client.images(filters={"label": [wanted]})
        return sorted(found, key=lambda image: image["Created"], reverse=True)

    def remove_image(self, digest: str) -> bool:
        """Remove an image; whether it was there and no container uses it."""
        with _translated("Docker did not remove the image"):
            try:
                self._client.remove_image(digest, noprune=False)
            except NotFound:
                return False
            except APIError as error:
                if error.status_code == _CONFLICT:  # It is in use.
                    return False
                raise
        return True

    def commit(self, container_id: str, config: Mapping[str, Any]) -> str:
        """Make an image of what a container left on its root. Gives its digest."""
        with _translated("Docker did not keep the image"):
            made = self._client.commit(container_id, conf=dict(config))
        return str(made["Id"])

    # --- containers --------------------------------------------------------------------------------------------

    def create(self, config: Mapping[str, Any]) -> str:
        """Create a container and give its id."""
        with _translated("Docker did not create a container"):
            made = self._client.create_container_from_config(dict(config))
        return str(made["Id"])

    def start(self, container_id: str) -> None:
        """Start what was created."""
        with _translated("Docker did not start a container"):
            self._client.start(container_id)

    def remove(self, container_id: str) -> None:
        """Kill a container with all its processes, and remove it; nothing happens where there is none."""
        with _translated("Docker did not remove a container"):
            try:
                self._client.remove_container(container_id, force=True, v=True)
            except NotFound:
                return
            except APIError as error:
                if error.status_code != _CONFLICT:  # It is being removed by another call.
                    raise

    def state(self, container_id: str) -> Mapping[str, Any] | None:
        """Its `State`: Running, ExitCode, OOMKilled. None where there is no such container."""
        with _translated("Docker does not tell of a container"):
            try:
                found: Mapping[str, Any] = self._client.inspect_container(container_id)["State"]
            except NotFound:
                return None
            return found

    def wait(self, container_id: str) -> int:
        """The status with which it ended; it waits for that."""
        with _translated("Docker does not tell of a container"):
            return int(self._client.wait(container_id)["StatusCode"])

    def root_bytes(self, container_id: str) -> int:
        """How much a container wrote to its root."""
        with _translated("Docker does not tell of a container"):
            found = self._client.containers(all=True, size=True, filters={"id": container_id})
        return int(found[0].get("SizeRw", 0)) if found else 0

    def containers_labelled(self, label: str, value: str) -> list[str]:
        """The ids of all containers with a label, running or not."""
        with _translated("Docker does not tell of its containers"):
            found = self._client.containers(all=True, filters={"label": [f"{label}={value}"]})
        return [str(container["Id"]) for container in found]

    def attach(self, container_id: str) -> Iterator[tuple[bytes, bytes]]:
        """What a container that is to be started will print: (stdout, stderr), one of them empty, until it ends."""
        with _translated("Docker does not tell what a container prints"):
            return _printed(self._client.attach(container_id, stream=True, logs=False, demux=True))

    def events(self, label: str, value: str) -> "Events":
        """What happens from now on to containers with a label: that one ended, or ran out of memory."""
        wanted = {"type": "container", "event": ["die", "oom"], "label": f"{label}={value}"}
        with _translated("Docker does not tell of its containers"):
            return Events(self._client.events(filters=wanted, decode=True))


class Events:
    """(container's id, `die` or `oom`), as it happens; closed from another thread, it is at its end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Generator[tuple[str, str], None, None]:
        try:
            for event in self._stream:
                yield str(event["id"]), str(event["status"])
        except (OSError, ValueError, AttributeError, DockerException):
            return  # Closed, or the engine is gone.
        finally:
            _let_go(self._stream)

    def close(self) -> None:
        """End the stream."""
        with suppress(OSError, AttributeError):  # It ended by itself.
            self._stream.close()


def _printed(stream: Any) -> Iterator[tuple[bytes, bytes]]:
    try:
        for out, err in stream:
            yield out or b"", err or b""
    finally:
        _let_go(stream)


def _let_go(stream: Any) -> None:
    """Close the connection that a stream came by, which docker-py only shuts down."""
    with suppress(OSError, AttributeError):
        stream.close()
    stream._response.close()


def _connect_once(url: str) -> None:
    """Fail here where nothing listens: docker-py would leave its socket open."""
    if url.startswith(_UNIX):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CALL_SECONDS_MAX)
            connection.connect(url.removeprefix(_UNIX))


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (DockerException, OSError) as error:  # requests' errors are OSErrors.
        explained = getattr(error, "explanation", None) or error
        raise SandboxUnavailable(f"{what}: {explained}") from error
