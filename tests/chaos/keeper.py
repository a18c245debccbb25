"""`budflow worker --ray`, started again whenever it ends: a supervisor of services would do the same."""

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.processes import BUDFLOW

#: It ends when the Ray node is killed by which it reached the cluster; then it waits for so long.
AGAIN_SECONDS = 0.2


class Keeper:
    """Use `running_keeper`. `starts` counts its processes."""

    def __init__(self, address: str, environment: Mapping[str, str], log: Path) -> None:
        self.starts = 0
        self._command = [BUDFLOW, "worker", "--ray", address, "--json"]
        self._environment, self._log = environment, log
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name="keeper")
        self._thread.start()

    def close(self) -> None:
        """Kill it, for good. Its actors stay."""
        self._over.set()
        while self._thread.is_alive():
            if self._process is not None:
                self._process.kill()
            self._thread.join(AGAIN_SECONDS)

    def said(self) -> str:
        """What it logged last."""
        return self._log.read_text()[-2000:]

    def _supervise(self) -> None:
        while not self._over.is_set():
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command, env=dict(self._environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            self.starts += 1
            self._process.wait()
            self._over.wait(AGAIN_SECONDS)


@contextmanager
def running_keeper(address: str, environment: Mapping[str, str], log: Path) -> Iterator[Keeper]:
    """One that keeps the default number of actors on each node of the cluster."""
    keeper = Keeper(address, environment, log)
    try:
        yield keeper
    finally:
        keeper.close()
