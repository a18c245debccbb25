"""Ray itself: started on this machine or joined at an address, always explicitly, and stopped without a trace."""

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from budflow.errors import BudflowError
from budflow.execution.environment import keeping_back
from ray_jobs.sandbox_address import RESOURCE, lent

LOCAL = "local"
NAMESPACE = "budflow"
#: Items pass as bytes of a few kilobytes; only large ones go through the store.
OBJECT_STORE_BYTES = 256 * 1024 * 1024
#: A node beside this process is there already; then joining takes about a second.
JOIN_SECONDS = 15.0
#: Ray's sockets stand some 60 characters below its directory, and Linux allows 107 in all.
DIRECTORY_CHARS_MAX = 40


class RayStartFailed(BudflowError):
    """Ray could not be started or joined."""

    code = "ray.start_failed"
    http_status = 503
    hint = "Executions run in process meanwhile. Look at `ray_address`, and at the memory and /dev/shm of this machine."


@dataclass(frozen=True, slots=True)
class Joined:
    """What a driver knows of its cluster: `address` of the GCS, `dashboard` as a URL where there is one, and the id of
    its own `node`.
    """

    address: str
    dashboard: str | None
    resources: Mapping[str, float]
    node: str = ""


class Cluster:
    """The connection of this process to Ray.

    A thread of its own starts Ray and stays until the end: the kernel ends Ray's processes with the thread that
    started them, which is how none of them outlives this process.
    """

    def __init__(
        self,
        address: str,
        data_dir: Path,
        *,
        dashboard: bool,
        num_cpus: int | None = None,
        sandbox: Path | None = None,
    ) -> None:
        """`num_cpus` and `sandbox`, the directory of this machine's sandboxd, are for a Ray that is started."""
        self._sandbox = sandbox
        self._address, self._dashboard, self._num_cpus = address, dashboard, num_cpus
        self._directory = _directory(data_dir) if address == LOCAL else None
        self._joined: Joined | None = None
        self._failed: Exception | None = None
        self._up, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="ray", daemon=True)

    @property
    def local(self) -> bool:
        """Whether this process started Ray itself."""
        return self._directory is not None

    def start(self, seconds: float | None = None) -> Joined:
        """Start or join; blocks for 4 to 10 s, and at most for `seconds`. Raises RayStartFailed."""
        self._thread.start()
        if not self._up.wait(seconds):
            raise RayStartFailed(f"Ray at `{self._address}` did not let this process join within {seconds:g} s.")
        if self._joined is None:
            raise RayStartFailed(f"Ray at `{self._address}`: {self._failed}") from self._failed
        return self._joined

    def stop(self) -> None:
        """Leave, and end what `start` started; blocks for 1 to 2 s."""
        self._end.set()
        self._thread.join()

    def _keep(self) -> None:
        try:
            self._joined = self._init()
        except Exception as error:  # noqa: BLE001 - Ray raises a plain one where its node is not up in time
            self._failed = error
            return
        finally:
            if self._joined is None:
                self._shut_down()
            self._up.set()
        self._end.wait()
        self._shut_down()

    def _init(self) -> Joined:
        common: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": "ERROR"}
        if self._directory is None:
            context: Any = ray.init(address=self._address, **common)
        else:
            # Never without an address: Ray would join whatever cluster it finds on this machine.
            with keeping_back(), lent(os.environ, self._sandbox):
                context = ray.init(
                    address=LOCAL,
                    num_cpus=self._num_cpus,
                    resources={} if self._sandbox is None else {RESOURCE: 1},
                    include_dashboard=self._dashboard,
                    dashboard_host="127.0.0.1",
                    object_store_memory=OBJECT_STORE_BYTES,
                    _temp_dir=str(self._directory),
                    **common,
                )
        dashboard = f"http://{context.dashboard_url}" if context.dashboard_url else None
        node: str = ray.get_runtime_context().get_node_id()
        return Joined(context.address_info["gcs_address"], dashboard, ray.cluster_resources(), node)  # type: ignore[no-untyped-call] # Ray gives it no types

    def _shut_down(self) -> None:
        ray.shutdown()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


def _directory(data_dir: Path) -> Path:
    """Where Ray keeps its sockets and logs: in the data directory where the path is short enough for sockets."""
    ours = data_dir.resolve() / "ray"
    if len(str(ours)) > DIRECTORY_CHARS_MAX:
        return Path(tempfile.mkdtemp(prefix="budflow-ray-", dir="/tmp"))
    shutil.rmtree(ours, ignore_errors=True)  # What an owner that was killed left behind.
    ours.mkdir(mode=0o700, parents=True)
    return ours
